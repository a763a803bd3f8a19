"""payments: money of orders, by gateways that extension plugins speak to, and the ledger behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from marketplace_core.capabilities.orders import PaymentAction, PaymentMethod, PaymentStatus, PaymentView
from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, patient, query
from marketplace_core.scopes import declare_scopes
from marketplace_core.values import Imported, Money

# Released under these names: webhooks are not of payments alone.
from marketplace_core.webhooks import RawWebhook as RawWebhook  # noqa: PLC0414
from marketplace_core.webhooks import WebhookAnswer as WebhookAnswer  # noqa: PLC0414
from marketplace_core.webhooks import WebhookStatus as WebhookStatus  # noqa: PLC0414

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

OperationKind = Literal["authorize", "capture", "void", "refund"]
OperationStatus = Literal["pending", "done", "failed"]
PaymentStep = Literal["authorized", "captured", "voided", "refunded", "failed"]


class PaymentMethodView(Struct, frozen=True):
    method: str
    gateway: str
    title: str


class PaymentMethods(Struct, frozen=True):
    items: list[PaymentMethodView]


class Operation(Struct, frozen=True, kw_only=True):
    """One thing that a gateway was asked to do; ``failure`` is the code of its last refusal, None where it did it."""

    id: str
    kind: OperationKind
    amount: Money
    status: OperationStatus
    gateway_id: str | None
    at: datetime
    failure: str | None = None


class AdminPayment(Struct, frozen=True, kw_only=True):
    """*payment* of the API, with its operations."""

    id: str
    gateway: str
    status: PaymentStatus
    authorized: Money
    captured: Money
    refunded: Money
    action: PaymentAction | None
    order_id: str
    operations: list[Operation]


class Authorize(Struct, frozen=True, kw_only=True):
    """An order's money. ``expires_at``: after it a payment that waits for its holder has failed."""

    order_id: str
    account_id: str | None
    amount: Money
    method: PaymentMethod
    expires_at: datetime


class ImportPart(Struct, frozen=True):
    """One thing that was paid by; ``reference`` names it in the other system."""

    reference: str
    amount: Money


class ImportPayment(Struct, frozen=True, kw_only=True):
    """What was paid for an order in another system, which ``gateway`` names: no gateway of ours is asked about it."""

    id: str
    order_id: str
    account_id: str | None
    gateway: str
    reference: str
    currency: str
    parts: tuple[ImportPart, ...]
    at: datetime

    def view(self) -> PaymentView:
        """How it looks on its order."""
        paid = Money.sum((part.amount for part in self.parts), self.currency)
        status: PaymentStatus = "captured" if paid.amount else "voided"
        zero = Money.zero(self.currency)
        return PaymentView(id=self.id, gateway=self.gateway, status=status, authorized=paid, captured=paid, refunded=zero)


class Balance(Struct, frozen=True):
    currency: str
    pending: Money
    available: Money
    paid_out: Money


class Balances(Struct, frozen=True):
    items: list[Balance]


# ── what a gateway plugin gives ──────────────────────────────────────────────────────────────────────────────


class GatewayPayment(Struct, frozen=True, kw_only=True):
    """A payment as the gateway has it. The amounts are totals so far; ``failure`` is one of our codes."""

    id: str
    reference: str
    status: PaymentStatus
    authorized: Money
    captured: Money
    voided: Money
    refunded: Money
    action: PaymentAction | None = None
    failure: str | None = None
    operation_id: str | None = None


class GatewayEvent(Struct, frozen=True, kw_only=True):
    """A webhook, checked: ``id`` is the same at each repeat, ``type`` is the gateway's own word.

    ``payment_id`` None: of a type that we do not know. ``reference`` is what we gave to the payment, for one of which the
    gateway has not answered us yet. ``step`` is what has happened, and ``amount`` the money of that step alone.
    """

    id: str
    type: str
    payment_id: str | None
    amount: Money | None
    reference: str | None = None
    step: PaymentStep | None = None


class PaymentGateway(ABC):
    """A payment service. Every method is asked again with the same ``key`` after a time-out, and then has one effect.

    Each raises :class:`Unavailable` while the outcome is unknown and :class:`Refused` when the gateway decided against it.
    """

    title: str
    methods: tuple[str, ...]
    multi_capture: bool

    @abstractmethod
    async def authorize(self, key: str, reference: str, amount: Money, method: PaymentMethod) -> GatewayPayment:
        """A decline is a payment with the status ``failed``, not an exception."""

    @abstractmethod
    async def capture(self, key: str, payment_id: str, amount: Money) -> GatewayPayment: ...

    @abstractmethod
    async def void(self, key: str, payment_id: str) -> GatewayPayment:
        """Release what is not captured."""

    @abstractmethod
    async def refund(self, key: str, payment_id: str, amount: Money) -> GatewayPayment: ...

    @abstractmethod
    async def get(self, payment_id: str) -> GatewayPayment | None:
        """The payment as it is now; None where the gateway has none by that id."""

    @abstractmethod
    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayEvent:
        """:raises Unauthorized: ``webhooks.bad_signature``, ``webhooks.stale``."""


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("payments.changed", key="order_id")
class PaymentChanged(Event, frozen=True, kw_only=True):
    """A payment after a change, whole."""

    order_id: str
    payment: PaymentView


@event("payments.settled", key="order_id")
class PaymentSettled(Event, frozen=True, kw_only=True):
    """A payment that waited for its holder goes on: authorized, or failed with one of our codes."""

    order_id: str
    payment: PaymentView
    failure: str | None = None


@event("payments.requested", key="order_id")
class OperationRequested(Event, frozen=True, kw_only=True):
    """The gateway has to be asked; the worker does it."""

    order_id: str
    operation_id: str
    kind: OperationKind


@event("payments.captured", key="order_id")
class PaymentCaptured(Event, frozen=True, kw_only=True):
    """A fact for the ledger: a package's money has been taken.

    ``subsidy`` is what the marketplace adds to the seller's part for discounts that it pays. Where it pays all of a parcel
    nothing was taken: ``amount`` is 0, and ``operation_id`` is the shipment's.
    """

    order_id: str
    operation_id: str
    package_id: str
    seller_id: str
    amount: Money
    commission: Money
    shipping: Money
    tax: Money
    subsidy: Money | None = None


@event("payments.webhook_received", key="payment_id")
class WebhookReceived(Event, frozen=True, kw_only=True):
    payment_id: str
    gateway: str
    webhook_id: str


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

declare_scopes("seller", "payments")
declare_scopes("admin", "payments")
declare_codes(
    409,
    "payments.declined",
    "payments.authentication_failed",
    "payments.action_expired",
    "payments.exceeds_captured",
    "payments.wrong_state",
)


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Payments(ABC):
    """One payment per order: authorised once, captured per package, never above the authorisation."""

    @abstractmethod
    @mutation(retriable=True)
    async def authorize(self, request: Authorize) -> PaymentView:
        """Ask the gateway, once per order. ``requires_action``: its holder must act, ``payments.settled`` follows.

        :raises Refused: ``payments.declined``, and what else ended it: ``payments.authentication_failed``,
            ``payments.action_expired``. :raises Conflict: ``payments.wrong_state``: it is voided, or another amount was asked
            for under this order. :raises Unavailable: not known yet.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def void(self, order_id: str) -> None:
        """Nothing is authorized any more; of an order without a payment this is remembered. Done when this returns."""

    @abstractmethod
    @mutation(retriable=True)
    async def expire_action(self, order_id: str) -> PaymentView:
        """The holder did not act in time. The view, if the gateway says that it went through all the same.

        :raises Refused: ``payments.action_expired``, or what else it failed for. :raises Unavailable: not known yet.
        """

    @abstractmethod
    @query
    async def list_methods(self) -> PaymentMethods: ...

    @abstractmethod
    @query
    async def get_payment(self, payment_id: str) -> AdminPayment:
        """By its own id or its order's. :raises NotFound:"""

    @abstractmethod
    @mutation(retriable=True)
    async def retry_operation(self, payment_id: str, operation_id: str) -> AdminPayment:
        """Have the gateway asked again for what it refused for good; of one that is under way or done: nothing.

        With a capture, the releases go on that waited for it. The answer is the payment before the gateway was asked.

        :raises NotFound: :raises Conflict: ``payments.wrong_state``: the gateway was never asked for it.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def receive_webhook(self, webhook: RawWebhook) -> WebhookAnswer:
        """Store it, durably; it is applied afterwards. :raises NotFound: no such gateway. :raises Unauthorized:"""

    @abstractmethod
    @query
    async def get_balances(self, seller_id: str) -> Balances: ...

    @abstractmethod
    @patient(seconds=60.0)
    @mutation(retriable=True)
    async def import_payments(self, payments: list[ImportPayment]) -> list[Imported]:
        """Write those of orders that have none, in the same order; ``duplicate`` where the order has another.

        They are history: no gateway and no ledger hears of them, since their money never came through here.
        """


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class PaymentsHooks:
    @hookspec
    def provide_payments(self, context: PluginContext) -> Payments:  # type: ignore[empty-body]
        """The capability's provider."""

    @hookspec
    async def payment_gateways(self) -> Mapping[str, PaymentGateway]:  # type: ignore[empty-body]
        """Gateways by name; a contribution, asked for once per process."""
