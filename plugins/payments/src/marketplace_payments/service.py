"""Use cases of payments. What asks a gateway stands in :mod:`charges` and :mod:`operations`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import timedelta

import structlog

from marketplace_core.capabilities.orders import ItemsCancelled, OrderCompleted, OrderFailed, PackageShipped, PaymentView
from marketplace_core.capabilities.payments import (
    AdminPayment,
    Authorize,
    Balances,
    GatewayEvent,
    GatewayPayment,
    ImportPayment,
    OperationRequested,
    PaymentCaptured,
    PaymentChanged,
    PaymentMethods,
    Payments,
    WebhookReceived,
)
from marketplace_core.errors import Conflict, NotFound, Refused, Unavailable
from marketplace_core.ports import (
    StoredWebhook,
    UnitOfWork,
    Units,
    WebhookInbox,
    WebhookState,
    command,
    command_after,
    handler,
    handler_after,
)
from marketplace_core.values import Clock, Imported, Money
from marketplace_core.webhooks import RawWebhook, WebhookAnswer
from marketplace_payments import imports, ledger, views
from marketplace_payments.charges import Charges
from marketplace_payments.config import PaymentsConfig
from marketplace_payments.domain import Payment, Sale, is_known, left_to_capture, new_operation, wrong_amount
from marketplace_payments.gateways import Gateways
from marketplace_payments.operations import Operations
from marketplace_payments.store import LedgerStore, PaymentStore, StoredSale

__all__ = ["PaymentService"]

log = structlog.get_logger("marketplace.payments")

POLL_BATCH = 200
POLL_AT_ONCE = 8

_Look = tuple[GatewayEvent, GatewayPayment | None, str | None]


class PaymentService(Payments):
    def __init__(
        self,
        units: Units,
        ledger_units: Units,
        store: PaymentStore,
        ledger_store: LedgerStore,
        webhooks: WebhookInbox[GatewayEvent],
        gateways: Gateways,
        clock: Clock,
        config: PaymentsConfig,
    ) -> None:
        self.units = units
        self._units: Mapping[str, Units] = {"ledger": ledger_units}
        self._store = store
        self._ledger = ledger_store
        self._webhooks = webhooks
        self._gateways = gateways
        self._clock = clock
        self._config = config
        self._charges = Charges(units, store, gateways, config)
        self._operations = Operations(units, store, gateways, self._charges)

    def units_of(self, role: str) -> Units:
        return self._units[role]

    # ── for the checkout ─────────────────────────────────────────────────────────────────────────────────────

    async def authorize(self, request: Authorize) -> PaymentView:
        return _outcome(await self._charges.authorize(request))

    async def void(self, order_id: str) -> None:
        await self._operations.release(order_id, give_up=True)

    async def expire_action(self, order_id: str) -> PaymentView:
        return _outcome(await self._operations.expire(order_id))

    async def poll_pending(self) -> None:
        """A schedule: what no webhook and no checkout has told us, we ask."""
        await self._gateways.all()
        while due := await self._store.due(self._clock.now(), POLL_BATCH):
            for begin in range(0, len(due), POLL_AT_ONCE):
                asked = (self._charges.ask(payment) for payment in due[begin : begin + POLL_AT_ONCE])
                for result in await asyncio.gather(*asked, return_exceptions=True):
                    if isinstance(result, Unavailable):
                        log.warning("payments.gateway_waiting", cause=result.detail)
                        return
                    if isinstance(result, BaseException):
                        raise result

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    async def list_methods(self) -> PaymentMethods:
        return await self._gateways.methods()

    async def get_payment(self, payment_id: str) -> AdminPayment:
        payment = await self._store.get(payment_id)
        if payment is None:
            raise NotFound("There is no such payment.")
        return views.admin_payment(payment, await self._store.operations(payment.id))

    async def retry_operation(self, payment_id: str, operation_id: str) -> AdminPayment:
        payment = await self._store.get(payment_id)
        if payment is None:
            raise NotFound("There is no such payment.")
        return await self._operations.retry(payment.order_id, operation_id)

    async def get_balances(self, seller_id: str) -> Balances:
        return views.balances(seller_id, await self._ledger.balances(views.seller_accounts(seller_id)))

    # ── history of another system ────────────────────────────────────────────────────────────────────────────

    @command
    async def import_payments(self, uow: UnitOfWork, payments: list[ImportPayment]) -> list[Imported]:
        operations = [operation for payment in payments for operation in imports.operations(payment)]
        made, known = await self._store.insert_missing(uow, [imports.payment(each) for each in payments], operations)
        for payment in payments:
            if payment.id in made:
                uow.emit(PaymentChanged(order_id=payment.order_id, payment=payment.view()), payment.at)
        taken = Imported("rejected", "duplicate", "The order has another payment.")
        kept = {id_: Imported("written" if id_ in made else "unchanged") for id_ in made | known}
        return [kept.get(payment.id, taken) for payment in payments]

    # ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────

    async def receive_webhook(self, webhook: RawWebhook) -> WebhookAnswer:
        gateway = (await self._gateways.all()).get(webhook.source)
        if gateway is None:
            raise NotFound("There is no such payment gateway.")
        event = gateway.read_webhook(webhook.headers, webhook.body, self._clock.now())
        return await self._keep(webhook.source, event, webhook.body)

    async def _meant(self, gateway: str, event: GatewayEvent, body: bytes) -> Payment | None:
        """The payment that a webhook is about."""
        if event.step is None or event.payment_id is None:
            return None
        return await self._store.find(gateway, event.payment_id, event.reference)

    @command_after(_meant)
    async def _keep(
        self, uow: UnitOfWork, payment: Payment | None, gateway: str, event: GatewayEvent, body: bytes
    ) -> WebhookAnswer:
        """``payment``: as it was a moment ago, which is enough: what is authorized stays so, and what is asked is answered."""
        state, note = _begin(event, payment)
        told = StoredWebhook(
            source=gateway, id=event.id, body=body, event=event, state=state, subject=event.payment_id, note=note
        )
        return await self._webhooks.keep(uow, told, _received(gateway, event))

    async def _look(self, event: WebhookReceived) -> _Look | None:
        """What the webhook says, the payment as the gateway has it now, and whose it is."""
        webhook = await self._webhooks.waiting(event.gateway, event.webhook_id)
        if webhook is None or webhook.event is None:
            return None
        gateway = await self._gateways.get(event.gateway)
        found = await gateway.get(event.payment_id)
        payment = await self._store.find(event.gateway, event.payment_id, webhook.event.reference)
        return webhook.event, found, None if payment is None else payment.order_id

    @handler_after(_look, WebhookReceived)
    async def on_webhook_received(self, uow: UnitOfWork, look: _Look | None, event: WebhookReceived) -> None:
        """A webhook says that something happened; what holds is what the gateway says when it is asked."""
        if look is None:
            return
        told, found, order_id = look
        payment = None if order_id is None else await self._store.lock(uow, order_id)
        if payment is None or found is None:
            await self._webhooks.close(uow, event.gateway, event.webhook_id, "ignored", "unknown payment")
            return
        wrong = wrong_amount(payment, await self._store.operations(payment.id, uow), told.step or "", told.amount)
        if wrong is not None:
            log.error("payments.webhook_flagged", gateway=event.gateway, webhook_id=event.webhook_id, cause=wrong)
            await self._webhooks.close(uow, event.gateway, event.webhook_id, "flagged", wrong)
            return
        await self._charges.take(uow, payment, found)
        await self._webhooks.close(uow, event.gateway, event.webhook_id, "applied")

    async def purge_webhooks(self) -> None:
        """A schedule: deletes webhooks that came long ago and wait for nothing."""
        await self._webhooks.purge(self.units, timedelta(days=self._config.webhook_days))

    # ── capturing ────────────────────────────────────────────────────────────────────────────────────────────

    @handler(PackageShipped, imports=False)
    async def on_package_shipped(self, uow: UnitOfWork, event: PackageShipped) -> None:
        if not event.amount.amount and event.subsidy is not None and event.subsidy.amount:
            uow.emit(_given(event))
        payment = await self._store.lock(uow, event.order_id)
        if payment is None:
            return
        if event.amount.amount > 0:
            operation = new_operation(payment, "capture", event.amount, event.shipment_id, uow.now)
            operation.sale = Sale(event.package_id, event.seller_id, event.commission, event.shipping, event.tax, event.subsidy)
            left = left_to_capture(payment, await self._store.operations(payment.id, uow))
            if event.amount.currency != payment.amount.currency or event.amount.amount > left:
                operation.status, operation.failure = "failed", "payments.exceeds_authorized"
                log.error("payments.capture_exceeds", order_id=event.order_id, shipment_id=event.shipment_id, left=left)
            await self._charges.request(uow, operation)
        if not event.remaining.amount:
            await self._operations.request_rest(uow, payment)

    @handler(ItemsCancelled, imports=False)
    async def on_items_cancelled(self, uow: UnitOfWork, event: ItemsCancelled) -> None:
        payment = await self._store.lock(uow, event.order_id)
        if payment is not None and not event.remaining.amount:
            await self._operations.request_rest(uow, payment)

    @handler(OrderFailed)
    async def on_order_failed(self, uow: UnitOfWork, event: OrderFailed) -> None:
        """Its payer is waited for no more: what the gateway then says wakes its checkout, which waits too."""
        payment = await self._store.lock(uow, event.order_id)
        if payment is not None and payment.status == "requires_action":
            await self._operations.request_release(uow, payment)

    async def _perform(self, event: OperationRequested) -> GatewayPayment | None:
        return await self._operations.perform(event.operation_id)

    @handler_after(_perform, OperationRequested)
    async def on_operation_requested(self, uow: UnitOfWork, found: GatewayPayment | None, event: OperationRequested) -> None:
        if found is not None:
            await self._operations.finish(uow, event.order_id, event.operation_id, found)

    # ── the ledger: it may be on another server, and hears of payments by what they tell ─────────────────────────

    @handler(PaymentCaptured, imports=False, role="ledger")
    async def on_payment_captured(self, uow: UnitOfWork, event: PaymentCaptured) -> None:
        completed = await self._ledger.lock_order(uow, event.order_id, completed=False)
        entries = ledger.sale(
            (event.operation_id, event.order_id, event.package_id, event.seller_id),
            event.amount,
            event.commission,
            event.shipping,
            event.tax,
            event.subsidy or Money.zero(event.amount.currency),
            shipping_to=self._config.shipping_to,
            tax_to=self._config.tax_to,
        )
        if not await self._ledger.post(uow, entries):
            return
        net = Money(entries.total(ledger.account(event.seller_id, "pending")), event.amount.currency)
        sale = StoredSale(event.operation_id, event.order_id, event.package_id, event.seller_id, net, released=completed)
        await self._ledger.add_sale(uow, sale)
        if completed:
            await self._release(uow, sale)

    @handler(OrderCompleted, imports=False, role="ledger")
    async def on_order_completed(self, uow: UnitOfWork, event: OrderCompleted) -> None:
        """What was sold can be paid out; what is captured only now will be at once."""
        await self._ledger.lock_order(uow, event.order_id, completed=True)
        for sale in await self._ledger.release_sales(uow, event.order_id):
            await self._release(uow, sale)

    async def _release(self, uow: UnitOfWork, sale: StoredSale) -> None:
        await self._ledger.post(uow, ledger.release(sale.set_id, sale.order_id, sale.package_id, sale.seller_id, sale.amount))


def _given(event: PackageShipped) -> PaymentCaptured:
    """All of it is paid by the marketplace: a fact for the ledger, and none for the gateway."""
    return PaymentCaptured(
        order_id=event.order_id,
        operation_id=event.shipment_id,
        package_id=event.package_id,
        seller_id=event.seller_id,
        amount=event.amount,
        commission=event.commission,
        shipping=event.shipping,
        tax=event.tax,
        subsidy=event.subsidy,
    )


def _begin(event: GatewayEvent, payment: Payment | None) -> tuple[WebhookState, str | None]:
    """What becomes of a webhook that has come, and why it is not looked into."""
    if event.step is None:
        return "ignored", "unknown type"
    if payment is None:
        return "ignored", "unknown payment"
    if is_known(payment, event.step, event.amount):
        return "applied", "as the gateway answers us"
    return "waiting", None


def _received(gateway: str, event: GatewayEvent) -> WebhookReceived | None:
    if event.payment_id is None:
        return None
    return WebhookReceived(payment_id=event.payment_id, gateway=gateway, webhook_id=event.id)


def _outcome(payment: Payment) -> PaymentView:
    """What a payment is to the checkout."""
    if payment.status == "failed":
        raise Refused(payment.failure or "payments.declined", "The payment failed.")
    if payment.unwanted or payment.status == "voided":
        raise Conflict("payments.wrong_state", "The payment was given up.")
    return views.payment(payment)
