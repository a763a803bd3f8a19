"""One order's payment at its gateway: what is asked, and what the answers change.

No transaction is open while a gateway is asked. What is to be asked is written down first, with the key that it is asked
under; whoever finds it unanswered, after a crash or a time-out, asks again by that key and learns what became of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
import structlog

from marketplace_core.capabilities.orders import PaymentMethod
from marketplace_core.capabilities.payments import (
    Authorize,
    GatewayPayment,
    OperationRequested,
    PaymentChanged,
    PaymentSettled,
)
from marketplace_core.errors import Conflict, MarketplaceError, NotFound, Refused
from marketplace_core.ports import UnitOfWork, Units, natural
from marketplace_core.values import Money, new_id
from marketplace_payments import views
from marketplace_payments.config import PaymentsConfig
from marketplace_payments.domain import (
    DECLINED,
    ENDED,
    WAITING,
    Operation,
    Payment,
    fail,
    new_operation,
    observe,
    settlement_failure,
)
from marketplace_payments.gateways import Gateways
from marketplace_payments.store import PaymentStore

__all__ = ["Charges"]

log = structlog.get_logger("marketplace.payments")


class Charges:
    def __init__(self, units: Units, store: PaymentStore, gateways: Gateways, config: PaymentsConfig) -> None:
        self.units = units
        self._store = store
        self._gateways = gateways
        self._config = config

    # ── authorizing ──────────────────────────────────────────────────────────────────────────────────────────

    async def authorize(self, request: Authorize) -> Payment:
        """The payment once the gateway has answered, this time or before."""
        gateway = await self._gateways.for_method(request.method.method)
        payment = await self._begin(request, gateway)
        return await self.ask(payment) if payment.status == "pending" and not payment.unwanted else payment

    @natural
    async def _begin(self, uow: UnitOfWork, request: Authorize, gateway: str | None) -> Payment:
        if gateway is not None:
            payment = _new_payment(uow.now, request, gateway)
            operation = new_operation(payment, "authorize", payment.amount, f"{payment.order_id}/authorize", uow.now)
            if await self._store.insert(uow, payment, operation, self._ask_at(payment, uow.now)):
                return payment
        known = await self._store.lock(uow, request.order_id)
        if known is None:
            raise Refused(DECLINED, f"No gateway takes the payment method {request.method.method!r}.")
        if known.amount != request.amount:
            raise Conflict("payments.wrong_state", "Another amount was asked for under this order, or it was given up.")
        return known

    async def ask(self, payment: Payment) -> Payment:
        """Ask the gateway about a payment that waits. :raises Unavailable:"""
        gateway = await self._gateways.get(payment.gateway)
        if payment.gateway_id is not None:
            found = await gateway.get(payment.gateway_id)
            if found is None:
                log.error("payments.forgotten_by_gateway", order_id=payment.order_id, gateway=payment.gateway)
                return await self._touch(payment.order_id)
            return await self._learn(payment.order_id, found)
        method = msgspec.convert(payment.method, PaymentMethod)
        try:
            found = await gateway.authorize(f"{payment.order_id}/authorize", payment.order_id, payment.amount, method)
        except MarketplaceError as error:
            if not error.is_refusal:
                await self._note_unknown(payment.order_id)
                raise
            log.warning("payments.authorize_refused", order_id=payment.order_id, gateway=payment.gateway, code=error.code)
            return await self._decline(payment.order_id)
        return await self._learn(payment.order_id, found)

    @natural
    async def _learn(self, uow: UnitOfWork, order_id: str, found: GatewayPayment) -> Payment:
        payment = await self.locked(uow, order_id)
        await self.take(uow, payment, found)
        return payment

    @natural
    async def _touch(self, uow: UnitOfWork, order_id: str) -> Payment:
        payment = await self.locked(uow, order_id)
        await self.save(uow, payment)
        return payment

    @natural
    async def _decline(self, uow: UnitOfWork, order_id: str) -> Payment:
        """The gateway would not hear of it."""
        payment = await self.locked(uow, order_id)
        if payment.status == "pending":
            fail(payment, DECLINED)
            await self._close_authorization(uow, payment, None)
            await self.save(uow, payment)
            uow.emit(PaymentChanged(order_id=order_id, payment=views.payment(payment)))
        return payment

    @natural
    async def _note_unknown(self, uow: UnitOfWork, order_id: str) -> None:
        """Others are told of a payment that is pending only where that lasts."""
        payment = await self.locked(uow, order_id)
        if payment.status != "pending":
            return
        for operation in await self._store.operations(payment.id, uow):
            if operation.kind == "authorize":
                operation.attempts += 1
                await self._store.save_operation(uow, operation)
                if operation.attempts == 1:
                    uow.emit(PaymentChanged(order_id=order_id, payment=views.payment(payment)))
        payment.unanswered = True
        await self.save(uow, payment)

    # ── what the gateway says ────────────────────────────────────────────────────────────────────────────────

    async def take(self, uow: UnitOfWork, payment: Payment, found: GatewayPayment) -> None:
        """Take over what the gateway says now of a payment that is locked, and tell the others."""
        before, shown = payment.status, views.payment(payment)
        observe(payment, views.seen(found))
        if before in WAITING and payment.status not in WAITING:
            await self._close_authorization(uow, payment, found.operation_id)
        if payment.status in ENDED and payment.held > 0:
            log.error("payments.authorized_after_its_end", order_id=payment.order_id)
            held = Money(payment.held, payment.amount.currency)
            await self.request(uow, new_operation(payment, "void", held, f"{payment.order_id}/void/late", uow.now))
        await self.save(uow, payment)
        if views.payment(payment) != shown:
            uow.emit(PaymentChanged(order_id=payment.order_id, payment=views.payment(payment)))
        settled, failure = settlement_failure(before, payment)
        if settled:
            uow.emit(PaymentSettled(order_id=payment.order_id, payment=views.payment(payment), failure=failure))

    async def _close_authorization(self, uow: UnitOfWork, payment: Payment, gateway_id: str | None) -> None:
        for operation in await self._store.operations(payment.id, uow):
            if operation.kind == "authorize" and operation.status == "pending":
                operation.status = "done" if payment.authorized.amount else "failed"
                operation.gateway_id, operation.failure = gateway_id, payment.failure
                await self._store.save_operation(uow, operation)

    async def save(self, uow: UnitOfWork, payment: Payment) -> None:
        payment.updated_at = uow.now
        await self._store.save(uow, payment, self._ask_at(payment, uow.now))

    def _ask_at(self, payment: Payment, now: datetime) -> datetime | None:
        """When we ask by ourselves; not while somebody is just asking."""
        waits = {"pending": self._config.unknown_seconds, "requires_action": self._config.ask_seconds}.get(payment.status)
        return None if waits is None else now + timedelta(seconds=waits)

    async def locked(self, uow: UnitOfWork, order_id: str) -> Payment:
        payment = await self._store.lock(uow, order_id)
        if payment is None:
            raise NotFound("There is no payment of this order.")
        return payment

    async def known(self, order_id: str) -> Payment:
        payment = await self._store.get(order_id)
        if payment is None:
            raise NotFound("There is no payment of this order.")
        return payment

    # ── what the worker is to ask ────────────────────────────────────────────────────────────────────────────────

    async def request(self, uow: UnitOfWork, operation: Operation) -> None:
        """Write down what the worker is to ask; once per key."""
        if await self._store.add_operation(uow, operation) and operation.status == "pending":
            uow.emit(OperationRequested(order_id=operation.order_id, operation_id=operation.id, kind=operation.kind))


def _new_payment(now: datetime, request: Authorize, gateway: str) -> Payment:
    zero = Money.zero(request.amount.currency)
    return Payment(
        id=new_id(),
        order_id=request.order_id,
        account_id=request.account_id,
        gateway=gateway,
        amount=request.amount,
        status="pending",
        authorized=zero,
        captured=zero,
        voided=zero,
        refunded=zero,
        expires_at=request.expires_at,
        created_at=now,
        updated_at=now,
        method=msgspec.to_builtins(request.method),
    )
