"""What the gateway does. Each use case is one synchronous step inside of its caller's transaction."""

from __future__ import annotations

import secrets
from typing import Literal

import msgspec
from msgspec import Struct

from marketplace_simulators.clock import Clock
from marketplace_simulators.faults import Faults
from marketplace_simulators.operations import Hold, Outcome
from marketplace_simulators.outbox import Event
from marketplace_simulators.payments.domain import (
    Capture,
    Challenge,
    Kind,
    NewPayment,
    NewTransfer,
    Operation,
    Payment,
    Refund,
    view,
)
from marketplace_simulators.payments.ledger import Ledger
from marketplace_simulators.wire import Money, Refused

__all__ = ["Service", "TransferView"]

_ACTION_SECONDS = 15 * 60
_GOOD_TOKENS = frozenset({"tok_ok", "tok_3ds", "tok_slow", "tok_timeout", "tok_twice"})
_HOLDS: dict[str, Hold] = {"tok_slow": "slow", "tok_timeout": "timeout"}

Happening = Literal["authorized", "captured", "voided", "refunded", "failed"]


class TransferView(Struct, frozen=True):
    id: str
    reference: str
    amount: Money
    destination: str | None
    status: Literal["paid"]
    at: str


class Service:
    def __init__(self, ledger: Ledger, clock: Clock, faults: Faults, url: str) -> None:
        self._ledger = ledger
        self._clock = clock
        self._faults = faults
        self._url = url

    def find(self, id_: str) -> Payment:
        payment = self._ledger.payment(id_)
        if payment is None:
            raise Refused(404, "not_found", "no such payment")
        return payment

    def challenged(self, id_: str) -> Payment:
        """The payment whose holder is, or was, to be asked."""
        payment = self._ledger.payment(id_)
        if payment is None or payment.expires_at is None:
            raise Refused(404, "not_found", "no such challenge")
        return payment

    def pay(self, new: NewPayment, key: str) -> Outcome:
        token = new.method.token
        payment = Payment(
            seq=0,
            id=f"pay_{secrets.token_hex(12)}",
            reference=new.reference,
            key=key,
            amount=new.amount.amount,
            currency=new.amount.currency,
            token=token,
            return_url=new.return_url,
            state="authorized",
            authorized=0,
            captured=0,
            voided=0,
            refunded=0,
            failure_code=None,
            failure_detail=None,
            expires_at=None,
            created_at=self._clock.text(),
        )
        operation = None
        events: tuple[Event, ...] = ()
        if token not in _GOOD_TOKENS or self._faults.take("authorize", "decline"):
            events = self._fail(payment, "declined", "the issuer declined")
        elif token == "tok_3ds":  # noqa: S105 - the name of a behaviour
            payment.state, payment.expires_at = "requires_action", self._clock.now() + _ACTION_SECONDS
        else:
            operation = self._authorize(payment)
            events = self._tell("authorized", payment, payment.amount, echo=token == "tok_twice")  # noqa: S105
        self._ledger.insert(payment)
        return Outcome(201, view(payment, self._url, operation), events, _HOLDS.get(token, "no"))

    def capture(self, id_: str, wanted: Capture, key: str) -> Outcome:
        payment = self.find(id_)
        amount = payment.to_capture(wanted.amount)
        self._decline("capture")
        payment.captured += amount
        return self._moved(payment, "capture", "captured", amount, key)

    def refund(self, id_: str, wanted: Refund, key: str) -> Outcome:
        payment = self.find(id_)
        amount = payment.to_refund(wanted.amount)
        self._decline("refund")
        payment.refunded += amount
        return self._moved(payment, "refund", "refunded", amount, key)

    def void(self, id_: str, key: str) -> Outcome:
        """Release what is not captured. Where the holder has not answered yet, no money moves."""
        payment = self.find(id_)
        amount = payment.to_void()
        self._decline("void")
        payment.voided += amount
        if not payment.captured:
            payment.state = "voided"
        if amount:
            return self._moved(payment, "void", "voided", amount, key)
        self._ledger.update(payment)
        return Outcome(200, view(payment, self._url), self._tell("voided", payment, 0))

    def transfer(self, new: NewTransfer, key: str) -> Outcome:
        self._decline("transfer")
        row = self._ledger.record(
            "transfer",
            reference=new.reference,
            key=key,
            amount=new.amount.amount,
            currency=new.amount.currency,
            destination=new.destination,
        )
        money = Money(row.amount, row.currency)
        return Outcome(201, TransferView(row.id, row.reference, money, row.destination, "paid", row.at))

    def challenge(self, id_: str, answer: Challenge) -> Outcome:
        """The holder's answer. The same answer again is good, and does nothing."""
        payment = self.challenged(id_)
        if payment.state != "requires_action":
            succeeded = payment.authorized > 0
            failed = payment.failure_code == "authentication_failed"
            if (answer.outcome == "succeed" and succeeded) or (answer.outcome == "fail" and failed):
                return Outcome(204, None)
            raise Refused(409, "wrong_state", f"this payment is {payment.status}")
        if payment.expires_at is None or payment.expires_at <= self._clock.now():
            raise Refused(409, "action_expired", "the time to answer is over")
        if answer.outcome == "succeed":
            payment.state = "authorized"
            self._authorize(payment)
            events = self._tell("authorized", payment, payment.amount)
        else:
            events = self._fail(payment, "authentication_failed", "the holder was not authenticated")
        self._ledger.update(payment)
        return Outcome(204, None, events)

    def expire(self) -> Outcome:
        """Fail every payment whose holder did not answer in time."""
        events: list[Event] = []
        for payment in self._ledger.expired(self._clock.now()):
            events.extend(self._fail(payment, "action_expired", "the holder did not answer in time"))
            self._ledger.update(payment)
        return Outcome(204, None, tuple(events))

    def overdue(self) -> bool:
        return bool(self._ledger.expired(self._clock.now()))

    def _decline(self, kind: Kind) -> None:
        if self._faults.take(kind, "decline"):
            raise Refused(409, "declined", f"the {kind} was declined")

    def _authorize(self, payment: Payment) -> Operation:
        payment.authorized = payment.amount
        return self._record("authorize", payment, payment.amount, payment.key)

    def _moved(self, payment: Payment, kind: Kind, happening: Happening, amount: int, key: str) -> Outcome:
        self._ledger.update(payment)
        operation = self._record(kind, payment, amount, key)
        return Outcome(200, view(payment, self._url, operation), self._tell(happening, payment, amount))

    def _record(self, kind: Kind, payment: Payment, amount: int, key: str) -> Operation:
        return self._ledger.record(
            kind,
            reference=payment.reference,
            key=key,
            amount=amount,
            currency=payment.currency,
            payment=payment.id,
        )

    def _fail(self, payment: Payment, code: str, detail: str) -> tuple[Event, ...]:
        payment.state, payment.failure_code, payment.failure_detail = "failed", code, detail
        return self._tell("failed", payment, payment.amount)

    def _tell(self, happening: Happening, payment: Payment, amount: int, *, echo: bool = False) -> tuple[Event, ...]:
        causes: dict[Happening, Kind] = {"captured": "capture", "voided": "void", "refunded": "refund"}
        data = {
            "payment": payment.id,
            "reference": payment.reference,
            "amount": msgspec.to_builtins(payment.money(amount)),
        }
        cause = causes.get(happening, "authorize")
        return (Event(cause, payment.id, f"payment.{happening}", data, echo),)
