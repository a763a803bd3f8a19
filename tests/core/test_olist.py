"""``import olist`` with small invented folders: bad rows are told and cost nothing else; repeats and crashes change nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

import pytest
from marketplace_olist.files import NotAnOlistFolder
from marketplace_olist.history import OlistReport, Ports, import_olist

from marketplace_core.capabilities.auth import AccountQuery, Auth, Client, Credentials, Registration
from marketplace_core.capabilities.catalog import Catalog, ProductQuery
from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery
from marketplace_core.capabilities.orders import AdminOrderQuery, Order, Orders, PackageQuery, ShipRequest
from marketplace_core.capabilities.payments import Payments
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.capabilities.users import Users
from marketplace_core.errors import Conflict, Unauthorized
from marketplace_core.testing._forks import command
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money, derived_id
from tests.scenarios import olist_process
from tests.scenarios.olist_folder import HEADERS, WHOLE, counts, folder

PLUGINS = ["auth", "users", "sellers", "catalog", "cart", "orders", "payments", "logistics", "orchestrator"]
Open = Callable[..., Awaitable[Marketplace]]


async def imported(market: Marketplace, path: Path, **options: Any) -> OlistReport:
    return await import_olist(path, Ports.of(market.port), **options)


async def order_of(market: Marketplace, key: str) -> Order:
    [order] = (await market.port(Orders).search_orders(AdminOrderQuery(number=f"olist:{key}"))).items
    [whole] = await market.port(Orders).get_orders([order.id])
    return whole


def test_an_id_follows_from_a_key() -> None:
    first, again, other = derived_id("olist/order/o1"), derived_id("olist/order/o1"), derived_id("olist/order/o2")
    assert first == again != other
    parsed = UUID(first)
    assert (str(parsed), parsed.version, parsed.variant) == (first, 7, RFC_4122)


# ── what it becomes ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("runner", ["wire"])
async def test_a_history_is_shown_and_begins_nothing(tmp_path: Path, marketplace: Open, runner: str) -> None:
    market = await marketplace(PLUGINS, runner=runner)
    report = await imported(market, folder(tmp_path))
    assert (counts(report), report.rejected) == (WHOLE, [])
    found = report.reconciliation
    assert (found.orders, found.equal, found.different, found.over_0_05) == (4, 2, 2, 1)
    assert found.largest == Money(6, "BRL")
    told = [(one.order, one.items.amount, one.paid.amount, one.difference.amount) for one in found.items]
    assert told == [("o2", 9800, 9804, 4), ("o3", 4600, 4606, 6)]
    await market.settle()

    first = await order_of(market, "o1")
    assert (first.status, first.total, first.shipping) == ("delivered", Money(26650, "BRL"), Money(2550, "BRL"))
    assert [package.status for package in first.packages] == ["delivered", "delivered"]
    assert [line.shipped for package in first.packages for line in package.items] == [1, 1, 1]
    assert first.payment is not None and first.payment.captured == Money(26650, "BRL")
    assert [entry.type for entry in first.timeline] == [
        "orders.placed",
        "orders.confirmed",
        "orders.package_shipped",
        "shipment.delivered",
    ]
    assert (first.address.postal_code, first.address.region) == ("01234", "PE")
    statuses = {key: (await order_of(market, key)).status for key in ("o2", "o3", "o4", "o5", "o6")}
    assert statuses == {"o2": "shipped", "o3": "confirmed", "o4": "cancelled", "o5": "cancelled", "o6": "pending"}

    assert (await market.port(Orchestrator).list_sagas(SagaQuery())).items == []
    database = market.process.resources.database("main")
    for table in ("payments.ledger_sets", "logistics.shipments", "catalog.reservations", "marketplace.parked"):
        assert await database.value(f"SELECT count(*) AS n FROM {table}") == 0, table  # noqa: S608 - constants
    assert await database.value("SELECT count(*) AS n FROM marketplace.outbox WHERE kind = 'job'") == 0
    assert await database.value("SELECT min(on_hand - reserved - allocated) AS n FROM catalog.variants") == 10


async def test_events_are_those_of_a_purchase_at_their_own_time(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(PLUGINS, worker=False)
    await imported(market, folder(tmp_path))
    rows = await market.process.resources.database("main").fetch(
        "SELECT type, payload::json->>'occurred_at' AS at, payload::json->>'origin' AS origin FROM marketplace.outbox"
        " WHERE topic IN ('orders', 'payments') AND key = $1 ORDER BY topic, sequence",
        (await order_of(market, "o1")).id,
    )
    assert {row["origin"] for row in rows} == {"import"}
    assert [(row["type"], row["at"]) for row in rows] == [
        ("orders.placed", "2017-01-02T10:00:00Z"),
        ("orders.confirmed", "2017-01-02T11:00:00Z"),
        ("orders.package_shipped", "2017-01-03T09:00:00Z"),
        ("orders.package_shipped", "2017-01-03T09:00:00Z"),
        ("orders.package_delivered", "2017-01-08T12:00:00Z"),
        ("orders.package_delivered", "2017-01-08T12:00:00Z"),
        ("payments.changed", "2017-01-02T11:00:00Z"),
    ]


async def test_products_have_the_seller_and_the_price_of_their_last_sale(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(PLUGINS, worker=False)
    report = await imported(market, folder(tmp_path))
    cards = {card.title: card for card in (await market.port(Catalog).list_products(ProductQuery())).items}
    assert cards.keys() == {"bules pot", "luzes lantern"} and report.drafts == 1
    pot = cards["bules pot"]
    assert (pot.price, pot.seller.name, pot.in_stock) == (Money(9000, "BRL"), "olist:lamp", True)
    page = (await market.port(Catalog).get_product(pot.id)).page
    assert page is not None and page.category is not None
    assert page.category.path == ["bules"] and page.attributes["weight_g"] == 900
    assert [(variant.sku, variant.available) for variant in page.variants] == [("pot", 10)]

    sold = ["o6,1,spoon,kettle,2017-06-05 00:00:00,7.5,1"]
    later = await imported(market, folder(tmp_path, order_items=sold))
    assert (later.products.written, later.products.unchanged, later.drafts) == (1, 2, 0)
    cards = {card.title: card for card in (await market.port(Catalog).list_products(ProductQuery())).items}
    assert (cards["spoon"].price, cards["spoon"].seller.name) == (Money(750, "BRL"), "olist:kettle")


async def test_people_have_an_account_that_nobody_can_open(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(PLUGINS)
    await imported(market, folder(tmp_path))
    await market.settle()
    [account] = (await market.port(Auth).list_accounts(AccountQuery(email="ana@olist.invalid"))).items
    assert (account.name, account.created_at.year) == ("Customer ana", 2017)
    assert (await market.port(Users).get_profile(account.id)).name == "Customer ana"
    assert (await order_of(market, "o1")).email == account.email
    with pytest.raises(Unauthorized) as refused:
        await market.port(Auth).log_in(Credentials(account.email, "ana"), Client("buyer"))
    assert refused.value.code == "auth.bad_credentials"


async def test_history_is_neither_cancelled_nor_shipped(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(PLUGINS)
    await imported(market, folder(tmp_path))
    order = await order_of(market, "o3")
    [package] = order.packages
    orders = market.port(Orders)
    assert [one.id for one in (await orders.list_packages(package.seller.id, PackageQuery(status="confirmed"))).items]
    with pytest.raises(Conflict) as refused:
        await orders.cancel_by_operator(order.id, None, "too late")
    assert refused.value.code == "orders.not_cancellable"
    with pytest.raises(Conflict) as refused:
        await orders.ship(package.seller.id, package.id, ShipRequest())
    assert refused.value.code == "orders.not_shippable"
    assert (await market.port(Payments).get_balances(package.seller.id)).items == []
    await market.clock.advance(90 * 86400)
    await market.settle()
    assert (await order_of(market, "o1")).status == "delivered"


# ── again ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_run_changes_nothing(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(PLUGINS, worker=False)
    await imported(market, folder(tmp_path))
    before = await _everything(market)
    again = await imported(market, tmp_path, batch=2)
    assert counts(again) == {name: (read, 0, written, 0, skipped) for name, (read, written, _, _, skipped) in WHOLE.items()}
    assert await _everything(market) == before


@pytest.mark.timeout(300)
@pytest.mark.costly("an import that is killed at one point after the other")
async def test_whenever_it_is_killed_the_next_run_ends_it(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(PLUGINS, worker=False)
    folder(tmp_path)
    for seed in (4, 2, 3, 1, 11, 10):  # after 2, 3, 6, 9, 11 and 14 points
        doomed = await olist_process.start(market, tmp_path, batch=2, failpoints=f"{seed}:8")
        assert await doomed.wait() == -signal.SIGKILL, seed
    report = await imported(market, tmp_path, batch=2)
    assert {name: (read, written + same, skipped) for name, (read, written, same, _, skipped) in counts(report).items()} == {
        name: (read, written, skipped) for name, (read, written, _, _, skipped) in WHOLE.items()
    }
    assert 0 < sum(written for _, written, *_ in counts(report).values()) < sum(written for _, written, *_ in WHOLE.values())
    killed = await _everything(market)
    whole = await marketplace(PLUGINS, worker=False)
    await imported(whole, tmp_path)
    assert await _everything(whole) == killed


async def _everything(market: Marketplace) -> dict[str, Any]:
    """What is kept and what was told, without what a clock or chance has made."""
    database = market.process.resources.database("main")
    queries = {
        "orders": "SELECT id, number, status, document::text FROM orders.orders ORDER BY id",
        "packages": "SELECT id, order_id, status FROM orders.packages ORDER BY id",
        "payments": "SELECT id, order_id, document::text FROM payments.payments ORDER BY id",
        "operations": "SELECT id, kind, amount FROM payments.operations ORDER BY id",
        "people": "SELECT id, email, created_at FROM auth.accounts ORDER BY id",
        "shops": "SELECT id, name, status FROM sellers.shops ORDER BY id",
        "known": "SELECT id, name, active FROM catalog.sellers ORDER BY id",
        "products": "SELECT id, seller_id, title, status, price FROM catalog.products ORDER BY id",
        "variants": "SELECT id, product_id, on_hand FROM catalog.variants ORDER BY id",
        "events": "SELECT topic, key, sequence, type FROM marketplace.outbox ORDER BY topic, key, sequence",
    }
    return {name: await database.fetch(query) for name, query in queries.items()}


# ── what is bad ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_bad_rows_are_listed_and_nothing_else_is_lost(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(PLUGINS, worker=False)
    bad = {
        "sellers": ["kettle,1,recife,PE", "s 3,1,recife,PE", "s4,1"],
        "products": ["heavy,bules,a lot,,,"],
        "customers": ["c7,eva,,recife,PE", "c8,fabio,1,recife,PE"],
        "orders": [
            "o7,c7,delivered,2017-07-02 10:00:00,,,,",
            "o8,c1,lost,2017-07-02 10:00:00,,,,",
            "o9,c1,delivered,yesterday,,,,",
            "o1,c1,delivered,2017-07-02 10:00:00,,,,",
        ],
        "order_items": [
            "o1,4,pot,kettle,,1.999,0",
            "o1,5,pot,kettle,,0,0",
            "o1,6,heavy,kettle,,1,0",
            "o1,7,pot,nobody,,1,0",
            "o1,1,pot,kettle,,1,0",
            "o9,1,pot,kettle,,free,0",
        ],
        "order_payments": ["o1,1,credit_card,1,1", "o1,3,voucher,1,-1"],
    }
    report = await imported(market, folder(tmp_path, **bad))
    told = [(row.file.removeprefix("olist_").removesuffix("_dataset.csv"), row.line, row.code) for row in report.rejected]
    assert told == [
        ("customers", 8, "required"),
        ("order_items", 8, "range"),
        ("order_items", 9, "range"),
        ("order_items", 10, "not_found"),
        ("order_items", 11, "not_found"),
        ("order_items", 12, "duplicate"),
        ("order_payments", 9, "duplicate"),
        ("order_payments", 10, "range"),
        ("orders", 8, "not_found"),
        ("orders", 9, "unknown_value"),
        ("orders", 10, "format"),
        ("orders", 11, "duplicate"),
        ("products", 5, "type"),
        ("sellers", 4, "duplicate"),
        ("sellers", 5, "format"),
        ("sellers", 6, "malformed"),
    ]
    assert report.rejected[1].detail == "price: An amount has at most 2 decimal places."
    assert counts(report) == {
        "sellers": (5, 2, 0, 3, 0),
        "products": (4, 3, 0, 1, 0),
        "customers": (6, 4, 0, 1, 1),
        "orders": (10, 6, 0, 4, 0),
        "items": (12, 6, 0, 5, 1),
        "payments": (9, 6, 0, 2, 1),
        "reviews": (2, 0, 0, 0, 2),
    }


async def test_what_is_somebody_elses_here_is_rejected_alone(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(PLUGINS, worker=False)
    await market.port(Sellers).ensure_sellers(["OLIST:lamp"], None)
    registration = Registration("bia@olist.invalid", "correct horse battery", "Bia")
    await market.port(Auth).ensure_account(registration, ())
    report = await imported(market, folder(tmp_path))
    told = [(row.file, row.line, row.code) for row in report.rejected]
    assert told == [
        ("olist_customers_dataset.csv", 4, "auth.email_taken"),
        ("olist_products_dataset.csv", 2, "not_found"),
        ("olist_products_dataset.csv", 3, "not_found"),
        ("olist_sellers_dataset.csv", 3, "duplicate"),
    ]
    assert (report.orders.written, report.items.written, report.payments.written) == (6, 6, 6)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("orders", None, "has no olist_orders_dataset.csv"),
        ("orders", b"order_id\n", "lacks the column 'customer_id'"),
        ("order_reviews", b'"open\n', "is not CSV"),
        ("sellers", b"\xff\xfe", "is not UTF-8"),
    ],
)
async def test_a_folder_that_is_something_else_is_refused(
    tmp_path: Path, marketplace: Open, name: str, content: bytes | None, said: str
) -> None:
    market = await marketplace(PLUGINS, worker=False)
    path = folder(tmp_path) / f"olist_{name}_dataset.csv"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(NotAnOlistFolder, match=said):
        await imported(market, tmp_path)
    assert await market.process.resources.database("main").value("SELECT count(*) AS n FROM sellers.shops") == 0


# ── the command ──────────────────────────────────────────────────────────────────────────────────────────────


def test_the_command_reports_on_standard_output(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="mp-") as data:  # not pytest's: PostgreSQL's user could not pass it
        Path(data).chmod(0o711)

        def run(*arguments: str) -> subprocess.CompletedProcess[str]:
            return command("import", "olist", *arguments, "--data", f"{data}/data")

        nothing = run(str(tmp_path))
        assert nothing.returncode == 2 and "olist_sellers_dataset.csv" in nothing.stderr
        assert not Path(data, "data").exists(), "no server was started for it"
        shown = run(str(folder(tmp_path, sellers=["kettle,1,recife,PE"])))
        assert shown.returncode == 0
        assert "orders: 6 read, 6 written, 0 unchanged, 0 rejected, 0 skipped" in shown.stdout
        assert "olist_sellers_dataset.csv line 4: duplicate: seller_id: 'kettle' stands on an earlier line." in shown.stdout
        done = run(str(tmp_path), "--json")
        assert done.returncode == 0
        report = json.loads(done.stdout.splitlines()[-1])
        assert report["items"] == {"read": 6, "written": 0, "unchanged": 6, "rejected": 0, "skipped": 0}
        found = report["reconciliation"]
        assert found["largest"] == {"amount": 6, "currency": "BRL"} and found["over_0_05"] == 1
        assert [sorted(one) for one in found["items"]] == [["difference", "items", "order", "paid"]] * 2
        for name, header in HEADERS.items():
            (tmp_path / f"olist_{name}_dataset.csv").write_text(f"{header}\n")
        assert run(str(tmp_path)).returncode == 2, "no row is good"
