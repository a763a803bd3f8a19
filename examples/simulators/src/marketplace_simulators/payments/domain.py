"""A payment: what may be done with it, and how it looks from outside."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from marketplace_simulators.clock import rfc3339
from marketplace_simulators.wire import Money, Name, Price, Refused

__all__ = [
    "Capture",
    "Challenge",
    "NewPayment",
    "NewTransfer",
    "Operation",
    "OperationView",
    "Payment",
    "PaymentView",
    "Refund",
    "Void",
    "view",
]

Kind = Literal["authorize", "capture", "void", "refund", "transfer"]
State = Literal["requires_action", "authorized", "failed", "voided"]
Status = Literal[
    "requires_action",
    "authorized",
    "partially_captured",
    "captured",
    "voided",
    "partially_refunded",
    "refunded",
    "failed",
]


class Card(Struct, frozen=True, forbid_unknown_fields=True):
    """The token decides what happens: see the README."""

    method: Literal["card"]
    token: Name


class NewPayment(Struct, frozen=True, forbid_unknown_fields=True):
    """``reference`` is the marketplace's own name of what is paid for."""

    reference: Name
    amount: Price
    method: Card
    return_url: Annotated[str, Meta(max_length=2000, pattern=r"\Ahttps?://[!-~]+\Z")] | None = None


class Capture(Struct, frozen=True, forbid_unknown_fields=True):
    """Without an amount: all that is left."""

    amount: Price | None = None


class Refund(Struct, frozen=True, forbid_unknown_fields=True):
    """Without an amount: all that is left."""

    amount: Price | None = None


class Void(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to say."""


class NewTransfer(Struct, frozen=True, forbid_unknown_fields=True):
    """Money to a seller's account."""

    reference: Name
    amount: Price
    destination: Name


class Challenge(Struct, frozen=True, forbid_unknown_fields=True):
    """What the holder of the card does at 3-D Secure."""

    outcome: Literal["succeed", "fail"]


class Payment(Struct):
    """A row. Amounts are minor units of ``currency``."""

    seq: int
    id: str
    reference: str
    key: str
    amount: int
    currency: str
    token: str
    return_url: str | None
    state: State
    authorized: int
    captured: int
    voided: int
    refunded: int
    failure_code: str | None
    failure_detail: str | None
    expires_at: float | None
    created_at: str

    @property
    def left(self) -> int:
        """Authorized, and neither captured nor released."""
        return self.authorized - self.captured - self.voided

    @property
    def refundable(self) -> int:
        return self.captured - self.refunded

    @property
    def status(self) -> Status:
        if self.state != "authorized":
            return self.state
        if self.refunded:
            return "refunded" if not self.refundable and not self.left else "partially_refunded"
        if self.captured:
            return "partially_captured" if self.left else "captured"
        return "authorized"

    def money(self, amount: int) -> Money:
        return Money(amount, self.currency)

    def to_capture(self, wanted: Price | None) -> int:
        """Refuses with 409 what the authorization does not cover."""
        if self.state != "authorized" or (self.voided and not self.left):
            raise Refused(409, "wrong_state", f"a payment that is {self.status} has nothing to capture")
        return self._some(wanted, self.left, "exceeds_authorized")

    def to_refund(self, wanted: Price | None) -> int:
        """Refuses with 409 what was not captured, or is refunded already."""
        if not self.captured:
            raise Refused(409, "wrong_state", f"a payment that is {self.status} has nothing to refund")
        return self._some(wanted, self.refundable, "exceeds_captured")

    def to_void(self) -> int:
        """What would be released: nothing where the authorization itself still waits for the holder."""
        if self.state == "requires_action" or self.left:
            return self.left
        raise Refused(409, "wrong_state", f"a payment that is {self.status} has nothing to release")

    def _some(self, wanted: Price | None, left: int, code: str) -> int:
        if wanted is not None and wanted.currency != self.currency:
            raise Refused(422, "currency_mismatch", f"this payment is in {self.currency}")
        amount = left if wanted is None else wanted.amount
        if amount > left or amount == 0:
            raise Refused(409, code, f"{amount} asked, {left} left")
        return amount


class Operation(Struct, frozen=True):
    """A row of the ledger."""

    seq: int
    id: str
    kind: Kind
    payment: str | None
    reference: str
    key: str
    amount: int
    currency: str
    at: str
    destination: str | None


class OperationView(Struct, frozen=True):
    id: str
    kind: Kind
    payment: str | None
    reference: str
    key: str
    amount: Money
    at: str

    @classmethod
    def of(cls, row: Operation) -> OperationView:
        money = Money(row.amount, row.currency)
        return cls(row.id, row.kind, row.payment, row.reference, row.key, money, row.at)


class Action(Struct, frozen=True):
    type: Literal["redirect"]
    url: str
    expires_at: str


class Failure(Struct, frozen=True):
    code: str
    detail: str


class PaymentView(Struct, frozen=True):
    """``operation`` is what the request did, null in answers to reads and where nothing was moved."""

    id: str
    reference: str
    status: Status
    amount: Money
    authorized: Money
    captured: Money
    voided: Money
    refunded: Money
    action: Action | None
    failure: Failure | None
    operation: OperationView | None
    created_at: str


def view(payment: Payment, url: str, operation: Operation | None = None) -> PaymentView:
    """``url`` is where this gateway is reached."""
    action = failure = None
    if payment.state == "requires_action" and payment.expires_at is not None:
        action = Action("redirect", f"{url}/challenges/{payment.id}", rfc3339(payment.expires_at))
    if payment.failure_code is not None:
        failure = Failure(payment.failure_code, payment.failure_detail or "")
    return PaymentView(
        id=payment.id,
        reference=payment.reference,
        status=payment.status,
        amount=payment.money(payment.amount),
        authorized=payment.money(payment.authorized),
        captured=payment.money(payment.captured),
        voided=payment.money(payment.voided),
        refunded=payment.money(payment.refunded),
        action=action,
        failure=failure,
        operation=None if operation is None else OperationView.of(operation),
        created_at=payment.created_at,
    )
