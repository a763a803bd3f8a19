"""What the invoices of Online Retail say of purchases: each line is of an order, takes units of one back, or is rejected.

The files say nothing of when something was sent, and have no currency: it is a British shop's.
"""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path

from marketplace_online_retail.convert import (
    NOT_GOODS,
    NOT_OF_GOODS,
    PRICE_BELOW_A_PENNY,
    PRICE_NOT_POSITIVE,
    InputError,
    opened,
)

__all__ = ["CAUSES", "Bought", "History", "Invoice", "read_history"]

MALFORMED = "malformed"
ADJUSTMENT = "adjustment"
QUANTITY_NOT_POSITIVE = "quantity_not_positive"
CANCELS_NOTHING = "cancels_nothing"
#: In the order in which they are tested; a line is rejected for the first that applies.
CAUSES = (
    MALFORMED,
    ADJUSTMENT,
    NOT_OF_GOODS,
    PRICE_NOT_POSITIVE,
    PRICE_BELOW_A_PENNY,
    QUANTITY_NOT_POSITIVE,
    CANCELS_NOTHING,
)
COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")


class Rejected(Exception):
    """``str()`` is the cause."""


@dataclass
class Bought:
    """A line of an invoice: ``price`` in pence. ``cancelled``: units that later lines took back, the last of them ``at``."""

    line: int
    code: str
    title: str
    quantity: int
    price: int
    cancelled: int = 0
    cancelled_at: datetime | None = None

    @property
    def left(self) -> int:
        return self.quantity - self.cancelled


@dataclass
class Invoice:
    number: str
    customer: str
    country: str
    at: datetime
    lines: list[Bought] = field(default_factory=list)


@dataclass
class History:
    """``bought`` and ``cancelled`` lines are written, and every other is in ``rejected``, by its cause. ``units_cancelled``: of
    all lines that take some back."""

    invoices: dict[str, Invoice] = field(default_factory=dict)
    read: int = 0
    bought: int = 0
    cancelled: int = 0
    units_cancelled: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def written(self) -> int:
        return self.bought + self.cancelled


def read_history(source: Path) -> History:
    """:raises InputError: it is something else."""
    found = History()
    #: What a customer has bought of a code, the latest last.
    owned: dict[tuple[str, str], list[Bought]] = defaultdict(list)
    for number, row in _rows(source):
        found.read += 1
        try:
            _take(found, owned, number, row)
        except Rejected as cause:
            found.rejected[str(cause)] += 1
    return found


def _rows(source: Path) -> Iterator[tuple[int, dict[str, str]]]:
    with opened(source) as (lines, _):
        reader = csv.DictReader(lines, strict=True)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{source}: not Online Retail, the header has no column {', '.join(missing)}.")
        yield from enumerate(reader, start=2)


def _take(found: History, owned: dict[tuple[str, str], list[Bought]], number: int, row: dict[str, str]) -> None:
    """:raises Rejected:"""
    bought, at, customer = _line(number, row)
    invoice = row["InvoiceNo"]
    if invoice.startswith("C"):
        _cancel(owned[customer, bought.code] if customer else [], -bought.quantity, bought.price, at)
        found.cancelled += 1
        found.units_cancelled -= bought.quantity
        return
    if bought.quantity <= 0:
        raise Rejected(QUANTITY_NOT_POSITIVE)
    # Somebody was still adding to it in the next minute: an invoice is of when it was begun.
    whole = found.invoices.setdefault(invoice, Invoice(invoice, customer, row["Country"], at))
    whole.lines.append(bought)
    found.bought += 1
    if customer:
        owned[customer, bought.code].append(bought)


def _line(number: int, row: dict[str, str]) -> tuple[Bought, datetime, str]:
    """:raises Rejected: it is no line of goods."""
    try:
        price, pence = _price(row["UnitPrice"])
        quantity, at = int(row["Quantity"]), _time(row["InvoiceDate"])
        customer = row["CustomerID"].removesuffix(".0")
    except (InvalidOperation, ValueError, TypeError) as error:
        raise Rejected(MALFORMED) from error
    code = row["StockCode"]
    for applies, cause in (
        (not row["InvoiceNo"].lstrip("C").isdecimal(), ADJUSTMENT),
        (code in NOT_GOODS, NOT_OF_GOODS),
        (price <= 0, PRICE_NOT_POSITIVE),
        (pence == 0, PRICE_BELOW_A_PENNY),
    ):
        if applies:
            raise Rejected(cause)
    return Bought(number, code, row["Description"].strip() or code, quantity, pence), at, customer


@cache
def _price(text: str) -> tuple[Decimal, int]:
    """And in whole pence."""
    price = Decimal(text)
    return price, int((price * 100).to_integral_value())


@cache
def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _cancel(owned: list[Bought], units: int, price: int, at: datetime) -> None:
    """Take so many units back from what was bought last, at the same price where there is such. All of them, or none.

    :raises Rejected: so many were not bought, or are taken back already.
    """
    matching = sorted(owned, key=lambda one: (one.price == price, one.line), reverse=True)
    if units <= 0 or sum(one.left for one in matching) < units:
        raise Rejected(CANCELS_NOTHING)
    for one in matching:
        taken = min(units, one.left)
        if taken:
            one.cancelled, one.cancelled_at = one.cancelled + taken, at
            units -= taken
