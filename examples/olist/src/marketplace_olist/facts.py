"""What an Olist folder says, joined in memory: compact rows by key.

Everything made of it has an id that follows from the folder's own key, so that a repeat finds what it made before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from msgspec import Struct, field

from marketplace_olist import files
from marketplace_olist.files import BadOlistRow, CustomerRow, ItemRow, OrderRow, PaymentRow, ProductRow, ReviewRow, SellerRow

__all__ = ["Facts", "OlistCount", "Person", "read_facts"]


class OlistCount(Struct):
    """``skipped``: what joins to no order of the folder, or has nowhere to go."""

    read: int = 0
    written: int = 0
    unchanged: int = 0
    rejected: int = 0
    skipped: int = 0


class Counts(Struct):
    sellers: OlistCount = field(default_factory=OlistCount)
    products: OlistCount = field(default_factory=OlistCount)
    customers: OlistCount = field(default_factory=OlistCount)
    orders: OlistCount = field(default_factory=OlistCount)
    items: OlistCount = field(default_factory=OlistCount)
    payments: OlistCount = field(default_factory=OlistCount)
    reviews: OlistCount = field(default_factory=OlistCount)


class Person(Struct):
    """Somebody with orders; ``line`` is of the first of the person's rows."""

    line: int
    row: CustomerRow
    orders: list[OrderRow] = field(default_factory=list)


class Facts(Struct):
    """Good rows by key, with their lines. ``sold``: the last sale of a product; items and payments by order, as they count."""

    counts: Counts = field(default_factory=Counts)
    rejected: list[BadOlistRow] = field(default_factory=list)
    sellers: dict[str, tuple[int, SellerRow]] = field(default_factory=dict)
    products: dict[str, tuple[int, ProductRow]] = field(default_factory=dict)
    customers: dict[str, tuple[int, CustomerRow]] = field(default_factory=dict)
    people: dict[str, Person] = field(default_factory=dict)
    orders: dict[str, tuple[int, OrderRow]] = field(default_factory=dict)
    items: dict[str, list[ItemRow]] = field(default_factory=dict)
    payments: dict[str, list[tuple[int, PaymentRow]]] = field(default_factory=dict)
    reviews: dict[str, list[tuple[int, ReviewRow]]] = field(default_factory=dict)
    sold: dict[str, ItemRow] = field(default_factory=dict)

    def reject(self, count: OlistCount, row: BadOlistRow) -> None:
        self.rejected.append(row)
        count.rejected += 1


def read_facts(folder: Path, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Facts:
    """:raises NotAnOlistFolder:"""
    files.check_folder(folder)
    facts = Facts()
    steps = (_read_sellers, _read_products, _read_orders, _read_items, _read_payments, _read_reviews)
    for done, step in enumerate(steps, start=1):
        step(folder, facts)
        progress(done, len(steps))
    return facts


def _read_sellers(folder: Path, facts: Facts) -> None:
    rows = files.read(folder, files.SELLERS, SellerRow)
    facts.sellers = dict(_by_key(facts, facts.counts.sellers, files.SELLERS, rows, lambda row: row.seller_id))


def _read_products(folder: Path, facts: Facts) -> None:
    rows = files.read(folder, files.PRODUCTS, ProductRow)
    facts.products = dict(_by_key(facts, facts.counts.products, files.PRODUCTS, rows, lambda row: row.product_id))


def _read_orders(folder: Path, facts: Facts) -> None:
    """An order needs its customer, whose bad row is told; a customer without an order is skipped."""
    customers = OlistCount()
    rows = files.read(folder, files.CUSTOMERS, CustomerRow)
    facts.customers = dict(_by_key(facts, customers, files.CUSTOMERS, rows, lambda row: row.customer_id))
    orders = files.read(folder, files.ORDERS, OrderRow)
    for key, (line, order) in _by_key(facts, facts.counts.orders, files.ORDERS, orders, lambda row: row.order_id):
        if order.customer_id not in facts.customers:
            _miss(facts, facts.counts.orders, line, files.ORDERS, "customer_id", order.customer_id)
            continue
        facts.orders[key] = line, order
        of_customer, customer = facts.customers[order.customer_id]
        facts.people.setdefault(customer.customer_unique_id, Person(of_customer, customer)).orders.append(order)
    people = {customer.customer_unique_id for _, customer in facts.customers.values()}
    facts.counts.customers = OlistCount(
        read=len(people) + customers.rejected, rejected=customers.rejected, skipped=len(people) - len(facts.people)
    )


def _read_items(folder: Path, facts: Facts) -> None:
    count = facts.counts.items
    for line, row in files.read(folder, files.ITEMS, ItemRow, facts.orders.__contains__):
        count.read += 1
        if row is None:
            count.skipped += 1
            continue
        if isinstance(row, BadOlistRow):
            facts.reject(count, row)
            continue
        others = facts.items.get(row.order_id, [])
        if row.product_id not in facts.products:
            _miss(facts, count, line, files.ITEMS, "product_id", row.product_id)
        elif row.seller_id not in facts.sellers:
            _miss(facts, count, line, files.ITEMS, "seller_id", row.seller_id)
        elif any(other.order_item_id == row.order_item_id for other in others):
            facts.reject(count, _twice(line, files.ITEMS, "order_item_id", str(row.order_item_id)))
        else:
            facts.items[row.order_id] = sorted([*others, row], key=lambda item: item.order_item_id)
            _sold(facts, row)


def _sold(facts: Facts, row: ItemRow) -> None:
    last = facts.sold.get(row.product_id)
    if last is None or _when(facts, row) > _when(facts, last):
        facts.sold[row.product_id] = row


def _when(facts: Facts, row: ItemRow) -> tuple[object, ...]:
    return facts.orders[row.order_id][1].order_purchase_timestamp, row.order_id, row.order_item_id


def _read_payments(folder: Path, facts: Facts) -> None:
    count = facts.counts.payments
    for line, row in files.read(folder, files.PAYMENTS, PaymentRow, facts.orders.__contains__):
        count.read += 1
        if row is None:
            count.skipped += 1
        elif isinstance(row, BadOlistRow):
            facts.reject(count, row)
        else:
            others = facts.payments.get(row.order_id, [])
            if any(other.payment_sequential == row.payment_sequential for _, other in others):
                facts.reject(count, _twice(line, files.PAYMENTS, "payment_sequential", str(row.payment_sequential)))
            else:
                facts.payments[row.order_id] = sorted([*others, (line, row)], key=lambda one: one[1].payment_sequential)


def _read_reviews(folder: Path, facts: Facts) -> None:
    """A review is of an order; one of an order without items is of nothing, and is skipped."""
    count = facts.counts.reviews
    for line, row in files.read(folder, files.REVIEWS, ReviewRow, facts.items.__contains__):
        count.read += 1
        if row is None:
            count.skipped += 1
        elif isinstance(row, BadOlistRow):
            facts.reject(count, row)
        else:
            others = facts.reviews.setdefault(row.order_id, [])
            if len(others) == len(facts.items[row.order_id]):  # there is one of each line
                facts.reject(count, _twice(line, files.REVIEWS, "order_id", row.order_id))
            else:
                others.append((line, row))


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_key(
    facts: Facts,
    count: OlistCount,
    name: str,
    rows: Iterable[tuple[int, files.R | BadOlistRow | None]],
    key: Callable[[files.R], str],
) -> Iterator[tuple[str, tuple[int, files.R]]]:
    """The good rows by key; a key that stands there twice is rejected."""
    seen: set[str] = set()
    for line, row in rows:
        count.read += 1
        if isinstance(row, BadOlistRow):
            facts.reject(count, row)
        elif row is not None:
            own = key(row)
            if own in seen:
                facts.reject(count, _twice(line, name, row.__struct_fields__[0], own))
            else:
                seen.add(own)
                yield own, (line, row)


def _twice(line: int, name: str, column: str, key: str) -> BadOlistRow:
    return BadOlistRow(line, "duplicate", f"{column}: {key!r} stands on an earlier line.", name)


def _miss(facts: Facts, count: OlistCount, line: int, name: str, column: str, key: str) -> None:
    facts.reject(count, BadOlistRow(line, "not_found", f"{column}: {key!r} is in none of the folder's files.", name))
