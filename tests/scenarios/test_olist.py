"""A real marketplace's history: imported while it is killed once, it is whole, begins nothing, and its products are bought."""

from __future__ import annotations

import asyncio
import csv
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from marketplace_olist.facts import OlistCount
from marketplace_olist.history import OlistReport, Ports, import_olist

from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery
from marketplace_core.testing.shop import Shop
from marketplace_core.values import Money
from tests.scenarios import olist_process

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "olist"
RECORDED = False

#: read, and of that written (or unchanged) and skipped
FIGURES = {
    "sellers": (3095, 3095, 0),
    "products": (32951, 32951, 0),
    "customers": (9920, 9920, 0),
    "orders": (10000, 10000, 0),
    "items": (11252, 11252, 0),
    "payments": (103886, 10515, 93371),
    "reviews": (6123, 0, 6123),
}
STATUSES = {
    "delivered": 9649,
    "shipped": 104,
    "unavailable": 98,
    "canceled": 57,
    "processing": 47,
    "invoiced": 43,
    "created": 2,
}
BEGUN = {  # what would be there if an import began anything
    "jobs": "SELECT count(*) AS n FROM marketplace.outbox WHERE relayed_at IS NULL AND kind <> 'event'",
    "acts": "SELECT count(*) AS n FROM marketplace.outbox WHERE relayed_at IS NULL AND payload::json->>'origin' <> 'import'",
    "stock": "SELECT count(*) AS n FROM catalog.variants WHERE (on_hand, reserved, allocated) <> (10, 0, 0)",
    "reservations": "SELECT count(*) AS n FROM catalog.reservations",
    "parcels": "SELECT count(*) AS n FROM logistics.shipments",
    "asked": "SELECT count(*) AS n FROM payments.operations WHERE status <> 'done'",
    "to ask": "SELECT count(*) AS n FROM payments.payments WHERE ask_at IS NOT NULL",
    "ledger": "SELECT count(*) AS n FROM payments.ledger_sets",
    "to complete": "SELECT count(*) AS n FROM orders.orders WHERE complete_at IS NOT NULL",
    "numbers": "SELECT count(*) AS n FROM orders.series",
}


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not here: the data is not part of the project")
@pytest.mark.costly("a real data set of many thousand rows")
@pytest.mark.parametrize("runner", ["local"])
async def test_a_real_history_is_imported_killed_and_imported_again(shop: Shop) -> None:
    market = shop.market
    await market.settle()
    await market.stop_worker()
    database = market.process.resources.database("main")

    async def count(query: str) -> int:
        found: int = await database.value(query)
        return found

    doomed = await olist_process.start(market, DATA)
    while await count("SELECT count(*) AS n FROM orders.orders") < 2000:
        assert doomed.returncode is None
        await asyncio.sleep(0.05)
    doomed.send_signal(signal.SIGKILL)
    assert await doomed.wait() == -signal.SIGKILL

    ports = Ports.of(market.port)
    report = await import_olist(DATA, ports)
    assert 0 < report.orders.written < 10000 and report.sellers.unchanged == 3095
    _check(report)
    events = await count("SELECT count(*) AS n FROM marketplace.outbox")
    again = await import_olist(DATA, ports)
    _check(again)
    assert not any(_count(again, name).written for name in FIGURES)
    assert await count("SELECT count(*) AS n FROM marketplace.outbox") == events

    for name, query in BEGUN.items():
        assert await count(query) == 0, name
    assert await count("SELECT count(*) AS n FROM catalog.products WHERE status = 'published'") == 6123
    assert await count("SELECT count(*) AS n FROM catalog.products WHERE status = 'draft' AND price IS NULL") == 26828
    # What each of these events begins, which is nothing, is shown with a small folder: it would take a minute here.
    await database.execute("UPDATE marketplace.outbox SET relayed_at = now()")
    await market.start_worker()
    await market.settle()
    assert (await market.port(Orchestrator).list_sagas(SagaQuery())).items == []
    await _look(shop)
    await _buy(shop)


def _check(report: OlistReport) -> None:
    for name, figures in FIGURES.items():
        found = _count(report, name)
        assert (found.read, found.written + found.unchanged, found.skipped) == figures, name
        assert found.rejected == 0, name
    assert report.rejected == []
    assert (report.orders_with_items, report.drafts, report.statuses) == (9889, 26828, STATUSES)
    found = report.reconciliation
    assert (found.orders, found.equal, found.different, found.over_0_05) == (9889, 9830, 59, 25)
    assert found.largest == Money(3809, "BRL")
    assert len(found.items) == 59
    assert max(abs(one.difference.amount) for one in found.items) == 3809
    assert all(one.paid - one.items == one.difference for one in found.items)


def _count(report: OlistReport, name: str) -> OlistCount:
    found: OlistCount = getattr(report, name)
    return found


async def _look(shop: Shop) -> None:
    """An operator finds an order by its number; it is over, whoever wants to change it."""
    key, paid = _first_order()
    [order] = (await shop.admin.get(f"/orders?number=olist:{key}"))["items"]
    assert (order["status"], order["created_at"][:4], order["address"]["country"]) == ("delivered", "2017", "BR")
    assert order["total"] == order["payment"]["captured"] == {"amount": sum(paid), "currency": "BRL"}
    payment = await shop.admin.get(f"/payments/{order['payment']['id']}")
    assert [one["kind"] for one in payment["operations"]] == ["authorize"] + ["capture"] * len(paid)
    assert [one["amount"]["amount"] for one in payment["operations"][1:]] == paid
    page = await shop.admin.get("/orders?status=shipped&limit=100")
    assert len(page["items"]) == 100 and page["next"] is not None
    [confirmed, *_] = (await shop.admin.get("/orders?status=confirmed"))["items"]
    refused = await shop.admin.post(f"/orders/{confirmed['id']}/cancel", {"reason": "too late"}, 409)
    assert refused["code"] == "orders.not_cancellable"


def _first_order() -> tuple[str, list[int]]:
    """The first order of the files, which was delivered and paid as billed: its key, and each of its payments."""
    with (DATA / "olist_orders_dataset.csv").open(newline="") as file:
        key = next(csv.DictReader(file))["order_id"]
    with (DATA / "olist_order_payments_dataset.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["order_id"] == key]
    rows.sort(key=lambda row: int(row["payment_sequential"]))
    return key, [int(Decimal(row["payment_value"]) * 100) for row in rows]


async def _buy(shop: Shop) -> None:
    buyer = await shop.buyer()
    [card] = (await buyer.get("/products?sort=-price&limit=1"))["items"]
    assert card["price"]["currency"] == "BRL" and card["seller"]["name"].startswith("olist:")
    product: Any = await buyer.get(f"/products/{card['slug']}")
    assert product["variants"][0]["available"] == 10
    placed = await shop.order(buyer, [(product, 1)])
    order = await shop.ended(buyer, placed["id"])
    assert (order["status"], order["number"], order["total"]["currency"]) == ("confirmed", "000001", "BRL")
    assert (await buyer.get(f"/products/{card['slug']}"))["variants"][0]["available"] == 9
