"""A payment and its rules: what the gateway's word changes, what may still be captured, what a webhook may say. Pure.

An order's payment is asked about by several at once: the checkout, webhooks, our own asking, the worker. Each takes what the
gateway says *now* through :func:`observe`, under a lock: totals only grow and an end is never left, so that what is said
late, twice or out of order changes nothing wrongly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from marketplace_core.values import Money, new_id

__all__ = [
    "ENDED",
    "WAITING",
    "Operation",
    "Payment",
    "Sale",
    "Seen",
    "fail",
    "is_known",
    "left_to_capture",
    "left_to_release",
    "new_operation",
    "observe",
    "settlement_failure",
    "wrong_amount",
]

#: The gateway has not said yet whether there will be money.
WAITING = frozenset({"pending", "requires_action"})
#: No money is held, and none ever will be.
ENDED = frozenset({"failed", "voided"})

Kind = Literal["authorize", "capture", "void", "refund"]

DECLINED = "payments.declined"
EXPIRED = "payments.action_expired"


@dataclass
class Payment:
    """One order's payment. ``amount`` is what was asked for.

    ``method`` is kept only until the gateway has answered; ``unanswered``: it was asked to authorize, and no answer came.
    ``unwanted``: it was given up, whatever the gateway still says.
    """

    id: str
    order_id: str
    account_id: str | None
    gateway: str
    amount: Money
    status: str
    authorized: Money
    captured: Money
    voided: Money
    refunded: Money
    expires_at: datetime
    created_at: datetime
    updated_at: datetime
    gateway_id: str | None = None
    action_url: str | None = None
    action_expires_at: datetime | None = None
    failure: str | None = None
    unwanted: bool = False
    unanswered: bool = False
    method: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def held(self) -> int:
        """Authorized, and neither captured nor released."""
        return self.authorized.amount - self.captured.amount - self.voided.amount


@dataclass(frozen=True)
class Sale:
    """What a capture is for: the facts of the shipment that the ledger needs."""

    package_id: str
    seller_id: str
    commission: Money
    shipping: Money
    tax: Money
    subsidy: Money | None = None


@dataclass
class Operation:
    """One thing that the gateway is asked to do, under ``key``; ``attempts`` counts answers that were no success."""

    id: str
    payment_id: str
    order_id: str
    kind: Kind
    amount: Money
    key: str
    status: Literal["pending", "done", "failed"]
    at: datetime
    gateway_id: str | None = None
    attempts: int = 0
    failure: str | None = None
    sale: Sale | None = None


@dataclass(frozen=True)
class Seen:
    """A payment as the gateway has it now."""

    id: str
    status: str
    authorized: Money
    captured: Money
    voided: Money
    refunded: Money
    action_url: str | None
    action_expires_at: datetime | None
    failure: str | None


def new_operation(payment: Payment, kind: Kind, amount: Money, key: str, at: datetime) -> Operation:
    return Operation(
        id=new_id(),
        payment_id=payment.id,
        order_id=payment.order_id,
        kind=kind,
        amount=amount,
        key=key,
        status="pending",
        at=at,
    )


# ── what the gateway says ────────────────────────────────────────────────────────────────────────────────────


def observe(payment: Payment, seen: Seen) -> None:
    """Take over what the gateway says now."""
    payment.gateway_id = payment.gateway_id or seen.id
    payment.method = None
    for name in ("authorized", "captured", "voided", "refunded"):
        setattr(payment, name, max(getattr(payment, name), getattr(seen, name)))
    if payment.status in ENDED:
        return
    if payment.authorized.amount or seen.status not in WAITING | {"failed"}:
        _go_on(payment)
    elif seen.status == "failed":
        fail(payment, seen.failure or DECLINED)
    else:
        payment.status, payment.action_url = "requires_action", seen.action_url
        payment.action_expires_at = min(seen.action_expires_at or payment.expires_at, payment.expires_at)


def _go_on(payment: Payment) -> None:
    """It waits for nobody any more."""
    waited = payment.status == "requires_action"
    payment.status = _status(payment)
    payment.action_url = payment.action_expires_at = None
    if waited and payment.status == "voided":
        fail(payment, EXPIRED)  # released before anybody could go on with it


def fail(payment: Payment, code: str) -> None:
    payment.status, payment.failure = "failed", code
    payment.action_url = payment.action_expires_at = payment.method = None


def _status(payment: Payment) -> str:
    if payment.refunded.amount:
        whole = payment.refunded == payment.captured and not payment.held
        return "refunded" if whole else "partially_refunded"
    if payment.captured.amount:
        return "partially_captured" if payment.held else "captured"
    return "authorized" if payment.held else "voided"


def settlement_failure(before: str, payment: Payment) -> tuple[bool, str | None]:
    """Whether a payment that waited for its holder goes on by this change, and if it does so without money, why."""
    if before != "requires_action" or payment.status == "requires_action":
        return False, None
    return True, payment.failure if payment.status in ENDED else None


# ── what may be asked of it ──────────────────────────────────────────────────────────────────────────────────


def left_to_capture(payment: Payment, operations: Sequence[Operation]) -> int:
    """What no capture has been written down for. A capture that the gateway refused keeps its part: it may be tried again."""
    return payment.authorized.amount - payment.voided.amount - _claimed(operations)


def left_to_release(payment: Payment, operations: Sequence[Operation]) -> int:
    """What nobody will capture any more and no operation releases yet."""
    if any(operation.kind == "void" and operation.status == "pending" for operation in operations):
        return 0
    return min(left_to_capture(payment, operations), payment.held)


def _claimed(operations: Sequence[Operation]) -> int:
    return sum(
        operation.amount.amount
        for operation in operations
        if operation.kind == "capture" and (operation.status != "failed" or operation.attempts)
    )


# ── what a webhook may say ───────────────────────────────────────────────────────────────────────────────────


def is_known(payment: Payment, step: str, amount: Money | None) -> bool:
    """Whether a webhook tells what the answer to our own call has told, or is about to: money is authorized once.

    Nothing waits for it in the second case. The checkout waits for the answer, and asks again where none comes.
    """
    if payment.status == "pending":
        ours = step in {"authorized", "failed"} and not payment.unanswered
    else:
        ours = step == "authorized" and payment.authorized.amount > 0
    return ours and amount in (None, payment.amount)


def wrong_amount(payment: Payment, operations: Sequence[Operation], step: str, amount: Money | None) -> str | None:
    """What is wrong with the money that a webhook tells of one step; None where it is as we know it."""
    if amount is None:
        return None
    if amount.currency != payment.amount.currency:
        return f"{step} in {amount.currency}, and the payment is in {payment.amount.currency}"
    known = {payment.amount.amount}
    kind = {"captured": "capture", "voided": "void", "refunded": "refund"}.get(step)
    if kind is not None:
        known = {operation.amount.amount for operation in operations if operation.kind == kind}
    if step == "voided":
        known |= {0, payment.amount.amount}
    if amount.amount in known:
        return None
    return f"{step} {amount.amount}, and we know of {sorted(known)}"
