"""An order whose checkout a person gives up, over the admin gateway and by the command: everything is as it was before."""

from __future__ import annotations

import asyncio
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from marketplace_core._supervisor import state as run_state
from marketplace_core._supervisor.state import RunState
from marketplace_core.adapters.embedded import DataFolder
from marketplace_core.testing._forks import command
from marketplace_core.testing.shop import Shop


@asynccontextmanager
async def unconfirmable(shop: Shop, buyer: Any, product: Any) -> AsyncIterator[Any]:
    """An order that is paid and allocated, and whose confirmation is refused: it is away. Afterwards it is there again."""
    database = shop.market.process.resources.database("main")
    await shop.market.stop_worker()
    order = await shop.order(buyer, [(product, 2)])
    await database.execute("CREATE TABLE public.away AS SELECT * FROM orders.orders WHERE id = $1", order["id"])
    await database.execute("DELETE FROM orders.packages WHERE order_id = $1", order["id"])
    await database.execute("DELETE FROM orders.orders WHERE id = $1", order["id"])
    await shop.market.start_worker()
    await shop.admin.until("/sagas?status=waiting", lambda page: [saga["id"] for saga in page["items"]] == [order["id"]])
    waiting = await shop.admin.get(f"/sagas/{order['id']}")
    assert ("confirm", "refused") in [(step["name"].partition(":")[2], step["status"]) for step in waiting["steps"]]
    assert (await buyer.get("/cart"))["items"] == []
    await database.execute("INSERT INTO orders.orders SELECT * FROM public.away")
    await database.execute("DROP TABLE public.away")
    yield order


async def is_as_before(shop: Shop, buyer: Any, order: Any) -> None:
    saga = await shop.admin.until(f"/sagas/{order['id']}", lambda saga: saga["status"] == "refused")
    await shop.market.settle()
    names = [step["name"].partition(":")[2] for step in saga["steps"]]
    assert names[-4:] == ["put_back", "void", "restock", "fail"]
    failed = await buyer.get(f"/orders/{order['id']}")
    assert (failed["status"], failed["failure"]["code"]) == ("failed", "orders.cancelled_by_operator")
    assert (failed["number"], failed["payment"]["status"]) == (None, "voided")
    total = order["total"]["amount"]
    assert await shop.ledger(order["id"]) == [("authorize", total), ("void", total)]
    [item] = (await buyer.get("/cart"))["items"]
    assert (item["quantity"], item["available"]) == (2, 5)


@pytest.mark.behaviour("orchestrator-1", "cart-4")
@pytest.mark.parametrize("runner", ["local", "wire"])
async def test_an_operator_gives_a_paid_order_up(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495, stock=5)
    buyer = await shop.buyer()
    async with unconfirmable(shop, buyer, pot) as order:
        path = f"/sagas/{order['id']}/compensate"
        answer = await shop.admin.send("POST", path, headers={"Idempotency-Key": "give-up"})
        assert answer.status == 202 and answer.headers["Location"] == f"/admin/v1/sagas/{order['id']}"
        again = await shop.admin.send("POST", path, headers={"Idempotency-Key": "give-up"})
        assert again.status == 202
        await is_as_before(shop, buyer, order)
    assert (await shop.admin.post(f"/sagas/{order['id']}/retry", None, 409))["code"] == "orchestrator.wrong_state"
    placed = await shop.order(buyer, [], key="order-2")
    assert (await shop.ended(buyer, placed["id"]))["status"] == "confirmed"
    assert (await shop.admin.post(f"/sagas/{placed['id']}/compensate", None, 409))["code"] == "orchestrator.wrong_state"
    await shop.admin.post("/sagas/unknown/compensate", None, 404)


@pytest.mark.behaviour("orchestrator-1")
@pytest.mark.parametrize("runner", ["local"])
async def test_by_the_command(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495, stock=5)
    buyer = await shop.buyer()
    with tempfile.TemporaryDirectory(prefix="mp-") as name, DataFolder(Path(name)) as folder:
        # For the command this test is the supervisor of what runs here.
        nothing: dict[str, str] = {}
        state = RunState(
            supervisor=folder.holder or 0,
            file=str(shop.market.file),
            clock="movable",
            listen=nothing,
            audiences=nothing,
            simulators=nothing,
            processes=[],
        )
        run_state.write(Path(name), state)

        async def sagas(*arguments: str) -> subprocess.CompletedProcess[str]:
            place = ["--file", str(shop.market.file), "--data", name]
            return await asyncio.to_thread(command, "sagas", *arguments, *place)

        async with unconfirmable(shop, buyer, pot) as order:
            done = await sagas("compensate", order["id"])
            assert (done.returncode, done.stderr) == (0, "")
            await is_as_before(shop, buyer, order)
        shown = await sagas("show", order["id"])
        assert shown.stdout.startswith(f"orders.checkout {order['id']}: refused\n")
        late = await sagas("retry", order["id"])
        assert late.returncode == 2 and "neither waits for a person" in late.stderr


@pytest.mark.behaviour("cart-8", "orders-3")
@pytest.mark.parametrize("runner", ["wire"])
async def test_who_leaves_the_bank_has_ways_out(shop: Shop) -> None:
    """The last unit, in 3-D Secure: the buyer cancels, or orders again; both at once, and with one payment in the end."""
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495, stock=1)
    buyer = await shop.buyer()

    async def left(products: list[Any], key: str) -> Any:
        order = await shop.order(buyer, products, card="tok_3ds", key=key)
        return await buyer.until(
            f"/orders/{order['id']}", lambda one: (one["payment"] or {}).get("status") == "requires_action"
        )

    first = await left([(pot, 1)], "first")
    cancelled = await buyer.post(f"/orders/{first['id']}/cancel", {"reason": "not now"}, 202)
    assert cancelled["status"] == "cancelled"
    second = await left([], "second")  # the unit is free again
    third = await shop.order(buyer, [], key="third")
    superseded = (await buyer.send("GET", f"/orders/{second['id']}")).body  # by now, whatever its payment is
    assert superseded["failure"]["code"] == "orders.superseded"
    assert (await shop.ended(buyer, third["id"]))["status"] == "confirmed"
    await shop.market.settle()
    for order, status in ((first, "cancelled"), (second, "failed")):
        assert (await shop.admin.get(f"/sagas/{order['id']}"))["status"] == "refused"
        now = await buyer.get(f"/orders/{order['id']}")
        assert (now["status"], now["number"]) == (status, None)
        assert now["payment"]["status"] in {"failed", "voided"}
        assert "capture" not in [kind for kind, _ in await shop.ledger(order["id"])]
    assert (await buyer.get("/cart"))["items"] == []


@pytest.mark.behaviour("orchestrator-1")
async def test_an_order_that_waits_for_its_holder_is_given_up(shop: Shop) -> None:
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495, stock=5)
    buyer = await shop.buyer()
    order = await shop.order(buyer, [(pot, 2)], card="tok_3ds")
    await buyer.until(f"/orders/{order['id']}", lambda one: (one["payment"] or {}).get("status") == "requires_action")
    await shop.market.settle()
    # Not part of the transcript: the answer is the saga at that moment.
    assert (await shop.admin.send("POST", f"/sagas/{order['id']}/compensate")).status == 202
    failed = await shop.ended(buyer, order["id"])
    assert failed["failure"]["code"] == "orders.cancelled_by_operator"
    await shop.market.settle()
    [item] = (await buyer.get("/cart"))["items"]
    assert (item["quantity"], item["available"]) == (2, 5)
    assert (await buyer.get(f"/orders/{order['id']}"))["payment"]["status"] in {"voided", "failed"}
