"""What the simulator's JSON means in our words."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

from marketplace_core.capabilities.orders import PaymentAction, PaymentStatus
from marketplace_core.capabilities.payments import GatewayEvent, GatewayPayment, PaymentStep
from marketplace_core.values import Money

__all__ = ["Problem", "WirePayment", "WireWebhook", "gateway_event", "gateway_payment", "refusal"]

_STEPS: dict[str, PaymentStep] = {
    "payment.authorized": "authorized",
    "payment.captured": "captured",
    "payment.voided": "voided",
    "payment.refunded": "refunded",
    "payment.failed": "failed",
}
_FAILURES = {
    "declined": "payments.declined",
    "authentication_failed": "payments.authentication_failed",
    "action_expired": "payments.action_expired",
}
_REFUSALS = {"declined": "payments.declined", "exceeds_captured": "payments.exceeds_captured"}


class WireAction(Struct, frozen=True):
    url: str
    expires_at: datetime


class WireFailure(Struct, frozen=True):
    code: str


class WireOperation(Struct, frozen=True):
    id: str


class WirePayment(Struct, frozen=True, kw_only=True):
    id: str
    reference: str
    status: PaymentStatus
    authorized: Money
    captured: Money
    voided: Money
    refunded: Money
    action: WireAction | None = None
    failure: WireFailure | None = None
    operation: WireOperation | None = None


class Problem(Struct, frozen=True):
    """The body of an error."""

    code: str = ""
    detail: str = ""


class WireData(Struct, frozen=True):
    payment: str | None = None
    reference: str | None = None
    amount: Money | None = None


class WireWebhook(Struct, frozen=True):
    type: str
    data: WireData = WireData()


def gateway_payment(found: WirePayment) -> GatewayPayment:
    return GatewayPayment(
        id=found.id,
        reference=found.reference,
        status=found.status,
        authorized=found.authorized,
        captured=found.captured,
        voided=found.voided,
        refunded=found.refunded,
        action=PaymentAction("redirect", found.action.url, found.action.expires_at) if found.action else None,
        failure=_FAILURES.get(found.failure.code, "payments.declined") if found.failure else None,
        operation_id=found.operation.id if found.operation else None,
    )


def gateway_event(id_: str, webhook: WireWebhook) -> GatewayEvent:
    step = _STEPS.get(webhook.type)
    if step is None:
        return GatewayEvent(id=id_, type=webhook.type, payment_id=None, amount=None)
    data = webhook.data
    return GatewayEvent(
        id=id_, type=webhook.type, payment_id=data.payment, amount=data.amount, reference=data.reference, step=step
    )


def refusal(problem: Problem) -> str:
    """Our code for a 4xx."""
    return _REFUSALS.get(problem.code, "payments.wrong_state")
