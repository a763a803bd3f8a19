"""Orders that are open: one per cart, and so many per account and address. What is given up gives way at once.

A buyer has one cart, and tabs. The cart's open order is looked for before anything is held, and again where the next one is
written, which the store refuses while the other is open. One that waits for its payer gives way: its stock is withdrawn, so
that its checkout, wherever that is, comes to nothing, and it fails in the transaction in which the new one is written.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import NamedTuple

from marketplace_core import calls
from marketplace_core.capabilities.orders import OrderFailed
from marketplace_core.errors import Conflict, MarketplaceError, Refused
from marketplace_core.ports import UnitOfWork
from marketplace_orders import domain
from marketplace_orders.config import OrdersConfig
from marketplace_orders.store import Open, OrderStore

__all__ = ["Ending", "OpenOrders", "Place", "give_up", "in_progress"]

SUPERSEDED = "orders.superseded"
BUSY_SECONDS = 60


class Place(NamedTuple):
    """Where a new order stands: after which order of its cart, and instead of which, if that gives way."""

    cart_id: str | None
    after: int = 0
    instead_of: domain.Order | None = None


class Ending(NamedTuple):
    """How a pending order ends before its time. ``code``: of its failure, None where its buyer wanted it so."""

    status: str
    type: str
    actor: str
    code: str | None
    detail: str | None


class OpenOrders:
    def __init__(self, store: OrderStore, config: OrdersConfig, key: bytes) -> None:
        """``key``: addresses are kept as digests under it."""
        self._store = store
        self._config = config
        self._key = key

    async def look(self, cart_id: str | None) -> Place:
        """:raises Conflict: ``orders.in_progress``: an order of this cart is being authorised."""
        if cart_id is None:
            return Place(None)
        last = await self._store.last_of_cart(cart_id)
        if last.open is not None and not last.open.waits_for_its_payer:
            raise in_progress(last.open.id)
        return Place(cart_id, last.number, last.open)

    async def waiting(self, cart_id: str | None) -> domain.Order | None:
        """The order of the cart that would give way to another one."""
        last = await self._store.last_of_cart(cart_id) if cart_id is not None else None
        return last.open if last is not None and last.open is not None and last.open.waits_for_its_payer else None

    async def check_room(self, account_id: str | None, units: int, place: Place) -> None:
        """Before anything is held: whether the account and the address may hold so much more.

        :raises MarketplaceError: ``http.rate_limited``. :raises Refused: ``cart.quantity_limit``: nobody may.
        """
        if units > self._config.open_units:
            raise Refused("cart.quantity_limit", f"An order has at most {self._config.open_units} units.")
        await self._check_room(None, self._holders(account_id, place), units, place.instead_of)

    async def write(self, uow: UnitOfWork, record: domain.Order, place: Place) -> None:
        """Write an order, and end the one that gives way to it.

        :raises Conflict: ``orders.in_progress``; ``cart.changed``: what is in the cart was bought meanwhile.
        """
        if place.instead_of is not None:
            await self._supersede(uow, place.instead_of.id)
        holders = self._holders(record.account_id, place)
        await self._store.lock_holders(uow, [holder for holder in holders if holder is not None])
        await self._check_room(uow, holders, record.units, None)
        made = await self._store.insert(uow, record, self._address())
        if place.cart_id is None:
            return
        if not made:
            last = await self._store.last_of_cart(place.cart_id)
            raise in_progress(last.open.id if last.open is not None else None)
        if await self._store.was_bought_since(uow, place.cart_id, place.after, record.id):
            raise Conflict("cart.changed", "What is in the cart was ordered meanwhile; quote again.")

    async def _supersede(self, uow: UnitOfWork, order_id: str) -> None:
        record = await self._store.lock(uow, order_id)
        if record is None or record.status != "pending":  # somebody else has ended it
            return
        ending = Ending("failed", "orders.failed", "system", SUPERSEDED, "Another order of this cart was placed.")
        await give_up(uow, self._store, record, ending)

    def _holders(self, account_id: str | None, place: Place) -> tuple[str | None, str | None]:
        """Whose open orders are counted: the account's, unless its cart has at most one by itself, and the address's."""
        return (account_id if place.cart_id is None else None), self._address()

    async def _check_room(
        self, uow: UnitOfWork | None, holders: tuple[str | None, str | None], units: int, but: domain.Order | None
    ) -> None:
        """``but``: what is not counted, as it gives way."""
        if holders == (None, None):
            return
        given = Open(1, but.units) if but is not None else Open(0, 0)
        for held in await self._store.open_of(uow, *holders):
            orders, total = held.orders - given.orders + 1, held.units - given.units + units
            if orders > self._config.open_orders or total > self._config.open_units:
                detail = "Too much is held by orders that are not paid yet; pay or cancel one, or come again."
                raise MarketplaceError("http.rate_limited", detail, retry_after=BUSY_SECONDS)

    def _address(self) -> str | None:
        """Where the call comes from; None where nobody is to be counted."""
        address = calls.current().address
        return None if address is None else hmac.new(self._key, address.encode(), hashlib.sha256).hexdigest()[:32]


async def give_up(uow: UnitOfWork, store: OrderStore, record: domain.Order, ending: Ending) -> None:
    """End a locked order that is pending, and whose stock was withdrawn. Its checkout gives its money back."""
    record.status, record.failure_code, record.failure_detail = (
        ending.status,
        ending.code,
        ending.detail if ending.code else None,
    )
    for package in record.packages:
        package.status, package.updated_at = "cancelled", uow.now
        if ending.status == "cancelled":
            for line in package.items:
                line.cancelled = line.quantity
    record.note(uow.now, ending.type, ending.actor, ending.code if ending.status == "failed" else ending.detail)
    await store.save(uow, record)
    uow.emit(OrderFailed(order_id=record.id, code=ending.code or "orders.cancelled"))


def in_progress(order_id: str | None) -> Conflict:
    location = None if order_id is None else f"/orders/{order_id}"
    return Conflict("orders.in_progress", "Another order of this cart is being worked on; look at that one.", location=location)
