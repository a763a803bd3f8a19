"""A real marketplace's history: imported while it is killed once, it is whole, begins nothing, and its products are bought."""

from __future__ import annotations

import asyncio
import csv
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from marketplace_analytics.commands import batches
from marketplace_olist.facts import OlistCount
from marketplace_olist.history import OlistReport, Ports, import_olist

from marketplace_core.capabilities.analytics import Analytics
from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery
from marketplace_core.testing.shop import Shop
from tests.scenarios import olist_process
from tests.scenarios.olist_slice import Sums, by_month, slice_of

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "olist"
RECORDED = False

#: Reports are opened by one process, for half a second and 400 MB: only where they are looked at.
WITH = ("analytics",)
#: So many orders by chance, beside all that are reviewed; and what joins to nothing. The whole takes two
#: minutes: it is measured by the bench, and read in ``tests/core/test_olist_whole.py``.
ORDERS, MORE = 250, 100

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
@pytest.mark.costly("a real data set of some thousand rows")
@pytest.mark.parametrize("runner", ["local"])
async def test_a_real_history_is_imported_killed_and_imported_again(shop: Shop, tmp_path: Path) -> None:
    source = slice_of(DATA, tmp_path / "olist", orders=ORDERS, more=MORE, seed=15)
    market = shop.market
    await market.settle()
    await market.stop_worker()
    database = market.process.resources.database("main")

    async def count(query: str) -> int:
        found: int = await database.value(query)
        return found

    doomed = await olist_process.start(market, source, batch=100)
    while await count("SELECT count(*) AS n FROM orders.orders") < 200:
        assert doomed.returncode is None
        await asyncio.sleep(0.02)
    doomed.send_signal(signal.SIGKILL)
    assert await doomed.wait() == -signal.SIGKILL

    sums = Sums(source, market.clock.now().date())
    report = await import_olist(source, Ports.of(market.port))
    assert 0 < report.orders.written < len(sums.orders) and report.sellers.unchanged == report.sellers.read
    _check(report, sums)
    events = await count("SELECT count(*) AS n FROM marketplace.outbox")
    again = await import_olist(source, Ports.of(market.port))
    _check(again, sums)
    assert not any(_count(again, name).written for name in KINDS)
    assert await count("SELECT count(*) AS n FROM marketplace.outbox") == events

    for name, query in BEGUN.items():
        assert await count(query) == 0, name
    paid = "SELECT sum((document->'captured'->>'amount')::bigint)::bigint FROM payments.payments"
    assert await count(paid) == sums.paid()
    await _report(shop, sums)
    # What each of these events begins, which is nothing, is shown with a small folder: it would take a minute here.
    await database.execute("UPDATE marketplace.outbox SET relayed_at = now()")
    await market.start_worker()
    await market.settle()
    assert (await market.port(Orchestrator).list_sagas(SagaQuery())).items == []
    await _look(shop, source)
    await _buy(shop)


KINDS = ("sellers", "products", "customers", "orders", "items", "payments", "reviews")


def _check(report: OlistReport, sums: Sums) -> None:
    assert [(row.file, row.code) for row in report.rejected] == [("olist_order_reviews_dataset.csv", "duplicate")]
    for name in KINDS:
        found = _count(report, name)
        assert found.read == found.written + found.unchanged + found.skipped + found.rejected, name
    assert report.orders.skipped == report.items.skipped == 0
    assert (report.payments.skipped, report.reviews.skipped) == (MORE, MORE + len(sums.of_nothing))
    assert report.statuses == sums.statuses()
    joined = (report.payments, report.reviews, report.orders)
    written = [one.written + one.unchanged for one in joined]
    assert written == [len(sums.payments), len(sums.reviews), len(sums.orders)]


def _count(report: OlistReport, name: str) -> OlistCount:
    found: OlistCount = getattr(report, name)
    return found


async def _report(shop: Shop, sums: Sums) -> None:
    """What was told, taken in as ``analytics rebuild`` does, against the same by plain Python: to the cent and the count."""
    analytics = shop.market.port(Analytics)
    async for batch in batches(shop.market.process, ()):
        assert await analytics.restore(batch) == len(batch)

    async def months(name: str) -> list[dict[str, Any]]:
        found = await shop.admin.get(f"/reports/{name}?interval=month&from=2016-01-01&to=2019-12-31")
        items: list[dict[str, Any]] = found["items"]
        return items

    sold = by_month(await months("sales"), lambda item: (item["orders"], item["units"], item["gross"]["amount"]))
    assert {month: sum_ for month, sum_ in sold.items() if any(sum_)} == sums.sales() and len(sold) >= 12
    whole = await months("overview")
    paid = by_month(whole, lambda item: item["paid"]["amount"])
    assert {month: amount for month, amount in paid.items() if amount} == sums.paid_by_month()
    assert sum(paid.values()) == sums.paid() > 0
    states = by_month(whole, lambda item: {one["region"]: one["orders"] for one in item["regions"]})
    assert {month: orders for month, orders in states.items() if orders} == sums.states() and len(states) >= 12
    late = by_month(await months("lateness"), lambda item: (item["shipped"], item["late"]))
    assert late == sums.lateness() and sum(count for _, count in late.values()) > 30
    scores = by_month(await months("ratings"), lambda item: (item["reviews"], item["average"]))
    assert scores == sums.scores() and sum(count for count, _ in scores.values()) > 600


async def _look(shop: Shop, source: Path) -> None:
    """An operator finds an order by its number; it is over, whoever wants to change it."""
    key, paid = _first_order(source)
    [order] = (await shop.admin.get(f"/orders?number=olist:{key}"))["items"]
    assert (order["status"], order["created_at"][:4], order["address"]["country"]) == ("delivered", "2017", "BR")
    assert order["total"] == order["payment"]["captured"] == {"amount": sum(paid), "currency": "BRL"}
    payment = await shop.admin.get(f"/payments/{order['payment']['id']}")
    assert [one["kind"] for one in payment["operations"]] == ["authorize"] + ["capture"] * len(paid)
    assert [one["amount"]["amount"] for one in payment["operations"][1:]] == paid
    page = await shop.admin.get("/orders?status=delivered&limit=100")
    assert len(page["items"]) == 100 and page["next"] is not None
    [confirmed, *_] = (await shop.admin.get("/orders?status=confirmed"))["items"]
    refused = await shop.admin.post(f"/orders/{confirmed['id']}/cancel", {"reason": "too late"}, 409)
    assert refused["code"] == "orders.not_cancellable"


def _first_order(source: Path) -> tuple[str, list[int]]:
    """The first order of the files, which was delivered and paid as billed: its key, and each of its payments."""
    with (source / "olist_orders_dataset.csv").open(newline="") as file:
        key = next(row["order_id"] for row in csv.DictReader(file) if row["order_status"] == "delivered")
    with (source / "olist_order_payments_dataset.csv").open(newline="") as file:
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
