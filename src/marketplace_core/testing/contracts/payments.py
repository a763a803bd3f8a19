"""What every provider of :class:`~marketplace_core.capabilities.payments.Payments` must do, on its port and on the bus."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from marketplace_core.capabilities.orders import PaymentMethod
from marketplace_core.capabilities.payments import ImportPart, ImportPayment, Payments
from marketplace_core.errors import NotFound, Unavailable
from marketplace_core.testing.contracts import refused, together
from marketplace_core.testing.contracts.payments_told import ToldRules
from marketplace_core.testing.contracts.surroundings import EUR, known, moved, request
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator
from marketplace_core.values import Imported, Money, new_id

__all__ = ["PaymentsContract"]


def _history(market: Marketplace, *amounts: int) -> ImportPayment:
    """What was paid for an order elsewhere, in so many parts."""
    return ImportPayment(
        id=new_id(),
        order_id=new_id(),
        account_id=None,
        gateway="elsewhere",
        reference=new_id(),
        currency="EUR",
        parts=tuple(ImportPart(f"part-{number}", Money(amount, "EUR")) for number, amount in enumerate(amounts)),
        at=market.clock.now(),
    )


class PaymentsContract(ToldRules):
    """Fixtures: ``simulator``, a payment gateway that runs and sends no webhooks (:mod:`marketplace_core.testing.simulators`),
    and ``market``, a marketplace of the provider, of ``payments_simulator`` with that one's settings and of a worker.
    """

    @pytest.fixture
    def payments(self, market: Marketplace) -> Payments:
        return market.port(Payments)

    # ── authorizing ──────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("payments-1", "payments-5")
    @pytest.mark.parametrize("token", ["tok_ok", "tok_slow"])
    async def test_an_order_is_authorized_once(
        self, payments: Payments, market: Marketplace, simulator: Simulator, token: str
    ) -> None:
        order = new_id()
        asked = request(market, order, token)
        views = await together(*(known(lambda: payments.authorize(asked)) for _ in range(5)))
        view = await payments.authorize(asked)
        assert views == [view] * 5
        assert (view.status, view.gateway, view.action) == ("authorized", "simulator", None)
        assert (view.authorized, view.captured, view.refunded) == (EUR, Money(0, "EUR"), Money(0, "EUR"))
        assert await moved(simulator, order) == [("authorize", 1001)]

    async def test_a_payment_is_read_by_its_id_and_by_its_orders(self, payments: Payments, market: Marketplace) -> None:
        order = new_id()
        view = await payments.authorize(request(market, order))
        payment = await payments.get_payment(order)
        assert await payments.get_payment(view.id) == payment
        assert (payment.id, payment.order_id, payment.status, payment.authorized) == (view.id, order, "authorized", EUR)
        assert [(each.kind, each.amount, each.status) for each in payment.operations] == [("authorize", EUR, "done")]
        with pytest.raises(NotFound):
            await payments.get_payment(new_id())

    @pytest.mark.behaviour("payments-1")
    async def test_a_decline_is_a_refusal(self, payments: Payments, market: Marketplace, simulator: Simulator) -> None:
        order = new_id()
        for _ in range(2):
            await refused("payments.declined", payments.authorize(request(market, order, "tok_declined")))
        assert (await payments.get_payment(order)).status == "failed"
        assert await moved(simulator, order) == []
        await payments.void(order)

    @pytest.mark.behaviour("payments-1")
    async def test_what_is_unknown_is_asked_again(self, payments: Payments, market: Marketplace, simulator: Simulator) -> None:
        for operation, fault in (("authorize", "timeout_after_success"), ("any", "down")):
            order = new_id()
            await simulator.fault(operation, fault)
            with pytest.raises(Unavailable):
                await payments.authorize(request(market, order))
            assert (await payments.authorize(request(market, order))).status == "authorized"
            assert await moved(simulator, order) == [("authorize", 1001)]

    async def test_another_amount_of_the_same_order_is_refused(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        order = new_id()
        await payments.authorize(request(market, order))
        for amount in (Money(1000, "EUR"), Money(1001, "USD")):
            await refused("payments.wrong_state", payments.authorize(request(market, order, amount=amount)))
        assert await moved(simulator, order) == [("authorize", 1001)]

    async def test_methods_are_those_of_the_gateways(self, payments: Payments, market: Marketplace) -> None:
        found = (await payments.list_methods()).items
        assert [(each.method, each.gateway) for each in found] == [("card", "simulator")]
        strange = replace(request(market, new_id()), method=PaymentMethod("cowries", "x"))
        await refused("payments.declined", payments.authorize(strange))

    # ── the holder ───────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("payments-1")
    async def test_one_that_waits_for_its_holder(self, payments: Payments, market: Marketplace, simulator: Simulator) -> None:
        order = new_id()
        asked = request(market, order, "tok_3ds")
        view = await payments.authorize(asked)
        assert view.status == "requires_action" and view.action is not None
        assert await payments.authorize(asked) == view
        assert await moved(simulator, order) == []
        await simulator.challenge(view.action.url.rsplit("/", 1)[-1], "succeed")
        view = await payments.expire_action(order)  # the holder was there at the last moment
        assert (view.status, view.action) == ("authorized", None)
        assert await payments.authorize(asked) == view

    @pytest.mark.behaviour("payments-1")
    @pytest.mark.parametrize("failure", ["payments.action_expired", "payments.authentication_failed"])
    async def test_a_holder_who_does_not_act_or_fails(
        self, payments: Payments, market: Marketplace, simulator: Simulator, failure: str
    ) -> None:
        order = new_id()
        asked = request(market, order, "tok_3ds")
        view = await payments.authorize(asked)
        if failure == "payments.authentication_failed":
            assert view.action is not None
            await simulator.challenge(view.action.url.rsplit("/", 1)[-1], "fail")
        for _ in range(2):
            await refused(failure, payments.expire_action(order))
        await refused(failure, payments.authorize(asked))
        assert (await payments.get_payment(order)).status == "failed"
        assert await moved(simulator, order) == []

    # ── giving up ────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("payments-1")
    async def test_what_is_voided_is_released_once(self, payments: Payments, market: Marketplace, simulator: Simulator) -> None:
        order = new_id()
        await payments.authorize(request(market, order))
        await together(*(known(lambda: payments.void(order)) for _ in range(4)))
        await payments.void(order)
        assert await moved(simulator, order) == [("authorize", 1001), ("void", 1001)]
        assert (await payments.get_payment(order)).status == "voided"
        await refused("payments.wrong_state", payments.authorize(request(market, order)))

    @pytest.mark.behaviour("payments-1")
    async def test_what_is_voided_without_an_answer(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        """Whether the money was held is not known yet, or whether it was released."""
        for operation in ("authorize", "void"):
            order = new_id()
            await simulator.fault(operation, "timeout_after_success")
            if operation == "authorize":
                with pytest.raises(Unavailable):
                    await payments.authorize(request(market, order))
            else:
                await payments.authorize(request(market, order))
            await known(lambda order=order: payments.void(order))  # type: ignore[misc]
            assert await moved(simulator, order) == [("authorize", 1001), ("void", 1001)]
            await refused("payments.wrong_state", payments.authorize(request(market, order)))

    async def test_what_was_voided_first_is_never_authorized(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        order = new_id()
        for _ in range(2):
            await payments.void(order)
        await refused("payments.wrong_state", payments.authorize(request(market, order)))
        assert await simulator.items(f"/payments?reference={order}") == []

    # ── history of another system ────────────────────────────────────────────────────────────────────────────

    async def test_what_was_paid_elsewhere_is_written_once_and_told_to_no_gateway(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        whole, free, new = _history(market, 700, 301), _history(market), _history(market, 5)
        assert await payments.import_payments([whole, free]) == [Imported("written")] * 2
        other = replace(_history(market, 1001), order_id=whole.order_id)
        again = await payments.import_payments([other, new, whole])
        assert [(each.status, each.code) for each in again] == [
            ("rejected", "duplicate"),
            ("written", None),
            ("unchanged", None),
        ]
        await market.settle()
        payment = await payments.get_payment(whole.order_id)
        assert (payment.id, payment.gateway, payment.status, payment.action) == (whole.id, "elsewhere", "captured", None)
        assert (payment.authorized, payment.captured, payment.refunded) == (EUR, EUR, Money(0, "EUR"))
        assert sorted((each.kind, each.amount.amount, each.status) for each in payment.operations) == [
            ("authorize", 1001, "done"),
            ("capture", 301, "done"),
            ("capture", 700, "done"),
        ]
        assert (await payments.get_payment(free.id)).status == "voided"
        for history in (whole, free, new):
            assert await simulator.items(f"/payments?reference={history.order_id}") == []

    async def test_of_what_was_paid_elsewhere_nothing_moves_any_more(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        history = _history(market, 1001)
        await payments.import_payments([history])
        await payments.void(history.order_id)
        payment = await payments.get_payment(history.order_id)
        assert (payment.status, payment.captured) == ("captured", EUR)
        await refused("payments.wrong_state", payments.authorize(request(market, history.order_id, amount=Money(1, "EUR"))))
        assert await simulator.items(f"/payments?reference={history.order_id}") == []
