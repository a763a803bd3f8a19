"""Use cases of orders. One command is one unit of work on one order, held by a lock."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from marketplace_core.capabilities.logistics import ShipmentChanged
from marketplace_core.capabilities.orders import (
    AdminOrderQuery,
    CancelItem,
    EventLine,
    ImportOrder,
    ItemsCancelled,
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
from marketplace_core.values import Clock, Imported, Money, Page, new_id
from marketplace_orders import domain, happenings, imports, quotes, views
from marketplace_orders.config import OrdersConfig
from marketplace_orders.placing import Checkout, Placing, reservation_key
from marketplace_orders.store import OrderStore

__all__ = ["OrderService"]

COMPLETION_BATCH = 100


class OrderService(Orders):
    def __init__(
        self, units: Units, store: OrderStore, checkout: Checkout, clock: Clock, config: OrdersConfig, *, token_key: bytes
    ) -> None:
        self.units = units
        self._store = store
        self._checkout = checkout
        self._clock = clock
        self._config = config
        self._token_key = token_key

    # ── placing ──────────────────────────────────────────────────────────────────────────────────────────────

    async def quote(self, request: QuoteRequest) -> Quote:
        return await self._checkout.quote(request)

    async def place(self, request: PlaceOrder) -> PlacedOrder:
        """A guest's token is made of the order's id: what is stored as the answer holds no secret."""
        reservation = reservation_key(request)
        try:
            order = await self._place(request, reservation)
        except MarketplaceError as error:
            # A refusal is stored by now: no repeat will come for what is held. After an Unavailable one will.
            if error.is_refusal and error.code != "orders.out_of_stock":
                await self._checkout.release(reservation)
            raise
        guest = request.owner.account_id is None
        return views.placed(order, self._token(order.id) if guest else None)

    async def _reserve(self, request: PlaceOrder, key: str) -> Placing:
        return await self._checkout.reserve(request, key)

    @command_after(_reserve)
    async def _place(
        self,
        uow: UnitOfWork,
        found: Placing,
        request: PlaceOrder,
        key: str,
    ) -> Order:
        record = quotes.order(uow.now, *found, tax_included=self._checkout.tax_included)
        await self._store.insert(uow, record)
        payment = request.payment if self._checkout.takes_money and record.total.amount else None  # free: nothing to pay
        expires_at = uow.now + timedelta(seconds=self._config.action_seconds)
        uow.emit(happenings.placed(record, payment, expires_at))
        return views.order(record)

    @natural
    async def confirm(self, uow: UnitOfWork, order_id: str, payment: PaymentView | None = None) -> None:
        record = await self._locked(uow, order_id)
        if record.status != "pending":
            return
        if payment is not None:
            _pay(record, payment, uow.now)
        for package in record.packages:
            package.status, package.updated_at = "confirmed", uow.now
        record.status = "confirmed"
        _note(record, uow.now, "orders.confirmed", "system")
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
        _note(record, uow.now, "orders.failed", "system", failure.code)
        await self._store.save(uow, record)
        uow.emit(OrderFailed(order_id=order_id, code=failure.code))

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    async def get_orders(self, ids: list[str]) -> list[Order]:
        return [views.order(record) for record in await self._store.get(ids)]

    async def get_order(self, order_id: str, account_id: str | None, token: str | None) -> Order:
        return views.order(self._visible(await self._store.get([order_id]), account_id, token))

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
        return views.page(query, rows)

    async def search_orders(self, query: AdminOrderQuery) -> Page[Order]:
        return views.page(query, await self._store.search(query, query.position(datetime, str)))

    async def list_packages(self, seller_id: str, query: PackageQuery) -> Page[SellerPackage]:
        rows = await self._store.list_packages(seller_id, query, query.position(datetime, str))
        found = query.page(rows, lambda row: row[2])
        return Page([views.own_package(record, id_) for record, id_, _ in found.items], found.next)

    async def get_package(self, seller_id: str, package_id: str) -> SellerPackage:
        record = await self._store.get_by_package(seller_id, package_id)
        if record is None or record.number is None:
            raise NotFound("There is no such package.")
        return views.own_package(record, package_id)

    async def get_shipment(self, seller_id: str, shipment_id: str) -> Shipment:
        record = await self._store.get_by_shipment(seller_id, shipment_id)
        found = [one for package in record.packages for one in package.shipments] if record else []
        for one in found:
            if one.id == shipment_id:
                return views.shipment(one)
        raise NotFound("There is no such shipment.")

    # ── cancelling and shipping ──────────────────────────────────────────────────────────────────────────────

    @command
    async def cancel(
        self,
        uow: UnitOfWork,
        order_id: str,
        account_id: str | None,
        token: str | None,
        items: list[CancelItem] | None,
        reason: str,
    ) -> Order:
        record = self._visible([await self._locked(uow, order_id)], account_id, token)
        await self._cancel(uow, record, record.packages, items, ("buyer", reason))
        return views.order(record)

    @command
    async def cancel_by_operator(self, uow: UnitOfWork, order_id: str, items: list[CancelItem] | None, reason: str) -> Order:
        record = await self._locked(uow, order_id)
        await self._cancel(uow, record, record.packages, items, ("admin", reason))
        return views.order(record)

    @command
    async def decline(
        self, uow: UnitOfWork, seller_id: str, package_id: str, items: list[CancelItem] | None, reason: str
    ) -> SellerPackage:
        record, package = await self._locked_package(uow, seller_id, package_id)
        await self._cancel(uow, record, [package], items, ("seller", reason))
        return views.seller_package(record, package)

    async def _cancel(
        self,
        uow: UnitOfWork,
        record: domain.Order,
        packages: Sequence[domain.Package],
        items: list[CancelItem] | None,
        why: tuple[str, str],
    ) -> None:
        if record.imported:
            raise Conflict("orders.not_cancellable", "An imported order is history.")
        if record.status in {"pending", "failed", "cancelled", "completed"}:
            raise Conflict("orders.not_cancellable", f"An order that is {record.status} cannot be cancelled.")
        wanted = _units(packages, items)
        cancelled: list[tuple[domain.Package, list[EventLine], Money]] = []
        delivered: list[domain.Package] = []
        for package in packages:
            units = {line.id: wanted[line.id] for line in package.items if line.id in wanted}
            if units:
                lines = views.event_lines(package, units)
                cancelled.append((package, lines, _possible(package, units)))
                package.updated_at = uow.now
                if package.status == "delivered":  # what is cancelled was all that had not arrived
                    delivered.append(package)
        if not cancelled:
            raise Conflict("orders.not_cancellable", "Nothing is left that could be cancelled.")
        self._settle(record, uow.now)
        _note(record, uow.now, "orders.items_cancelled", why[0], why[1] or None)
        await self._store.save(uow, record)
        remaining = domain.remaining(record.packages, record.total.currency)
        for package, lines, amount in cancelled:
            uow.emit(ItemsCancelled(order_id=record.id, package_id=package.id, lines=lines, amount=amount, remaining=remaining))
        for package in delivered:
            uow.emit(happenings.delivered(record, package))

    @command
    async def ship(self, uow: UnitOfWork, seller_id: str, package_id: str, request: ShipRequest) -> Shipment:
        record, package = await self._locked_package(uow, seller_id, package_id)
        if record.imported:
            raise Conflict("orders.not_shippable", "An imported order is history.")
        if package.status not in {"confirmed", "partially_shipped"}:
            raise Conflict("orders.not_shippable", f"A package that is {package.status} cannot be shipped.")
        units = _units([package], list(request.items) if request.items is not None else None)
        option = package.option or domain.Option("own", "standard", 0)
        id_ = new_id()
        shipment = domain.Shipment(
            id=id_,
            package_id=package_id,
            carrier=request.carrier or option.carrier,
            service=request.service or option.service,
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
        self._settle(record, uow.now)
        _note(record, uow.now, "orders.package_shipped", "seller")
        await self._store.save(uow, record)
        uow.emit(happenings.shipped(record, package, shipment, lines, charge, self._config.line_weight_g))
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
        if record is not None and _pay(record, payment, uow.now):
            await self._store.save(uow, record)

    @handler(ShipmentChanged)
    async def on_shipment_changed(self, uow: UnitOfWork, event: ShipmentChanged) -> None:
        record = await self._store.lock(uow, event.order_id)
        package = record.package(event.package_id) if record else None
        if record is None or package is None:
            return
        delivered = domain.track(package, quotes.shipment(event.shipment))
        package.updated_at = uow.now
        self._settle(record, uow.now)
        _note(record, uow.now, f"shipment.{event.code or event.shipment.status}", "carrier")
        await self._store.save(uow, record)
        if delivered:
            uow.emit(happenings.delivered(record, package))

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
            _note(record, uow.now, "orders.completed", "system")
            uow.emit(OrderCompleted(order_id=order_id))
        await self._store.save(uow, record)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    def _settle(self, record: domain.Order, now: datetime) -> None:
        """After a change of packages: how far the order is, and when it is completed by itself."""
        record.status = domain.order_status(record.packages)
        if record.status == "delivered" and record.complete_at is None:
            record.complete_at = now + timedelta(days=self._config.complete_days)

    def _token(self, id_: str) -> str:
        digest = hmac.new(self._token_key, id_.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest[:24]).decode()

    def _visible(self, found: Sequence[domain.Order], account_id: str | None, token: str | None) -> domain.Order:
        """A buyer's own order, or a guest's whose token is shown."""
        for record in found:
            if record.account_id is not None and record.account_id == account_id:
                return record
            if record.guest and token is not None and hmac.compare_digest(token.encode(), self._token(record.id).encode()):
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


def _note(record: domain.Order, at: datetime, type_: str, actor: str, detail: str | None = None) -> None:
    record.timeline.append(domain.Timeline(at, type_, actor, detail))
    record.updated_at = at


def _pay(record: domain.Order, payment: PaymentView, at: datetime) -> bool:
    """Show the payment on its order. False: nothing is new."""
    known, told = record.payment, msgspec.to_builtins(payment)
    if known is not None and (told == known or not domain.may_follow(payment.status, str(known["status"]))):
        return False
    record.payment = told
    _note(record, at, f"payments.{payment.status}", "system")
    return True


def _units(packages: Sequence[domain.Package], items: list[CancelItem] | None) -> domain.Units:
    """What the caller named, equal items added up; nothing named is all that is left."""
    if items is None:
        return domain.units_left(packages)
    known = {line.id for package in packages for line in package.items}
    units: domain.Units = {}
    for index, item in enumerate(items):
        if item.item_id not in known:
            raise NotFound(f"There is no item {item.item_id} (items/{index}).")
        units[item.item_id] = units.get(item.item_id, 0) + item.quantity
    return units


def _possible(package: domain.Package, units: domain.Units) -> Money:
    try:
        return domain.cancel_units(package, units)
    except domain.NotPossible as error:
        raise Conflict("orders.not_cancellable", str(error)) from error
