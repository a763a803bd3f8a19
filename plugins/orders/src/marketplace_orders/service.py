"""Use cases of orders. One command is one unit of work on one order, held by a lock."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import msgspec

from marketplace_core.capabilities.cart import CartMerged
from marketplace_core.capabilities.logistics import ShipmentChanged
from marketplace_core.capabilities.orders import (
    AdminOrderQuery,
    CancelItem,
    ImportOrder,
    Order,
    OrderCompleted,
    OrderFailed,
    OrderQuery,
    Orders,
    PackageQuery,
    PaymentView,
    PlacedOrder,
    PlaceOrder,
    Quote,
    QuoteRequest,
    SellerPackage,
    Shipment,
    ShipRequest,
)
from marketplace_core.capabilities.payments import PaymentChanged, PaymentSettled
from marketplace_core.errors import Conflict, Failure, MarketplaceError, NotFound
from marketplace_core.ports import UnitOfWork, Units, command, command_after, handler, natural
from marketplace_core.values import Clock, Imported, Page, new_id
from marketplace_orders import domain, happenings, imports, quotes, tracking, views
from marketplace_orders.cancelling import Cancelling, check_cancellable, units_of
from marketplace_orders.config import OrdersConfig
from marketplace_orders.open_orders import OpenOrders, Place, in_progress
from marketplace_orders.placing import Checkout, Placing, reservation_key
from marketplace_orders.shipping import Way, way
from marketplace_orders.store import OrderStore

__all__ = ["OrderService"]

COMPLETION_BATCH = 100


class OrderService(Orders):
    def __init__(
        self,
        units: Units,
        store: OrderStore,
        checkout: Checkout,
        clock: Clock,
        config: OrdersConfig,
        url: Callable[[str], str],
        *,
        token_keys: Sequence[bytes],
    ) -> None:
        """``url``: where a picture is shown."""
        self._url = url
        self.units = units
        self._store = store
        self._checkout = checkout
        self._clock = clock
        self._config = config
        self._token_keys = token_keys
        self._open = OpenOrders(store, config, token_keys[0])
        self._cancelling = Cancelling(store, config)

    # ── placing ──────────────────────────────────────────────────────────────────────────────────────────────

    async def quote(self, request: QuoteRequest) -> Quote:
        """What would pass over from an order of the same cart counts as there."""
        basket = await self._checkout.collect(request.owner, None)
        waiting = await self._open.waiting(basket.cart_id)
        return await self._checkout.quote(request, basket, waiting.units_by_variant if waiting is not None else {})

    async def place(self, request: PlaceOrder) -> PlacedOrder:
        """A guest's token is made of the order's id: what is stored as the answer holds no secret."""
        reservation = reservation_key(request)
        try:
            order = await self._place(request, reservation)
        except MarketplaceError as error:
            # A refusal is stored by now: no repeat will come for what is held. After an Unavailable one will.
            if (error.is_refusal or error.status == 429) and error.code != "orders.out_of_stock":
                await self._checkout.release(reservation)
            raise
        guest = request.owner.account_id is None
        return views.placed(order, self._token(order.id) if guest else None)

    async def _reserve(self, request: PlaceOrder, key: str) -> tuple[Placing, Place]:
        """What is in a cart that was ordered before is read again: it may have been before that order emptied it."""
        self._checkout.check(request)
        basket = await self._checkout.collect(request.owner, request.lines)
        place = await self._open.look(basket.cart_id)
        if place.after:
            basket = await self._checkout.collect(request.owner, request.lines)
        await self._open.check_room(request.owner.account_id, sum(line.quantity for line in basket.lines), place)
        instead_of = place.instead_of.reservation if place.instead_of is not None else None
        try:
            found = await self._checkout.reserve(request, basket, key, instead_of)
        except Conflict as error:
            if error.code == "orders.out_of_stock":  # what is missing may be held by another order of this cart
                await self._open.look(basket.cart_id)
            raise
        # Nothing is left to be refused. From here the other cannot be confirmed, or it is about to be.
        if place.instead_of is not None and not await self._checkout.withdraw(place.instead_of.reservation):
            raise in_progress(place.instead_of.id)
        return found, place

    @command_after(_reserve)
    async def _place(
        self,
        uow: UnitOfWork,
        found: tuple[Placing, Place],
        request: PlaceOrder,
        key: str,
    ) -> Order:
        placing, place = found
        record = quotes.order(uow.now, *placing, tax_included=self._checkout.tax_included)
        await self._open.write(uow, record, place)
        payment = request.payment if self._checkout.takes_money and record.total.amount else None  # free: nothing to pay
        seconds = self._config.guest_action_seconds if record.guest else self._config.action_seconds
        expires_at = uow.now + timedelta(seconds=seconds)
        uow.emit(happenings.placed(record, payment, expires_at))
        return views.order(record, self._url)

    @natural
    async def confirm(self, uow: UnitOfWork, order_id: str, payment: PaymentView | None = None) -> None:
        record = await self._locked(uow, order_id)
        if record.status != "pending":
            return
        if payment is not None:
            record.show_payment(msgspec.to_builtins(payment), uow.now)
        for package in record.packages:
            package.status, package.updated_at = "confirmed", uow.now
        record.status = "confirmed"
        record.note(uow.now, "orders.confirmed", "system")
        number = await self._store.next_number(uow, self._config.series)
        record.number = self._config.number_format.format(number=number)
        await self._store.save(uow, record)
        uow.emit(happenings.confirmed(record))

    @natural
    async def fail(self, uow: UnitOfWork, order_id: str, failure: Failure) -> None:
        record = await self._locked(uow, order_id)
        if record.status != "pending":
            return
        record.status, record.failure_code, record.failure_detail = "failed", failure.code, failure.detail
        for package in record.packages:
            package.status, package.updated_at = "cancelled", uow.now
        record.note(uow.now, "orders.failed", "system", failure.code)
        await self._store.save(uow, record)
        uow.emit(OrderFailed(order_id=order_id, code=failure.code))

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    async def get_orders(self, ids: list[str]) -> list[Order]:
        return [views.order(record, self._url) for record in await self._store.get(ids)]

    async def get_order(self, order_id: str, account_id: str | None, token: str | None) -> Order:
        return views.order(self._visible(await self._store.get([order_id]), account_id, token), self._url)

    async def wait_for_change(self, order_id: str, account_id: str | None, token: str | None, after: int, wait: float) -> Order:
        now = asyncio.get_running_loop().time
        deadline = now() + wait
        async with self._store.changes(order_id) as changed:
            while True:
                changed.clear()
                order = await self.get_order(order_id, account_id, token)
                if len(order.timeline) > after or now() >= deadline:
                    return order
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(deadline):
                        await changed.wait()

    async def list_orders(self, account_id: str, query: OrderQuery) -> Page[Order]:
        rows = await self._store.list_of_account(account_id, query, query.position(datetime, str))
        return views.page(query, rows, self._url)

    async def search_orders(self, query: AdminOrderQuery) -> Page[Order]:
        return views.page(query, await self._store.search(query, query.position(datetime, str)), self._url)

    async def list_packages(self, seller_id: str, query: PackageQuery) -> Page[SellerPackage]:
        rows = await self._store.list_packages(seller_id, query, query.position(datetime, str))
        found = query.page(rows, lambda row: row[2])
        return Page([views.own_package(record, id_, self._url) for record, id_, _ in found.items], found.next)

    async def get_package(self, seller_id: str, package_id: str) -> SellerPackage:
        record = await self._store.get_by_package(seller_id, package_id)
        if record is None or record.number is None:
            raise NotFound("There is no such package.")
        return views.own_package(record, package_id, self._url)

    async def get_shipment(self, seller_id: str, shipment_id: str) -> Shipment:
        record = await self._store.get_by_shipment(seller_id, shipment_id)
        found = [one for package in record.packages for one in package.shipments] if record else []
        for one in found:
            if one.id == shipment_id:
                return views.shipment(one)
        raise NotFound("There is no such shipment.")

    # ── cancelling and shipping ──────────────────────────────────────────────────────────────────────────────

    async def _withdraw(
        self, order_id: str, account_id: str | None, token: str | None, items: list[CancelItem] | None, reason: str
    ) -> None:
        self._visible(await self._store.get([order_id]), account_id, token)
        await self._withdraw_any(order_id, items, reason)

    async def _withdraw_any(self, order_id: str, items: list[CancelItem] | None, reason: str) -> None:
        """Of an order that is pending: free its stock. Its checkout cannot have that any more, and ends."""
        for record in await self._store.get([order_id]):
            if record.status == "pending":
                check_cancellable(record, items)
                if not await self._checkout.withdraw(record.reservation):
                    raise Conflict("orders.not_cancellable", "It is being confirmed; come again.", retry_after=1)

    @command_after(_withdraw)
    async def cancel(
        self,
        uow: UnitOfWork,
        _: None,
        order_id: str,
        account_id: str | None,
        token: str | None,
        items: list[CancelItem] | None,
        reason: str,
    ) -> Order:
        record = self._visible([await self._locked(uow, order_id)], account_id, token)
        await self._cancelling.order(uow, record, items, ("buyer", reason), None)
        return views.order(record, self._url)

    @command_after(_withdraw_any)
    async def cancel_by_operator(
        self, uow: UnitOfWork, _: None, order_id: str, items: list[CancelItem] | None, reason: str
    ) -> Order:
        record = await self._locked(uow, order_id)
        await self._cancelling.order(uow, record, items, ("admin", reason), "orders.cancelled_by_operator")
        return views.order(record, self._url)

    @command
    async def decline(
        self, uow: UnitOfWork, seller_id: str, package_id: str, items: list[CancelItem] | None, reason: str
    ) -> SellerPackage:
        record, package = await self._locked_package(uow, seller_id, package_id)
        await self._cancelling.packages(uow, record, [package], items, ("seller", reason))
        return views.seller_package(record, package, self._url)

    async def _way(self, seller_id: str, package_id: str, request: ShipRequest) -> Way:
        """By whom the seller has it sent. Carriers are asked for only where the seller names one."""
        return way(request, await self._checkout.carriers() if request.carrier is not None else [])

    @command_after(_way)
    async def ship(self, uow: UnitOfWork, named: Way, seller_id: str, package_id: str, request: ShipRequest) -> Shipment:
        record, package = await self._locked_package(uow, seller_id, package_id)
        if record.imported:
            raise Conflict("orders.not_shippable", "An imported order is history.")
        if package.status not in {"confirmed", "partially_shipped"}:
            raise Conflict("orders.not_shippable", f"A package that is {package.status} cannot be shipped.")
        units = units_of([package], list(request.items) if request.items is not None else None)
        option = package.option or domain.Option("own", "standard", 0)
        id_ = new_id()
        shipment = domain.Shipment(
            id=id_,
            package_id=package_id,
            carrier=named.carrier or option.carrier,
            service=named.service or option.service,
            status="pending",
            tracking_number=request.tracking_number,
            tracking_token=self._token(id_),
            items=units,
        )
        lines = views.event_lines(package, units)
        try:
            charge = domain.ship_units(package, units, shipment)
        except domain.NotPossible as error:
            raise Conflict("orders.not_shippable", str(error)) from error
        package.updated_at = uow.now
        domain.settle(record, uow.now, self._config.complete_days)
        record.note(uow.now, "orders.package_shipped", "seller")
        await self._store.save(uow, record)
        uow.emit(happenings.shipped(record, package, shipment, lines, charge, self._config.line_weight_g, uow.now))
        return views.shipment(shipment)

    # ── history of another system ────────────────────────────────────────────────────────────────────────────

    @command
    async def import_orders(self, uow: UnitOfWork, orders: list[ImportOrder]) -> list[Imported]:
        told = {order.id: imports.relive(order, self._token, self._config.line_weight_g) for order in orders}
        records = [record for record, _ in told.values()]
        made, known = await self._store.insert_missing(uow, records)
        for id_, (_, happened) in told.items():
            if id_ in made:
                for at, event in happened:
                    uow.emit(event, at)
        taken = Imported("rejected", "duplicate", "Another order has this number.")
        kept = {id_: Imported("written" if id_ in made else "unchanged") for id_ in made | known}
        return [kept.get(order.id, taken) for order in orders]

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────

    # What is authorized comes with the confirmation, in the same commit; sooner only where somebody had to act for it.

    @handler(PaymentChanged, when=lambda event: event.payment.status != "authorized")
    async def on_payment_changed(self, uow: UnitOfWork, event: PaymentChanged) -> None:
        await self._show(uow, event.order_id, event.payment)

    @handler(PaymentSettled, when=lambda event: event.payment.status == "authorized")
    async def on_payment_settled(self, uow: UnitOfWork, event: PaymentSettled) -> None:
        await self._show(uow, event.order_id, event.payment)

    async def _show(self, uow: UnitOfWork, order_id: str, payment: PaymentView) -> None:
        record = await self._store.lock(uow, order_id)
        if record is not None and record.show_payment(msgspec.to_builtins(payment), uow.now):
            await self._store.save(uow, record)

    @handler(CartMerged)
    async def on_cart_merged(self, uow: UnitOfWork, event: CartMerged) -> None:
        """Who orders, logs in and orders again has one cart, too."""
        await self._store.follow_cart(uow, event.guest_cart_id, event.cart_id)

    @handler(ShipmentChanged)
    async def on_shipment_changed(self, uow: UnitOfWork, event: ShipmentChanged) -> None:
        record = await self._store.lock(uow, event.order_id)
        package = record.package(event.package_id) if record else None
        if record is None or package is None:
            return
        returned = happenings.returned(record, package, event.shipment.id, event.shipment.status)
        delivered = tracking.track(package, quotes.shipment(event.shipment))
        package.updated_at = uow.now
        domain.settle(record, uow.now, self._config.complete_days)
        record.note(uow.now, f"shipment.{event.code or event.shipment.status}", "carrier")
        await self._store.save(uow, record)
        if delivered:
            uow.emit(happenings.delivered(record, package))
        if returned is not None:
            uow.emit(returned)

    async def complete_delivered(self) -> None:
        """A schedule: orders that were delivered long enough ago are completed."""
        while ids := await self._store.due_for_completion(self._clock.now(), COMPLETION_BATCH):
            for order_id in ids:
                await self._complete(order_id)

    @natural
    async def _complete(self, uow: UnitOfWork, order_id: str) -> None:
        record = await self._locked(uow, order_id)
        record.complete_at = None
        if record.status == "delivered":
            for package in record.packages:
                if package.status == "delivered":
                    package.status, package.updated_at = "completed", uow.now
            record.status = domain.order_status(record.packages)
            record.note(uow.now, "orders.completed", "system")
            uow.emit(OrderCompleted(order_id=order_id))
        await self._store.save(uow, record)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    def _token(self, id_: str) -> str:
        return _sealed(self._token_keys[0], id_)

    def _is_token(self, id_: str, token: str) -> bool:
        """Also of a key that makes no new ones any more."""
        ours = [hmac.compare_digest(token.encode(), _sealed(key, id_).encode()) for key in self._token_keys]
        return any(ours)

    def _visible(self, found: Sequence[domain.Order], account_id: str | None, token: str | None) -> domain.Order:
        """A buyer's own order, or a guest's whose token is shown."""
        for record in found:
            if record.account_id is not None and record.account_id == account_id:
                return record
            if record.guest and token is not None and self._is_token(record.id, token):
                return record
        raise NotFound("There is no such order.")

    async def _locked(self, uow: UnitOfWork, order_id: str) -> domain.Order:
        record = await self._store.lock(uow, order_id)
        if record is None:
            raise NotFound("There is no such order.")
        return record

    async def _locked_package(self, uow: UnitOfWork, seller_id: str, package_id: str) -> tuple[domain.Order, domain.Package]:
        record = await self._store.lock_by_package(uow, seller_id, package_id)
        package = record.package(package_id) if record else None
        if record is None or package is None or record.number is None:
            raise NotFound("There is no such package.")
        return record, package


def _sealed(key: bytes, id_: str) -> str:
    digest = hmac.new(key, id_.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest[:24]).decode()
