"""What every provider of a capability answers over HTTP, whoever wrote its routes: a client does not know whose they are.

The routes of the capabilities stand in ``http_routes.txt``, a line each::

    cart buyer POST /cart/items guest; variant_id quantity -> 200 id token items …

audience, method and path, who may ask (``anyone``, ``guest`` or ``account``), the fields of the body, and of the answer. ``!``
is behind a field that has to be sent, ``[]`` before the fields of an item of a list.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, ClassVar

from msgspec import Struct

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.client import Answer, Client, clients
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import AUDIENCES, new_id

__all__ = ["ROUTES", "HttpContract", "HttpRoute", "routes_in"]

ROLES: Mapping[str, tuple[str, ...]] = {"logistics": ("courier:swift",), "admin": ("admin",)}
PASSWORD = "correct horse battery"  # noqa: S105 - of a test
PROBLEM = "application/problem+json"
MEDIA = "application/json"
UNKNOWN = {"of_no_route": 1}


class HttpRoute(Struct, frozen=True):
    """``takes``: the fields of its JSON body, and whether each has to be sent; None: it takes none. ``gives``: those of its
    answer, by status."""

    tag: str
    audience: str
    method: str
    path: str
    access: str
    takes: dict[str, bool] | None
    gives: dict[str, list[str]]

    @property
    def name(self) -> str:
        return f"{self.audience} {self.method} {self.path}"

    def at(self, id_: str) -> str:
        """Its path with this id for each parameter."""
        return "/".join(id_ if part.startswith("{") else part for part in self.path.split("/"))

    def line(self) -> str:
        takes = "" if self.takes is None else "; " + " ".join(f"{n}!" if must else n for n, must in self.takes.items())
        gives = "".join(f" -> {' '.join((status, *fields))}" for status, fields in self.gives.items())
        return f"{self.tag} {self.name} {self.access}{takes}{gives}"

    @classmethod
    def of(cls, line: str) -> HttpRoute:
        asked, *answers = line.split(" -> ")
        head, behind, fields = asked.partition(";")
        takes = {each.rstrip("!"): each.endswith("!") for each in fields.split()} if behind else None
        tag, audience, method, path, access = head.split()
        return cls(tag, audience, method, path, access, takes, {words.split()[0]: words.split()[1:] for words in answers})

    def broken_by(self, now: HttpRoute) -> Iterator[str]:
        """How a client of this one fails at that one."""
        if now.access != self.access:
            yield f"is for {now.access} and not for {self.access}"
        takes, asked = self.takes or {}, now.takes or {}
        yield from (f"does not take {name!r}" for name in takes if name not in asked)
        yield from (f"demands {name!r}" for name, must in asked.items() if must and not takes.get(name))
        for status, fields in self.gives.items():
            if status not in now.gives:
                yield f"does not answer {status}"
            else:
                yield from (f"does not give {name!r}" for name in fields if name not in now.gives[status])


def routes_in(document: Mapping[str, Any], audience: str) -> list[HttpRoute]:
    """Those of an audience's OpenAPI document, in its order."""
    found = []
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if "operationId" not in operation:
                continue
            tag, security = operation["tags"][0], operation.get("security", [])
            access = "account" if {} not in security else "guest" if len(security) > 1 else "anyone"
            sent = operation.get("requestBody", {}).get("content", {})
            answers = {status: each for status, each in operation["responses"].items() if status.startswith("2")}
            gives = {status: list(_fields(each.get("content", {}), document)) for status, each in answers.items()}
            takes = _fields(sent, document) if MEDIA in sent else None
            found.append(HttpRoute(tag, audience, method.upper(), path, access, takes, gives))
    return found


def _fields(content: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, bool]:
    """The fields of JSON, and whether each has to be there."""
    return _of_schema(content.get(MEDIA, {}).get("schema", {}), document)


def _of_schema(schema: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, bool]:
    while "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    found = dict.fromkeys(schema.get("properties", {}), False) | dict.fromkeys(schema.get("required", []), True)
    for one in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        found |= dict.fromkeys(_of_schema(one, document), False)
    if "items" in schema:
        found |= {f"[]{name}": must for name, must in _of_schema(schema["items"], document).items()}
    return found


ROUTES = [HttpRoute.of(line) for line in files(__package__).joinpath("http_routes.txt").read_text().splitlines()]


class HttpContract:
    """Fixture: ``market``, which answers HTTP. ``capabilities`` are those that are provided by whoever is tested.

    Of a capability that is not there nothing is asked; a route more than ours is nobody's harm.
    """

    capabilities: ClassVar[tuple[str, ...]]

    def routes(self) -> list[HttpRoute]:
        return [route for route in ROUTES if route.tag in self.capabilities]

    async def test_its_routes_take_and_give_what_clients_know(self, market: Marketplace) -> None:
        now: dict[str, HttpRoute] = {}
        async with clients(market.audiences) as make:
            for audience in AUDIENCES:
                somebody = await _person(market, make(audience))  # that of operators is for operators
                document = await somebody.get("/openapi.json")
                now |= {route.name: route for route in routes_in(document, audience)}
        wrong = [f"{route.name} is not there" for route in self.routes() if route.name not in now]
        for route in self.routes():
            if route.name in now:
                wrong += [f"{route.name} {how}" for how in route.broken_by(now[route.name])]
        assert wrong == []

    async def test_who_is_nobody_is_told_to_log_in(self, market: Marketplace) -> None:
        """Before anything else is said, of what is there or of what was sent."""
        wrong = []
        async with clients(market.audiences) as make:
            for route in self.routes():
                if route.access == "account":
                    answer = await make(route.audience).send(route.method, route.at(new_id()), route.takes and UNKNOWN)
                    if _said(answer) != (401, "auth.required"):
                        wrong.append(f"{route.name}: {_said(answer)}")
        assert wrong == []

    async def test_what_it_cannot_do_is_a_problem_with_a_code(self, market: Marketplace) -> None:
        """Of ids that are nobody's, and of a body with a field that nobody knows: said to a client, never a mistake of ours."""
        wrong = []
        async with clients(market.audiences) as make:
            people: dict[str, Client] = {audience: await _person(market, make(audience)) for audience in AUDIENCES}
            for route in self.routes():
                if route.takes is None and (route.method != "GET" or "{" not in route.path):
                    continue  # what has neither id nor body may well be done
                answer = await people[route.audience].send(route.method, route.at(new_id()), route.takes and UNKNOWN)
                refused = 400 <= answer.status < 500 and _is_problem(answer)
                if not (refused or (route.takes is None and answer.status == 200)):
                    wrong.append(f"{route.name}: {answer.status} {answer.headers.get('Content-Type')} {answer.body!r}")
        assert wrong == []


async def _person(market: Marketplace, client: Client) -> Client:
    """Somebody with the audience's role, who was never here before."""
    email = f"{new_id()}@example.org"
    await market.port(Auth).ensure_account(Registration(email, PASSWORD, "Ada"), ROLES.get(client.audience, ()))
    await client.log_in(email, PASSWORD)
    return client


def _is_problem(answer: Answer) -> bool:
    if answer.headers.get("Content-Type") != PROBLEM or not isinstance(answer.body, dict):
        return False
    return bool(answer.body.get("code")) and answer.body.get("status") == answer.status


def _said(answer: Answer) -> tuple[int, object]:
    return answer.status, answer.body.get("code") if _is_problem(answer) else answer.body
