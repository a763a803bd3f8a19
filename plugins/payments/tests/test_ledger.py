"""The ledger: every set sums to zero, nothing is changed, and balances are the sum of the entries."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from marketplace_payments import ledger, plugin
from marketplace_payments.config import PaymentsConfig
from marketplace_payments.ledger import Entry, EntrySet
from marketplace_payments.service import PaymentService
from marketplace_payments.stores.postgres_ledger import PostgresLedgerStore

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.capabilities.orders import OrderCompleted
from marketplace_core.capabilities.payments import Balance, PaymentCaptured
from marketplace_core.events import Envelope, Event, encode_data
from marketplace_core.values import Money, SystemClock, new_id

SELLERS = ("s1", "s2")
#: By itself: there are no payments in its database.
SCRIPTS = ["CREATE SCHEMA payments_ledger;", *(each.script for each in plugin.migrations() if each.role == "ledger")]


class Books:
    """The service on a database of its own: nothing here asks a gateway."""

    def __init__(self, database: Database, config: PaymentsConfig) -> None:
        self.database = database
        self.units = PostgresUnits(database, SystemClock(), "payments")
        self.store = PostgresLedgerStore(database)
        nothing: Any = None
        self.service = PaymentService(nothing, self.units, nothing, self.store, nothing, nothing, SystemClock(), config)
        self._sequence = 0

    async def tell(self, event: Event) -> None:
        self._sequence += 1
        envelope = Envelope(
            id=new_id(),
            type=event.type,
            version=1,
            key=event.key,
            occurred_at="2026-01-01T00:00:00Z",
            data=msgspec.Raw(encode_data(event)),
            sequence=self._sequence,
        )
        if isinstance(event, PaymentCaptured):
            await self.service.on_payment_captured(envelope)
        else:
            await self.service.on_order_completed(envelope)

    async def check(self) -> None:
        wrong = await self.database.fetch(
            "SELECT set_id FROM payments_ledger.ledger GROUP BY set_id, currency HAVING sum(amount) <> 0"
        )
        assert wrong == []
        differ = await self.database.fetch(
            "SELECT * FROM (SELECT account, currency, sum(amount)::bigint AS amount FROM payments_ledger.ledger"
            " GROUP BY 1, 2) AS l"
            " FULL JOIN payments_ledger.balances b USING (account, currency) WHERE l.amount IS DISTINCT FROM b.amount"
        )
        assert differ == []

    async def account(self, name: str) -> int:
        found = (await self.store.balances([name]))[name]
        return found[0].amount if found else 0


@pytest_asyncio.fixture
async def books(database_factory: Any) -> Books:
    return Books(await database_factory(SCRIPTS), PaymentsConfig())


def captured(order: str = "o1", amount: int = 1000, **more: Any) -> PaymentCaptured:
    currency = more.get("currency", "EUR")
    return PaymentCaptured(
        order_id=order,
        operation_id=more.get("id") or new_id(),
        package_id="p1",
        seller_id=more.get("seller", "s1"),
        amount=Money(amount, currency),
        commission=Money(more.get("commission", 100), currency),
        shipping=Money(more.get("shipping", 0), currency),
        tax=Money(more.get("tax", 0), currency),
        subsidy=Money(more.get("subsidy", 0), currency),
    )


@pytest.mark.behaviour("payments-3")
async def test_a_sale_from_capture_to_completion(books: Books) -> None:
    fact = captured(shipping=200, tax=50)
    await books.tell(fact)
    await books.tell(fact)
    eur = lambda amount: Money(amount, "EUR")  # noqa: E731
    assert (await books.service.get_balances("s1")).items == [Balance("EUR", eur(900), eur(0), eur(0))]
    await books.tell(OrderCompleted(order_id="o1"))
    await books.tell(OrderCompleted(order_id="o1"))
    assert (await books.service.get_balances("s1")).items == [Balance("EUR", eur(0), eur(900), eur(0))]
    await books.tell(captured(amount=500, commission=50, currency="USD"))
    assert [(x.currency, x.pending.amount, x.available.amount) for x in (await books.service.get_balances("s1")).items] == [
        ("EUR", 0, 900),
        ("USD", 0, 450),
    ], "what is captured after the completion can be paid out at once"
    assert (await books.service.get_balances("s2")).items == []
    assert (await books.account("gateway"), await books.account("commission")) == (-1000, 100)
    await books.check()


@pytest.mark.behaviour("payments-3")
async def test_the_marketplace_may_keep_shipping_and_tax(database_factory: Any) -> None:
    config = PaymentsConfig(shipping_to="marketplace", tax_to="marketplace")
    books = Books(await database_factory(SCRIPTS), config)
    await books.tell(captured(shipping=200, tax=50))
    accounts = ("gateway", "commission", "shipping", "tax", "seller:s1:pending")
    assert [await books.account(name) for name in accounts] == [-1000, 100, 200, 50, 650]
    await books.check()


@pytest.mark.behaviour("payments-3")
async def test_the_marketplace_pays_for_its_discounts(books: Books) -> None:
    await books.tell(captured(amount=900, commission=100, subsidy=100))
    await books.tell(captured(amount=0, commission=10, subsidy=100))
    accounts = ("gateway", "discounts", "commission", "seller:s1:pending")
    assert [await books.account(name) for name in accounts] == [-900, -200, 110, 990]
    await books.check()


def _subsidy(fact: PaymentCaptured) -> int:
    return 0 if fact.subsidy is None else fact.subsidy.amount


money = st.integers(0, 10_000)
captures = st.builds(
    captured,
    order=st.sampled_from(["o1", "o2", "o3"]),
    amount=money,
    commission=money,
    shipping=money,
    tax=money,
    subsidy=money,
    seller=st.sampled_from(SELLERS),
    currency=st.sampled_from(["EUR", "JPY"]),
    id=st.integers(1, 6).map(str),
)
completions = st.builds(OrderCompleted, order_id=st.sampled_from(["o1", "o2", "o3"]))


@pytest.mark.behaviour("payments-3")
@settings(max_examples=20, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(captures | completions, max_size=12))
async def test_any_order_of_events_balances(books: Books, events: list[Event]) -> None:
    """Operations of one example have few ids, so facts repeat; orders of different examples are not the same."""
    run = new_id()
    renamed = [_of_run(event, run) for event in events]
    for event in renamed:
        await books.tell(event)
    await books.check()
    first = {event.operation_id: event for event in reversed(renamed) if isinstance(event, PaymentCaptured)}
    completed = {event.order_id for event in renamed if isinstance(event, OrderCompleted)}
    for seller in SELLERS:
        expected: dict[str, list[int]] = {}
        for fact in first.values():
            if fact.seller_id == f"{seller}-{run}":
                sums = expected.setdefault(fact.amount.currency, [0, 0])
                sums[fact.order_id in completed] += fact.amount.amount - fact.commission.amount + _subsidy(fact)
        balances = (await books.service.get_balances(f"{seller}-{run}")).items
        found = {x.currency: [x.pending.amount, x.available.amount] for x in balances}
        assert {k: v for k, v in found.items() if any(v)} == {k: v for k, v in expected.items() if any(v)}


def _of_run(event: Any, run: str) -> Any:
    changed: dict[str, str] = {"order_id": f"{event.order_id}-{run}"}
    if isinstance(event, PaymentCaptured):
        changed |= {"operation_id": f"{event.operation_id}-{run}", "seller_id": f"{event.seller_id}-{run}"}
    return msgspec.structs.replace(event, **changed)


def test_entries_that_do_not_sum_to_zero_are_not_made() -> None:
    with pytest.raises(ledger.Unbalanced):
        ledger._set("x", "o", "p", [Entry("gateway", "sale", Money(-10, "EUR")), Entry("commission", "x", Money(9, "EUR"))])


@pytest.mark.behaviour("payments-3")
async def test_the_database_refuses_what_does_not_balance(books: Books) -> None:
    wrong = EntrySet("x", "o", "p", [Entry("gateway", "sale", Money(-10, "EUR")), Entry("commission", "c", Money(9, "EUR"))])
    with pytest.raises(Exception, match="do not sum to zero"):
        await books.units.run(lambda uow: books.store.post(uow, wrong))
    assert await books.account("gateway") == 0


@pytest.mark.behaviour("payments-3")
@pytest.mark.parametrize("statement", ["UPDATE {} SET amount = 1", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_ledger_is_only_added_to(books: Books, statement: str) -> None:
    await books.tell(captured())
    with pytest.raises(Exception, match="append-only"):
        await books.database.execute(statement.format("payments_ledger.ledger"))
    await books.check()
