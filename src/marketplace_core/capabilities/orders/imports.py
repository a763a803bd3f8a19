"""Orders of another system, as they are imported: see :meth:`marketplace_core.capabilities.orders.Orders.import_orders`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from marketplace_core.capabilities.catalog import SellerRef
from marketplace_core.capabilities.orders.values import PaymentView
from marketplace_core.values import Address, Money

__all__ = ["ImportLine", "ImportOrder"]


class ImportLine(Struct, frozen=True, kw_only=True):
    """One bought variant of an order of another system. ``shipping`` is its part, ``country`` where its parcel came from.

    ``cancelled``: units that were taken back, at the latest ``cancelled_at`` (None: nobody knows when); the others went out.
    """

    id: str
    variant_id: str
    product_id: str
    seller: SellerRef
    country: str
    sku: str
    title: str
    quantity: int
    unit_price: Money
    shipping: Money
    cancelled: int = 0
    cancelled_at: datetime | None = None


class ImportOrder(Struct, frozen=True, kw_only=True):
    """An order of another system: history. What it was paid by is told to payments, too; ``payment`` is how it looks there.

    Times are None where it did not come so far, or where nobody knows.
    """

    id: str
    number: str
    status: Literal["pending", "confirmed", "shipped", "delivered", "cancelled"]
    account_id: str | None
    email: str
    address: Address
    currency: str
    lines: tuple[ImportLine, ...]
    payment: PaymentView | None
    placed_at: datetime
    confirmed_at: datetime | None = None
    shipped_at: datetime | None = None
    delivered_at: datetime | None = None
    estimated_delivery: str | None = None
