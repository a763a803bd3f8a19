"""docs/reference/roles.md, walked: every route is asked for by everybody whom it names, and by everybody whom it does not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from marketplace_core._runtime.operator_routes import operations_router
from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.testing.client import Client
from marketplace_core.testing.shop import PASSWORD, Shop
from marketplace_core.values import AUDIENCES, new_id

WITH = ("analytics",)

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "roles.md"
_ROW = re.compile(r"\| ([A-Z]+) `([^`]+)` \| (.*) \|")
REFUSED = {"auth.required", "auth.forbidden", "sellers.no_shop", "sellers.suspended"}
#: What would take the token away that the next route is asked with.
LAST = "/auth/logout"

Row = tuple[str, str, str]


def table() -> dict[Row, dict[str, str]]:
    """Per audience, method and path: what the page says under each of its heads."""
    rows: dict[Row, dict[str, str]] = {}
    audience, heads = "", []
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            audience = line.removeprefix("## ")
        elif line.startswith("| route "):
            heads = [cell.strip() for cell in line.strip("|").split("|")][1:]
        elif row := _ROW.fullmatch(line):
            cells = [cell.strip() for cell in row[3].split("|")]
            rows[audience, row[1], row[2]] = dict(zip(heads, cells, strict=True))
    return rows


async def _people(shop: Shop) -> dict[tuple[str, str], Client]:
    auth, make = shop.market.port(Auth), shop.make
    await auth.ensure_account(Registration("mod@example.org", PASSWORD, "Mo"), ("moderator",))
    people = {(audience, "guest"): make(audience) for audience in AUDIENCES}
    moderator, shopless, suspended = make("admin"), make("seller"), await shop.open_seller("Lamp")
    await moderator.log_in("mod@example.org")
    await shopless.register("shopless@example.org", name="Nobody")
    await shop.market.port(Sellers).set_suspended((await suspended.get("/shop"))["id"], True, "for a test")
    kettle = await shop.open_seller("Kettle")
    keys = {
        "seller": await kettle.post("/api-keys", {"name": "all"}, 201),
        "logistics": await shop.courier.post("/api-keys", {"name": "all"}, 201),
        "admin": await shop.admin.post("/api-keys", {"name": "all", "audience": "admin"}, 201),
    }
    for audience, made in keys.items():
        people[audience, "key"] = make(audience)
        people[audience, "key"].headers["Authorization"] = f"Bearer {made['key']}"
    return people | {
        ("buyer", "account"): await shop.buyer(),
        ("seller", "account"): shopless,
        ("seller", "shop"): kettle,
        ("seller", "suspended shop"): suspended,
        ("logistics", "courier"): shop.courier,
        ("admin", "moderator"): moderator,
        ("admin", "admin"): shop.admin,
    }


async def _passes(client: Client, method: str, path: str) -> tuple[bool, Any]:
    """By a request that changes nothing: of nobody's id, and with a body that no route takes."""
    asked = re.sub(r"\{\w+\}", lambda _: new_id(), path)
    answer = await client.send(method, asked, {"no such field": 1} if method in ("POST", "PUT", "PATCH") else None)
    code = answer.body.get("code") if isinstance(answer.body, dict) else None
    return not (answer.status in (401, 403) and code in REFUSED), (answer.status, code)


@pytest.mark.behaviour("all-10", "sellers-2")
async def test_the_table_is_what_the_routes_do(shop: Shop) -> None:
    rows, people = table(), await _people(shop)
    process = shop.market.process
    mounted = [route for router in (*process.routers(AUDIENCES), operations_router(process)) for route in router.routes]
    asked = {(route.audience, route.method, route.path): route for route in mounted}
    assert set(rows) == set(asked), "the page and the routes are not the same"
    wrong = []
    for audience, method, path in sorted(rows, key=lambda row: row[2] == LAST):
        if asked[audience, method, path].raw:
            continue  # a webhook: whoever signs it
        for head, cell in rows[audience, method, path].items():
            passes, answer = await _passes(people[audience, head], method, path)
            if passes != bool(cell):
                wrong.append((audience, method, path, head, cell or "no", answer))
    assert not wrong
    assert sum(len(cells) for cells in rows.values()) > 300
