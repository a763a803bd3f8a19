"""An Olist folder becomes a marketplace's history. A repeat, also after a crash, writes only what is not there yet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from msgspec import Struct, field

from marketplace_core import calls
from marketplace_core.capabilities.auth import Auth
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.orders import Orders
from marketplace_core.capabilities.payments import ImportPayment, Payments
from marketplace_core.capabilities.reviews import Reviews
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.errors import MarketplaceError
from marketplace_core.ports import IMPORT
from marketplace_core.values import Imported, Money
from marketplace_olist import files
from marketplace_olist import items as made
from marketplace_olist.facts import Facts, OlistCount, read_facts
from marketplace_olist.files import BadOlistRow, OrderRow

__all__ = ["OlistReport", "Ports", "Reconciliation", "Unequal", "import_olist"]

T = TypeVar("T")

BATCH = 500
#: An order whose items and payments differ by no more is told apart from others: cents of rounding.
CENTS = 5

Progress = Callable[[str, int, int], None]
"""Hears of a stage, how much of it is done, and of how much."""


class Ports(Struct, frozen=True):
    auth: Auth
    sellers: Sellers
    catalog: Catalog
    orders: Orders
    payments: Payments
    reviews: Reviews | None

    @classmethod
    def of(cls, port: Callable[[type[Any]], Any]) -> Ports:
        """Without reviews those of the files are skipped. :raises LookupError: the deployment lacks another capability."""
        try:
            reviews = port(Reviews)
        except LookupError:
            reviews = None
        return cls(port(Auth), port(Sellers), port(Catalog), port(Orders), port(Payments), reviews)


class Unequal(Struct, frozen=True):
    """An order by its key in the files; ``difference`` is what was paid less what its items and their freight cost."""

    order: str
    items: Money
    paid: Money
    difference: Money


class Reconciliation(Struct):
    """Of orders with items. ``largest`` is the greatest difference, whichever way, without its sign."""

    orders: int = 0
    equal: int = 0
    different: int = 0
    over_0_05: int = 0
    largest: Money = Money(0, made.CURRENCY)
    items: list[Unequal] = field(default_factory=list)


class OlistReport(Struct):
    """``statuses`` are the files' own; ``drafts``: products without a sale; ``took``: seconds by stage."""

    sellers: OlistCount
    products: OlistCount
    customers: OlistCount
    orders: OlistCount
    items: OlistCount
    payments: OlistCount
    reviews: OlistCount
    orders_with_items: int
    reconciliation: Reconciliation
    statuses: dict[str, int]
    drafts: int
    rejected: list[BadOlistRow]
    seconds: float
    took: dict[str, float]


class Outcome(Protocol):
    @property
    def status(self) -> str: ...
    @property
    def code(self) -> str | None: ...
    @property
    def detail(self) -> str | None: ...


async def import_olist(
    folder: Path, ports: Ports, progress: Progress = lambda _stage, _done, _all: None, *, batch: int = BATCH
) -> OlistReport:
    """``batch``: rows that are written at once. :raises NotAnOlistFolder: nothing of it can be read."""
    began = time.monotonic()
    run = _Run(ports, progress, batch)
    with run.stage("files"):
        run.facts = await asyncio.to_thread(read_facts, folder, lambda done, whole: progress("files", done, whole))
    with calls.scope(calls.Call(origin=IMPORT)):
        await run.sellers()
        await run.people()
        await run.products()
        await run.orders()
        await run.reviews()
    facts = run.facts
    facts.rejected.sort(key=lambda row: (row.file, row.line))
    statuses: dict[str, int] = {}
    for _, row in facts.orders.values():
        statuses[row.order_status] = statuses.get(row.order_status, 0) + 1
    counts = {name: getattr(facts.counts, name) for name in facts.counts.__struct_fields__}
    return OlistReport(
        **counts,
        orders_with_items=len(facts.items),
        reconciliation=reconcile(facts),
        statuses=statuses,
        drafts=len(facts.products.keys() - facts.sold.keys()),
        rejected=facts.rejected,
        seconds=round(time.monotonic() - began, 3),
        took=run.took,
    )


class _Run:
    """Stage after stage; each batch is one transaction of the plugin that keeps it."""

    def __init__(self, ports: Ports, progress: Progress, batch: int) -> None:
        self.ports = ports
        self.facts = Facts()
        self.took: dict[str, float] = {}
        self._progress = progress
        self._batch = batch
        self._strangers: set[str] = set()  # people whose e-mail somebody else has

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.took[name] = round(self.took.get(name, 0.0) + time.monotonic() - began, 3)

    def _batches(self, stage: str, rows: Sequence[T]) -> Iterator[Sequence[T]]:
        for start in range(0, len(rows), self._batch):
            with self.stage(stage):
                yield rows[start : start + self._batch]
            self._progress(stage, min(start + self._batch, len(rows)), len(rows))

    async def sellers(self) -> None:
        rows = list(self.facts.sellers.values())
        for batch in self._batches("sellers", rows):
            given = [made.seller(row.seller_id) for _, row in batch]
            results = await _send(self.ports.sellers.import_sellers, given)
            self._told(self.facts.counts.sellers, files.SELLERS, [line for line, _ in batch], results)

    async def people(self) -> None:
        people = list(self.facts.people.values())
        for batch in self._batches("customers", people):
            results = await _send(self.ports.auth.import_accounts, [made.account(person) for person in batch])
            self._told(self.facts.counts.customers, files.CUSTOMERS, [person.line for person in batch], results)
            self._strangers |= {
                person.row.customer_unique_id
                for person, result in zip(batch, results, strict=True)
                if result.status == "rejected"
            }

    async def products(self) -> None:
        await self.ports.catalog.set_sellers([made.UNSOLD])
        rows = list(self.facts.products.values())
        for batch in self._batches("products", rows):
            given = [made.product(row, self.facts.sold.get(row.product_id)) for _, row in batch]
            results = await _send(self.ports.catalog.import_products, given)
            self._told(self.facts.counts.products, files.PRODUCTS, [line for line, _ in batch], results)

    async def orders(self) -> None:
        """Each batch with its payments: these are told to orders, which have to be there."""
        for batch in self._batches("orders", list(self.facts.orders.values())):
            paid = [made.payment(self.facts, row, known=self._knows(row)) for _, row in batch]
            given = [
                made.order(self.facts, row, payment, known=self._knows(row))
                for (_, row), payment in zip(batch, paid, strict=True)
            ]
            results = await _send(self.ports.orders.import_orders, given)
            self._told(self.facts.counts.orders, files.ORDERS, [line for line, _ in batch], results)
            for order, result in zip(given, results, strict=True):
                _add(self.facts.counts.items, result.status, len(order.lines))
            await self._payments([row for _, row in batch], paid, results)

    async def _payments(
        self, rows: Sequence[OrderRow], paid: Sequence[ImportPayment | None], orders: Sequence[Outcome]
    ) -> None:
        """Those of orders that are there; the others have nowhere to go."""
        count = self.facts.counts.payments
        there: list[tuple[OrderRow, ImportPayment]] = []
        for row, payment, order in zip(rows, paid, orders, strict=True):
            if payment is not None and order.status == "rejected":
                _add(count, "skipped", len(payment.parts))
            elif payment is not None:
                there.append((row, payment))
        results = await _send(self.ports.payments.import_payments, [payment for _, payment in there])
        for (row, _), result in zip(there, results, strict=True):
            lines = [line for line, _ in self.facts.payments[row.order_id]]
            self._told(count, files.PAYMENTS, lines, [result] * len(lines))

    async def reviews(self) -> None:
        """Of people with an account here: others' have no author."""
        port, facts = self.ports.reviews, self.facts
        facts.counts.reviews.skipped += sum(map(len, facts.reviews.values()))
        if port is None:
            return
        rows = [facts.orders[key][1] for key in facts.reviews]
        for batch in self._batches("reviews", [row for row in rows if self._knows(row)]):
            lines = [line for row in batch for line, _ in facts.reviews[row.order_id]]
            facts.counts.reviews.skipped -= len(lines)
            results = await _send(port.import_reviews, [one for row in batch for one in made.reviews(facts, row)])
            self._told(facts.counts.reviews, files.REVIEWS, lines, results)

    def _knows(self, row: OrderRow) -> bool:
        return self.facts.customers[row.customer_id][1].customer_unique_id not in self._strangers

    def _told(self, count: OlistCount, name: str, lines: Sequence[int], results: Sequence[Outcome]) -> None:
        for line, result in zip(lines, results, strict=True):
            if result.status == "rejected":
                bad = BadOlistRow(line, result.code or "rejected", result.detail or "", name)
                self.facts.reject(count, bad)
            else:
                _add(count, result.status, 1)


def _add(count: OlistCount, status: str, number: int) -> None:
    """What belongs to a rejected order has nowhere to go: it is skipped."""
    name = "skipped" if status == "rejected" else status
    setattr(count, name, getattr(count, name) + number)


async def _send(call: Callable[[list[T]], Awaitable[Sequence[Outcome]]], items: list[T]) -> list[Outcome]:
    """One item that is refused with its whole batch does not keep the others out."""
    if not items:
        return []
    try:
        return list(await call(items))
    except MarketplaceError as error:
        if not error.is_refusal:
            raise
        if len(items) == 1:
            return [Imported("rejected", error.code, error.detail)]
    half = len(items) // 2
    return [*await _send(call, items[:half]), *await _send(call, items[half:])]


def reconcile(facts: Facts) -> Reconciliation:
    """What the items of each order cost with their freight, against what was paid."""
    found = Reconciliation()
    largest = 0
    for key in facts.orders.keys() & facts.items.keys():
        items = sum(item.price + item.freight_value for item in facts.items[key])
        paid = sum(row.payment_value for _, row in facts.payments.get(key, ()))
        found.orders += 1
        if items == paid:
            found.equal += 1
            continue
        found.items.append(Unequal(key, _reais(items), _reais(paid), _reais(paid - items)))
        found.over_0_05 += abs(paid - items) > CENTS
        largest = max(largest, abs(paid - items))
    found.items.sort(key=lambda one: one.order)
    found.different, found.largest = len(found.items), _reais(largest)
    return found


def _reais(amount: int) -> Money:
    return Money(amount, made.CURRENCY)
