"""Capturing and releasing: what was written down for the worker, or for a checkout that is undone, and its carrying out."""

from __future__ import annotations

from datetime import datetime

import structlog

from marketplace_core.capabilities.payments import AdminPayment, GatewayPayment, OperationRequested, PaymentCaptured
from marketplace_core.errors import Conflict, MarketplaceError, NotFound, Refused, Unavailable
from marketplace_core.ports import UnitOfWork, Units, command, natural
from marketplace_core.values import Money, new_id
from marketplace_payments import views
from marketplace_payments.charges import Charges
from marketplace_payments.domain import ENDED, WAITING, Operation, Payment, left_to_release, new_operation
from marketplace_payments.gateways import Gateways
from marketplace_payments.store import PaymentStore

__all__ = ["Operations"]

log = structlog.get_logger("marketplace.payments")

#: A release that the gateway refuses so often waits for a person.
REFUSALS = 5
#: The currency of no money (ISO 4217): an order was given up before anything was asked for it.
NO_CURRENCY = "XXX"


class Operations:
    def __init__(self, units: Units, store: PaymentStore, gateways: Gateways, charges: Charges) -> None:
        self.units = units
        self._store = store
        self._gateways = gateways
        self._charges = charges

    # ── releasing ────────────────────────────────────────────────────────────────────────────────────────────

    async def expire(self, order_id: str) -> Payment:
        """A payment whose holder did not act in time, released unless it went through."""
        payment = await self._charges.known(order_id)
        if payment.status in WAITING:
            payment = await self._charges.ask(payment)
        if payment.status == "requires_action":
            await self.release(order_id, give_up=False)
            payment = await self._charges.known(order_id)
        return payment

    async def release(self, order_id: str, *, give_up: bool) -> None:
        """Done when this returns. ``give_up``: nothing may be authorized for the order afterwards either.

        :raises Unavailable: not known yet. :raises Refused: ``payments.wrong_state``: the gateway keeps refusing.
        """
        operation_id = await self._begin_release(order_id, give_up)
        if operation_id is None:
            return
        payment = await self._charges.known(order_id)
        if payment.status == "pending":
            await self._charges.ask(payment)  # only then it is known what there is to release
        found = await self.perform(operation_id)
        if found is not None:
            await self._finish(order_id, operation_id, found)
        known = await self._store.get_operation(operation_id)
        if known is not None and known[0].status == "failed":
            raise Refused("payments.wrong_state", "The gateway refuses to release the money.")

    @natural
    async def _begin_release(self, uow: UnitOfWork, order_id: str, give_up: bool) -> str | None:
        """The operation that releases it; None where nothing is to be released."""
        payment = await self._store.lock(uow, order_id)
        if payment is None:
            if not give_up or await self._store.insert(uow, _given_up(uow.now, order_id), None, None):
                return None
            payment = await self._charges.locked(uow, order_id)
        if payment.status in ENDED:
            return None
        operations = await self._store.operations(payment.id, uow)
        if give_up and not payment.unwanted:
            payment.unwanted = True
            await self._charges.save(uow, payment)
        for operation in operations:
            if operation.kind == "void" and operation.status != "done":
                operation.status = "pending"
                await self._store.save_operation(uow, operation)
                return operation.id
        left = payment.amount.amount if payment.status in WAITING else left_to_release(payment, operations)
        if left <= 0:
            return None
        operation = new_operation(payment, "void", Money(left, payment.amount.currency), f"{order_id}/void", uow.now)
        await self._store.add_operation(uow, operation)
        return operation.id

    async def request_release(self, uow: UnitOfWork, payment: Payment) -> None:
        """What a payer is asked for is released by the worker. ``payment`` is locked, and waits."""
        payment.unwanted = True
        await self._charges.save(uow, payment)
        await self._charges.request(uow, new_operation(payment, "void", payment.amount, f"{payment.order_id}/void", uow.now))

    async def request_rest(self, uow: UnitOfWork, payment: Payment) -> None:
        """What nobody will capture any more is released by the worker. ``payment`` is locked."""
        left = left_to_release(payment, await self._store.operations(payment.id, uow))
        if left > 0:
            rest = Money(left, payment.amount.currency)
            await self._charges.request(uow, new_operation(payment, "void", rest, f"{payment.order_id}/void/rest", uow.now))

    # ── carrying out ─────────────────────────────────────────────────────────────────────────────────────────

    async def perform(self, operation_id: str) -> GatewayPayment | None:
        """Ask the gateway to capture or release; None where that is settled already.

        :raises Unavailable: not known yet, or refused and to be asked again.
        """
        known = await self._store.get_operation(operation_id)
        if known is None or known[0].status != "pending":
            return None
        operation, payment = known
        if payment.gateway_id is None or (payment.status in ENDED and payment.held <= 0):
            await self._close(payment.order_id, operation_id)
            return None
        try:
            await self._check(operation, payment)
            return await self._ask_gateway(operation, payment, payment.gateway_id)
        except MarketplaceError as error:
            if not error.is_refusal:
                raise
            if await self._refused(payment.order_id, operation_id, error.code):
                raise Unavailable(f"The gateway refused to {operation.kind}; it is asked again.") from None
            return None

    async def _check(self, operation: Operation, payment: Payment) -> None:
        """A release takes all that is not captured: not from under a capture that somebody still has to see to."""
        if operation.kind == "void":
            others = [other for other in await self._store.operations(payment.id) if other.kind == "capture"]
            if any(other.status == "pending" for other in others):
                raise Unavailable("A capture comes first.")
            if any(other.status == "failed" and other.attempts for other in others):
                raise Refused("payments.wrong_state", "A capture was refused and waits for a person.")

    async def _ask_gateway(self, operation: Operation, payment: Payment, id_: str) -> GatewayPayment:
        gateway = await self._gateways.get(payment.gateway)
        # A refusal had no effect and is the key's answer for ever, so another try needs another key.
        key = f"{operation.key}/{operation.attempts}" if operation.attempts else operation.key
        if operation.kind == "capture":
            return await gateway.capture(key, id_, operation.amount)
        try:
            return await gateway.void(key, id_)
        except MarketplaceError as error:
            found = await gateway.get(id_) if error.is_refusal else None
            if found is None or not _released(found):
                raise
            return found

    @natural
    async def _finish(self, uow: UnitOfWork, order_id: str, operation_id: str, found: GatewayPayment) -> None:
        await self.finish(uow, order_id, operation_id, found)

    async def finish(self, uow: UnitOfWork, order_id: str, operation_id: str, found: GatewayPayment) -> None:
        """The gateway did it: note that, take over its totals, tell the ledger. Again: nothing."""
        payment = await self._charges.locked(uow, order_id)
        operation = await self._operation(uow, payment, operation_id)
        if operation.status != "pending":
            return
        operation.status, operation.gateway_id, operation.failure = "done", found.operation_id, None
        await self._store.save_operation(uow, operation)
        await self._charges.take(uow, payment, found)
        if operation.kind == "capture" and operation.sale is not None:
            uow.emit(
                PaymentCaptured(
                    order_id=order_id,
                    operation_id=operation.id,
                    package_id=operation.sale.package_id,
                    seller_id=operation.sale.seller_id,
                    amount=operation.amount,
                    commission=operation.sale.commission,
                    shipping=operation.sale.shipping,
                    tax=operation.sale.tax,
                    subsidy=operation.sale.subsidy,
                )
            )

    @natural
    async def _close(self, uow: UnitOfWork, order_id: str, operation_id: str) -> None:
        """There was nothing to do at the gateway."""
        payment = await self._charges.locked(uow, order_id)
        operation = await self._operation(uow, payment, operation_id)
        operation.status = "done" if operation.kind == "void" else "failed"
        await self._store.save_operation(uow, operation)

    @natural
    async def _refused(self, uow: UnitOfWork, order_id: str, operation_id: str, code: str) -> bool:
        """Keep the refusal. Whether it is asked again: a release is, some times; a capture waits for a person."""
        payment = await self._charges.locked(uow, order_id)
        operation = await self._operation(uow, payment, operation_id)
        if operation.status != "pending":
            return False
        operation.attempts, operation.failure = operation.attempts + 1, code
        again = operation.kind == "void" and operation.attempts < REFUSALS
        if not again:
            operation.status = "failed"
            log.error(
                "payments.operation_refused", order_id=order_id, operation_id=operation_id, kind=operation.kind, code=code
            )
        await self._store.save_operation(uow, operation)
        return again

    # ── a person ─────────────────────────────────────────────────────────────────────────────────────────────

    @command
    async def retry(self, uow: UnitOfWork, order_id: str, operation_id: str) -> AdminPayment:
        """Let the worker ask again for what the gateway refused for good, by a key of its own."""
        payment = await self._charges.locked(uow, order_id)
        operations = await self._store.operations(payment.id, uow)
        wanted = next((operation for operation in operations if operation.id == operation_id), None)
        if wanted is None:
            raise NotFound("The payment has no such operation.")
        if not wanted.attempts and wanted.status == "failed":
            raise Conflict("payments.wrong_state", "The gateway was never asked for it.")
        if wanted.status == "failed":
            # What was to be released was not taken from under the capture: it comes after it again.
            held_up = [x for x in operations if x.kind == "void" and x.status == "failed"] if wanted.kind == "capture" else []
            for operation in (wanted, *held_up):
                operation.status = "pending"
                await self._store.save_operation(uow, operation)
                uow.emit(OperationRequested(order_id=order_id, operation_id=operation.id, kind=operation.kind))
        return views.admin_payment(payment, operations)

    async def _operation(self, uow: UnitOfWork, payment: Payment, operation_id: str) -> Operation:
        found = await self._store.operations(payment.id, uow)
        return next(operation for operation in found if operation.id == operation_id)


def _released(found: GatewayPayment) -> bool:
    """Nothing is held, and nothing will be."""
    held = found.authorized - found.captured - found.voided
    return found.status not in WAITING and held.amount <= 0


def _given_up(now: datetime, order_id: str) -> Payment:
    zero = Money.zero(NO_CURRENCY)
    return Payment(
        id=new_id(),
        order_id=order_id,
        account_id=None,
        gateway="",
        amount=zero,
        status="voided",
        authorized=zero,
        captured=zero,
        voided=zero,
        refunded=zero,
        expires_at=now,
        created_at=now,
        updated_at=now,
        unwanted=True,
    )
