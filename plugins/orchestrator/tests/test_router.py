"""What operators see of sagas over HTTP: real orders, one of which cannot be confirmed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.capabilities.catalog import Catalog, SellerRef
from marketplace_core.capabilities.orders import Orders
from marketplace_core.testing.client import Client, clients
from marketplace_core.testing.contracts.orders import draft, list_variants
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id

PASSWORD = "correct horse battery"


class Desk(NamedTuple):
    market: Marketplace
    admin: Client
    make: Callable[[str], Client]

    async def place(self, variants: list[str]) -> str:
        with calls.scope(calls.Call(key=new_id())):
            return (await self.market.port(Orders).place(draft(variants))).id


@pytest.fixture(params=["wire"])
async def desk(request: pytest.FixtureRequest, marketplace: Callable[..., Awaitable[Marketplace]]) -> AsyncIterator[Desk]:
    plugins = ["auth", "catalog", "orders", "orchestrator"]
    market = await marketplace(plugins, runner=request.param, http=True, worker=False)
    await market.port(Auth).ensure_account(Registration("admin@example.org", PASSWORD, "Admin"), ("admin",))
    async with clients(market.url) as make:
        admin = make("admin")
        await admin.log_in("admin@example.org")
        yield Desk(market, admin, make)


@pytest.mark.behaviour("orchestrator-1")
async def test_a_saga_that_waits_is_shown_and_goes_on(desk: Desk) -> None:
    assert await desk.admin.get("/sagas") == {"items": [], "next": None}
    variants = await list_variants(desk.market.port(Catalog), SellerRef(new_id(), "Kettle"), 1)
    good, bad = await desk.place(variants), await desk.place(variants)
    database = desk.market.process.resources.database("main")
    await database.execute("CREATE TABLE public.away AS SELECT * FROM orders.orders WHERE id = $1", bad)
    await database.execute("DELETE FROM orders.packages WHERE order_id = $1", bad)
    await database.execute("DELETE FROM orders.orders WHERE id = $1", bad)
    await desk.market.start_worker()
    await desk.market.settle()  # a saga that waits for a person is no reason to wait for it

    [waiting] = (await desk.admin.get("/sagas?status=waiting"))["items"]
    assert waiting == {"id": bad, "name": "orders.checkout", "key": bad, "status": "waiting", "steps": []}
    [done] = (await desk.admin.get("/sagas?status=done&name=orders.checkout"))["items"]
    assert done["id"] == good
    assert (await desk.admin.get("/sagas?name=orders.other"))["items"] == []
    page = await desk.admin.get("/sagas?limit=1")
    rest = await desk.admin.get(f"/sagas?limit=1&cursor={page['next']}")
    # Which of the two began first is up to their partitions.
    assert sorted(one["id"] for one in page["items"] + rest["items"]) == sorted([bad, good]) and rest["next"] is None
    assert (await desk.admin.get("/sagas?limit=1&cursor=x", 400))["code"] == "paging.bad_cursor"
    assert (await desk.admin.get("/sagas?status=lost", 422))["errors"][0]["pointer"] == "?status"
    view = await desk.admin.get(f"/sagas/{bad}")
    assert [(step["name"], step["status"], step["error"]) for step in view["steps"]][:2] == [
        ("1:commit", "done", None),
        ("2:confirm", "refused", "http.not_found"),
    ]

    await database.execute("INSERT INTO orders.orders SELECT * FROM public.away")
    answer = await desk.admin.send("POST", f"/sagas/{bad}/retry")
    assert answer.status == 202 and answer.headers["Location"] == f"/admin/v1/sagas/{bad}"
    await desk.admin.until(f"/sagas/{bad}", lambda one: one["status"] == "done")
    [order] = await desk.market.port(Orders).get_orders([bad])
    assert order.status == "confirmed"
    again = await desk.admin.post(f"/sagas/{bad}/retry", None, 409)
    assert again["code"] == "orchestrator.wrong_state"
    await desk.admin.get("/sagas/unknown", 404)
    await desk.admin.post("/sagas/unknown/retry", None, 404)


async def test_only_staff_may_look(desk: Desk) -> None:
    nobody: Any = desk.make("admin")
    for method, path in (("GET", "/sagas"), ("GET", "/sagas/x"), ("POST", "/sagas/x/retry")):
        assert (await nobody.send(method, path)).status == 401
    buyer = desk.make("buyer")
    await buyer.register("bea@example.org")
    nobody.headers.update(buyer.headers)
    assert (await nobody.get("/sagas", 401))["code"] == "auth.wrong_audience"
    await buyer.get("/sagas", 404)
