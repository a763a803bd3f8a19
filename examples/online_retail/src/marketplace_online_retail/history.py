"""The invoices of Online Retail become orders of the past. A repeat, also after a crash, writes only what is not there yet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from marketplace_core import calls
from marketplace_core.capabilities.auth import Auth, ImportAccount
from marketplace_core.capabilities.catalog import SellerRef
from marketplace_core.capabilities.orders import ImportLine, ImportOrder, Orders
from marketplace_core.ports import IMPORT
from marketplace_core.values import Address, Imported, Money, derived_id
from marketplace_online_retail.convert import CURRENCY, SELLER
from marketplace_online_retail.invoices import CAUSES, Bought, Invoice, read_history

__all__ = ["RetailReport", "import_history"]

ORDERS, PEOPLE = 100, 500
Progress = Callable[[str, int, int], None]


class RetailReport(Struct, frozen=True, kw_only=True):
    """Lines of the file: ``written`` are those that were ``bought`` and those that take units back, ``rejected`` the others, by
    cause. ``orders`` and ``people``: how many were new, and how many were there."""

    read: int
    written: int
    bought: int
    cancelled: int
    units_cancelled: int
    rejected: dict[str, int]
    orders: dict[str, int]
    people: dict[str, int]


async def import_history(
    source: Path, port: Callable[[type[Any]], Any], progress: Progress = lambda _stage, _done, _all: None
) -> RetailReport:
    """:param port: gives a capability's port. :raises LookupError: there is no auth, or no orders. :raises InputError:"""
    auth, orders = port(Auth), port(Orders)
    found = await asyncio.to_thread(read_history, source)
    invoices = list(found.invoices.values())
    first: dict[str, Invoice] = {}
    for invoice in invoices:
        first.setdefault(invoice.customer, invoice)
    first.pop("", None)
    told: dict[str, list[Imported]] = {"people": [], "orders": []}
    with calls.scope(calls.Call(origin=IMPORT)):
        people = list(first.values())
        for start in range(0, len(people), PEOPLE):
            told["people"] += await auth.import_accounts([_account(one) for one in people[start : start + PEOPLE]])
            progress("people", len(told["people"]), len(people))
        known = {one.customer for one, result in zip(people, told["people"], strict=True) if result.status != "rejected"}
        for start in range(0, len(invoices), ORDERS):
            batch = [_order(one, known=one.customer in known) for one in invoices[start : start + ORDERS]]
            told["orders"] += await orders.import_orders(batch)
            progress("orders", len(told["orders"]), len(invoices))
    return RetailReport(
        read=found.read,
        written=found.written,
        bought=found.bought,
        cancelled=found.cancelled,
        units_cancelled=found.units_cancelled,
        rejected={cause: found.rejected[cause] for cause in CAUSES},
        orders=_counts(told["orders"]),
        people=_counts(told["people"]),
    )


def _counts(results: Sequence[Imported]) -> dict[str, int]:
    return {status: sum(result.status == status for result in results) for status in ("written", "unchanged", "rejected")}


def _id(kind: str, key: str) -> str:
    return derived_id(f"online_retail/{kind}/{key}")


def _account(first: Invoice) -> ImportAccount:
    """The file names nobody. The address is one that cannot exist (RFC 2606)."""
    name = f"Customer {first.customer}"
    return ImportAccount(id=_id("customer", first.customer), email=_email(first), name=name, created_at=first.at)


def _email(invoice: Invoice) -> str:
    who = f"customer-{invoice.customer}" if invoice.customer else f"invoice-{invoice.number}"
    return f"{who}@online-retail.invalid"


def _order(invoice: Invoice, *, known: bool) -> ImportOrder:
    """``known``: its person has an account here."""
    whole = any(line.left for line in invoice.lines)
    return ImportOrder(
        id=_id("order", invoice.number),
        number=f"online_retail:{invoice.number}",
        status="delivered" if whole else "cancelled",
        account_id=_id("customer", invoice.customer) if known else None,
        email=_email(invoice),
        address=Address(
            name=f"Customer {invoice.customer or 'unknown'}",
            line1="-",
            city="-",
            region=invoice.country,
            postal_code="",
            country=COUNTRY,
        ),
        currency=CURRENCY,
        lines=tuple(_line(invoice, line) for line in invoice.lines),
        payment=None,
        placed_at=invoice.at,
        confirmed_at=invoice.at,
    )


#: The file names countries in words, some of which are none; the region has them as they stand.
COUNTRY = "GB"


def _line(invoice: Invoice, line: Bought) -> ImportLine:
    return ImportLine(
        id=_id("line", f"{invoice.number}/{line.line}"),
        variant_id=_id("variant", line.code),
        product_id=_id("product", line.code),
        seller=SellerRef(_id("seller", SELLER), SELLER),
        country=COUNTRY,
        sku=line.code,
        title=line.title,
        quantity=line.quantity,
        unit_price=Money(line.price, CURRENCY),
        shipping=Money.zero(CURRENCY),
        cancelled=line.cancelled,
        cancelled_at=line.cancelled_at,
    )
