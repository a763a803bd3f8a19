"""docs/reference/roles.md tells of every route of the embedded deployment who may use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from marketplace_core._runtime.assembly import Process
from marketplace_core._runtime.operator_routes import operations_router
from marketplace_core.deployment import DEFAULT_FILE, load_all
from marketplace_core.http.routing import ANYBODY, Route
from marketplace_core.values import AUDIENCES, Audience

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "roles.md"
BEGIN, END = "<!-- generated: roles -->", "<!-- end: roles -->"

#: Who there is on each audience, besides programs with a key.
PEOPLE: dict[Audience, tuple[str, ...]] = {
    "buyer": ("guest", "account"),
    "seller": ("guest", "account", "shop", "suspended shop"),
    "logistics": ("guest", "courier"),
    "admin": ("guest", "moderator", "admin"),
}
#: The head of what programs may use: a buyer has no keys.
KEY = "key"


def may(route: Route, person: str) -> bool:
    if route.access in ANYBODY:
        return True
    if route.audience == "admin":
        return person in route.roles
    if route.access == "shop":
        return person == "shop" or (person == "suspended shop" and route.while_suspended)
    return person == "courier" if route.access == "staff" else person != "guest"


def routes() -> list[Route]:
    declared = [route for own in load_all(DEFAULT_FILE, secrets=False).declared.values() for route in own.routes]
    return [*declared, *operations_router(cast(Process, None)).routes]


def generated() -> str:
    found = sorted(routes(), key=lambda route: (route.path, route.method))
    lines = [line for audience in AUDIENCES for line in _table(audience, found)]
    return "\n".join([BEGIN, "", *lines, END])


def _table(audience: Audience, routes: list[Route]) -> Iterator[str]:
    heads = [*PEOPLE[audience], *(() if audience == "buyer" else (KEY,))]
    yield from [f"## {audience}", "", f"| route | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for route in routes:
        if route.audience == audience:
            yield f"| {route.method} `{route.path}` | {' | '.join(_cell(route, head) for head in heads)} |"
    yield ""


def _cell(route: Route, head: str) -> str:
    if head == KEY and route.access not in ANYBODY:
        return f"`{route.scope}`" if route.scope is not None else ""
    return "yes" if may(route, head) else ""


def written() -> str:
    return PAGE.read_text()


def test_the_page_is_up_to_date() -> None:
    text = written()
    found = text[text.index(BEGIN) : text.index(END) + len(END)]
    assert found == generated(), f"write it anew: python {Path(__file__).relative_to(ROOT)}"


if __name__ == "__main__":
    before = written()
    PAGE.write_text(before[: before.index(BEGIN)] + generated() + before[before.index(END) + len(END) :])
