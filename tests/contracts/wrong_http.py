"""Routes of users with one mistake each, which the suite of routes must notice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from marketplace_core.capabilities.users import Users
from marketplace_core.http.routing import Request, Route, Router
from marketplace_core.http.users import users_routers

Routers = Callable[[Users], Sequence[Router]]


class Stranger(Struct, frozen=True):
    """An address that demands more than clients know."""

    name: str
    floor: int


class Nameless(Struct, frozen=True):
    id: str


def _changed(change: Callable[[Router, Route], Route | None]) -> Routers:
    def routers(users: Users) -> Sequence[Router]:
        made = users_routers(users)
        for router in made:
            router.routes = [new for route in router.routes if (new := change(router, route)) is not None]
        return made

    return routers


def _instead(method: str, path: str, handler: Callable[..., Any], **options: Any) -> Routers:
    """Another handler at one route."""

    def change(router: Router, route: Route) -> Route | None:
        if (route.method, route.path) != (method, path):
            return route
        own = Router(router.audience, "users", roles=("admin",) if router.audience == "admin" else None)
        getattr(own, method.lower())(path, **options)(handler)
        return own.routes[0]

    return _changed(change)


async def breaks(request: Request, id: str) -> Nameless:
    raise KeyError(id)


async def tells(request: Request, id: str) -> Nameless:
    return Nameless(id)


async def demands(request: Request, body: Stranger) -> Nameless:
    return Nameless(body.name)


MISTAKES: Sequence[tuple[Routers, str]] = (
    (
        _changed(lambda _, route: None if route.path == "/me/addresses" else route),
        "test_its_routes_take_and_give_what_clients_know",
    ),
    (_instead("POST", "/me/addresses", demands), "test_its_routes_take_and_give_what_clients_know"),
    (_instead("GET", "/me/addresses/{id}", tells), "test_its_routes_take_and_give_what_clients_know"),
    (
        _changed(lambda _, route: replace(route, status=202) if route.method == "PATCH" else route),
        "test_its_routes_take_and_give_what_clients_know",
    ),
    (_instead("GET", "/me/addresses/{id}", tells, access="guest"), "test_who_is_nobody_is_told_to_log_in"),
    (_instead("GET", "/me/addresses/{id}", breaks), "test_what_it_cannot_do_is_a_problem_with_a_code"),
)
