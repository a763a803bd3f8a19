"""Any sequence of authorizing, capturing, releasing and webhooks, over the service, its database and a gateway's simulator."""

from __future__ import annotations

import contextlib
from typing import Any, ClassVar

import msgspec
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from marketplace_core.capabilities.orders import ItemsCancelled, OrderCompleted, PackageShipped
from marketplace_core.capabilities.payments import (
    AdminPayment,
    OperationRequested,
    PaymentCaptured,
    WebhookReceived,
)
from marketplace_core.errors import NotFound, Refused, Unavailable
from marketplace_core.testing.contracts.surroundings import hook
from marketplace_core.testing.machines import Machine, run_machine
from marketplace_core.values import Address, Money, new_id
from marketplace_core.webhooks import RawWebhook

TOTAL = 1000
#: Mostly none: a time-out takes its time.
TROUBLE = st.sampled_from(["", "", "timeout_after_success", "decline", "down"])
ADDRESS = Address(name="Ada", line1="1 Test Street", city="Berlin", postal_code="10115", country="DE")


def _euros(amount: int) -> Money:
    return Money(amount, "EUR")


class Books(Machine):
    """One order. What is asked of payments may be asked again at any time, and is in any order."""

    desk: ClassVar[Any]

    @initialize(token=st.sampled_from(["tok_ok"] * 4 + ["tok_3ds", "tok_declined"]), first=st.integers(0, 10), trouble=TROUBLE)
    def begin(self, token: str, first: int, trouble: str) -> None:
        self.order, self.token, self.seller = new_id(), token, new_id()
        self.left = TOTAL
        self.shipments: list[PackageShipped] = []
        self.cancellations: list[ItemsCancelled] = []
        self.webhooks: list[RawWebhook] = []
        self.unwanted = False
        if first:  # mostly it goes as it should, so far
            self.authorize()
            self.ship(first, 0)
            self.misbehave("capture", trouble)

    # ── what is asked ────────────────────────────────────────────────────────────────────────────────────────

    @rule()
    def authorize(self) -> None:
        try:
            self.run(self.desk.authorize(self.order, self.token, TOTAL))
        except Refused as refused:
            assert refused.code in {
                "payments.declined",
                "payments.authentication_failed",
                "payments.action_expired",
                "payments.wrong_state",
            }

    @rule(really=st.integers(0, 3))
    def give_up(self, really: int) -> None:
        """Now and then: afterwards there is not much to do. A capture that is under way comes first."""
        if not really:
            self.unwanted = True
            with contextlib.suppress(Unavailable):
                self._void()

    def _void(self) -> None:
        try:
            self.run(self.desk.payments.void(self.order))
        except Refused as refused:
            assert refused.code == "payments.wrong_state"

    @precondition(lambda self: self.token == "tok_3ds")
    @rule(outcome=st.sampled_from(["succeed", "fail"]))
    def act_as_the_holder(self, outcome: Any) -> None:
        if self._status() == "requires_action":
            self.run(self.desk.gateway.challenge(self._gateway_id(), outcome))
            self.run(self.desk.advance(6))
            self.run(self.desk.service.poll_pending())

    @rule(share=st.integers(1, 10), more=st.integers(0, 5))
    def ship(self, share: int, more: int) -> None:
        """A part of what is left; or, which orders never do, more than there is."""
        amount = self.left * share // 10
        self.left -= amount
        taken = amount + TOTAL * (more == 5)
        event = PackageShipped(
            order_id=self.order,
            package_id="package",
            shipment_id=new_id(),
            seller_id=self.seller,
            lines=[],
            amount=_euros(taken),
            commission=_euros(taken // 10),
            shipping=_euros(taken // 20),
            tax=_euros(taken // 5),
            remaining=_euros(self.left),
            origin_country="DE",
            carrier="own",
            service="standard",
            tracking_number=None,
            address=ADDRESS,
        )
        self.shipments.append(event)
        self._tell("on_package_shipped", event)

    @rule(share=st.integers(0, 5))
    def cancel(self, share: int) -> None:
        amount = self.left * share // 10
        self.left -= amount
        event = ItemsCancelled(
            order_id=self.order, package_id="package", lines=[], amount=_euros(amount), remaining=_euros(self.left)
        )
        self.cancellations.append(event)
        self._tell("on_items_cancelled", event)

    @precondition(lambda self: self.shipments)
    @rule(data=st.data())
    def ship_again(self, data: Any) -> None:
        """The same event once more: it is remembered by its shipment, not by its place."""
        self._tell("on_package_shipped", data.draw(st.sampled_from(self.shipments)))

    @rule()
    def complete(self) -> None:
        self._tell("on_order_completed", OrderCompleted(order_id=self.order))

    # ── what happens by itself, also again ───────────────────────────────────────────────────────────────────

    @rule()
    def work(self) -> None:
        for data in self._events("payments.requested", self.order):
            event = msgspec.convert(data, OperationRequested)
            self.run(self.desk.known(lambda event=event: self._told("on_operation_requested", event)))

    @rule()
    def post(self) -> None:
        for data in self._events("payments.captured", self.order):
            self._tell("on_payment_captured", msgspec.convert(data, PaymentCaptured))

    @rule(
        step=st.sampled_from(["authorized", "captured", "voided", "failed", "unheard_of"]),
        amount=st.sampled_from([TOTAL, TOTAL // 2, 1]),
    )
    def webhook(self, step: str, amount: int) -> None:
        """True or not: it is only a reason to ask the gateway."""
        if (payment := self._gateway_id()) is not None:
            self.webhooks.append(_signed(self.desk, payment, f"payment.{step}", amount))
            self._receive(self.webhooks[-1])

    @precondition(lambda self: self.webhooks)
    @rule(data=st.data())
    def webhook_again(self, data: Any) -> None:
        self._receive(data.draw(st.sampled_from(self.webhooks)))

    def _receive(self, webhook: RawWebhook) -> None:
        self.run(self.desk.payments.receive_webhook(webhook))
        for data in self._events("payments.webhook_received", self._gateway_id()):
            self._tell("on_webhook_received", msgspec.convert(data, WebhookReceived))

    @rule(operation=st.sampled_from(["capture", "void"]), kind=TROUBLE)
    def misbehave(self, operation: str, kind: str) -> None:
        if kind:
            self.run(self.desk.gateway.fault("any" if kind == "down" else operation, kind))

    # ── what always holds ────────────────────────────────────────────────────────────────────────────────────

    @rule()
    def look(self) -> None:
        self._check_ledger()
        self._check_gateway()

    def teardown(self) -> None:
        if not hasattr(self, "order"):
            return
        self.work()  # in which what is armed strikes
        self.run(self.desk.gateway.call("DELETE", "/faults"))
        self.work()
        if self.unwanted:
            self._void()
        self.post()
        self.post()
        self._check_ledger()
        self._check_gateway()
        self._check_end()

    def _check_ledger(self) -> None:
        """Each set sums to zero, and each balance is the sum of its entries."""
        database = self.desk.database
        wrong = "SELECT set_id FROM payments.ledger GROUP BY set_id, currency HAVING sum(amount) <> 0"
        assert self.run(database.fetch(wrong)) == []
        differ = (
            "SELECT * FROM (SELECT account, currency, sum(amount)::bigint AS amount FROM payments.ledger GROUP BY 1, 2) AS l"
            " FULL JOIN payments.balances b USING (account, currency) WHERE l.amount IS DISTINCT FROM b.amount"
        )
        assert self.run(database.fetch(differ)) == []

    def _check_gateway(self) -> None:
        """There, too, money is authorized once and never captured or released beyond that."""
        rows = self.run(self.desk.really(self.order))
        authorized = [amount for kind, amount in rows if kind == "authorize"]
        assert authorized in ([], [TOTAL])
        assert sum(amount for kind, amount in rows if kind in {"capture", "void"}) <= sum(authorized)

    def _check_end(self) -> None:
        """Once all is worked off: the operations, the ledger and the gateway tell the same."""
        payment = self._payment()
        rows = self.run(self.desk.gateway.ledger(self.order))
        captured = {row["key"]: row["amount"]["amount"] for row in rows if row["kind"] == "capture"}
        if payment is None:
            assert rows == []
            return
        done = {each.id: each.amount.amount for each in payment.operations if (each.kind, each.status) == ("capture", "done")}
        assert all(each.status != "pending" for each in payment.operations if payment.status != "requires_action")
        assert sum(captured.values()) == sum(done.values()) == payment.captured.amount
        entries = (
            "SELECT l.set_id, -l.amount AS amount FROM payments.ledger l JOIN payments.ledger_sets s ON s.id = l.set_id"
            " WHERE l.account = 'gateway' AND s.order_id = $1"
        )
        posted = {row["set_id"]: row["amount"] for row in self.run(self.desk.database.fetch(entries, self.order))}
        assert posted == {id_: amount for id_, amount in done.items() if amount}
        self._check_seller(done)

    def _check_seller(self, done: dict[str, int]) -> None:
        """The seller has what was captured less the commission, nothing twice."""
        balances = self.run(self.desk.payments.get_balances(self.seller)).items
        owed = sum(each.pending.amount + each.available.amount for each in balances)
        assert owed == sum(amount - amount // 10 for amount in done.values())

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────

    def _told(self, handler: str, event: Any) -> Any:
        return self.desk.tell(getattr(type(self.desk.service), handler), event)

    def _tell(self, handler: str, event: Any) -> None:
        self.run(self.desk.known(lambda: self._told(handler, event)))

    def _events(self, type_: str, key: str | None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.run(self.desk.events(type_, key))
        return found

    def _payment(self) -> AdminPayment | None:
        try:
            found: AdminPayment = self.run(self.desk.payment(self.order))
        except NotFound:
            return None
        return found

    def _status(self) -> str | None:
        payment = self._payment()
        return None if payment is None else payment.status

    def _gateway_id(self) -> Any:
        return self.run(self.desk.database.value("SELECT gateway_id FROM payments.payments WHERE order_id = $1", self.order))


def _signed(desk: Any, payment: str, type_: str, amount: int) -> RawWebhook:
    data = {"payment": payment, "reference": "-", "amount": Money(amount, "EUR")}
    return hook(desk.market, type_, data)


@pytest.mark.behaviour("payments-1", "payments-2", "payments-3", "payments-5")
@pytest.mark.parametrize("desk", ["local"], indirect=True)
async def test_any_sequence_keeps_the_books(desk: Any) -> None:
    await run_machine(Books, 20, 15, desk=desk)
