"""The part of the suite of payments that is about what they are told: by orders, and by gateways."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.capabilities.orders import ItemsCancelled, OrderCompleted, PackageShipped
from marketplace_core.capabilities.payments import Balance, Payments
from marketplace_core.errors import NotFound
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.surroundings import hook, moved, request, tell
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator
from marketplace_core.values import Address, Money, new_id

__all__ = ["ToldRules"]

ADDRESS = Address(name="Ada", line1="1 Test Street", city="Berlin", postal_code="10115", country="DE")


def _eur(amount: int) -> Money:
    return Money(amount, "EUR")


def _shipped(order: str, amount: int, remaining: int, **other: Any) -> PackageShipped:
    """``remaining``: what the order may still capture afterwards. A tenth is the marketplace's."""
    return PackageShipped(
        order_id=order,
        package_id=new_id(),
        shipment_id=new_id(),
        seller_id=other.get("seller", "seller"),
        lines=[],
        amount=Money(amount, other.get("currency", "EUR")),
        commission=Money(amount // 10, other.get("currency", "EUR")),
        shipping=_eur(0),
        tax=_eur(0),
        remaining=_eur(remaining),
        origin_country="DE",
        carrier="own",
        service="standard",
        tracking_number=None,
        address=ADDRESS,
    )


class ToldRules:
    # ── by orders ────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("payments-1", "payments-5")
    async def test_each_shipment_is_captured_once(self, payments: Payments, market: Marketplace, simulator: Simulator) -> None:
        order = await self._authorized(payments, market)
        first = _shipped(order, 300, 701)
        await tell(market, first, 1, times=2)
        await tell(market, first, 2)
        payment = await payments.get_payment(order)
        assert (payment.status, payment.captured) == ("partially_captured", _eur(300))
        await tell(market, _shipped(order, 701, 0), 3)
        payment = await payments.get_payment(order)
        assert (payment.status, payment.captured, payment.authorized) == ("captured", _eur(1001), _eur(1001))
        assert await moved(simulator, order) == [("authorize", 1001), ("capture", 300), ("capture", 701)]

    @pytest.mark.behaviour("payments-1")
    @pytest.mark.parametrize("fault", ["timeout_after_success", "down"])
    async def test_a_capture_without_an_answer_is_asked_for_again(
        self, payments: Payments, market: Marketplace, simulator: Simulator, fault: str
    ) -> None:
        order = await self._authorized(payments, market)
        await simulator.fault("any" if fault == "down" else "capture", fault)
        await tell(market, _shipped(order, 1001, 0))
        assert (await payments.get_payment(order)).status == "captured"
        assert await moved(simulator, order) == [("authorize", 1001), ("capture", 1001)]

    @pytest.mark.behaviour("payments-5")
    @pytest.mark.parametrize(("amount", "currency"), [(1002, "EUR"), (10, "USD")])
    async def test_nothing_is_captured_above_the_authorisation(
        self, payments: Payments, market: Marketplace, simulator: Simulator, amount: int, currency: str
    ) -> None:
        order = await self._authorized(payments, market)
        await tell(market, _shipped(order, amount, 5, currency=currency), 1)
        assert (await payments.get_payment(order)).captured == _eur(0)
        await tell(market, _shipped(order, 1001, 5), 2)
        await tell(market, _shipped(order, 1, 5), 3)
        payment = await payments.get_payment(order)
        assert payment.captured == _eur(1001)
        assert [each.status for each in payment.operations if each.kind == "capture"] == ["failed", "done", "failed"]
        assert await moved(simulator, order) == [("authorize", 1001), ("capture", 1001)]

    @pytest.mark.behaviour("orders-3")
    async def test_what_nobody_will_capture_is_released(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        order = await self._authorized(payments, market)
        cancelled = ItemsCancelled(order_id=order, package_id="p", lines=[], amount=_eur(301), remaining=_eur(700))
        await tell(market, cancelled, 1)
        assert await moved(simulator, order) == [("authorize", 1001)], "the rest may still be captured"
        await tell(market, _shipped(order, 700, 0), 2, times=2)
        assert await moved(simulator, order) == [("authorize", 1001), ("capture", 700), ("void", 301)]
        whole = await self._authorized(payments, market)
        cancelled = ItemsCancelled(order_id=whole, package_id="p", lines=[], amount=_eur(1001), remaining=_eur(0))
        await tell(market, cancelled, times=2)
        assert await moved(simulator, whole) == [("authorize", 1001), ("void", 1001)]
        assert (await payments.get_payment(whole)).status == "voided"

    @pytest.mark.behaviour("payments-3")
    async def test_a_seller_has_what_was_captured_and_once_completed_to_pay_out(
        self, payments: Payments, market: Marketplace
    ) -> None:
        order, seller = await self._authorized(payments, market), new_id()
        assert (await payments.get_balances(seller)).items == []
        sale = _shipped(order, 601, 400, seller=seller)
        await tell(market, sale, 1)
        await tell(market, sale, 2)
        nothing = _eur(0)
        assert (await payments.get_balances(seller)).items == [Balance("EUR", _eur(541), nothing, nothing)]
        for sequence in (3, 4):
            await tell(market, OrderCompleted(order_id=order), sequence)
        assert (await payments.get_balances(seller)).items == [Balance("EUR", nothing, _eur(541), nothing)]
        assert (await payments.get_balances(new_id())).items == []

    async def test_a_person_has_a_refused_capture_tried_again(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        """And what was to be released goes on after it, or it would be taken from under the capture."""
        order = await self._authorized(payments, market)
        await simulator.fault("capture", "decline", 2)
        await tell(market, _shipped(order, 600, 401), 1)
        await tell(market, ItemsCancelled(order_id=order, package_id="p", lines=[], amount=_eur(401), remaining=_eur(0)), 2)
        for status in ("failed", "done"):
            found = (await payments.get_payment(order)).operations
            assert [(each.kind, each.status) for each in found[:2]] == [("authorize", "done"), ("capture", "failed")]
            assert found[1].failure == "payments.declined"
            assert await moved(simulator, order) == [("authorize", 1001)]
            again = (await payments.retry_operation(order, found[1].id)).operations
            assert [each.status for each in again if each.kind == "capture"] == ["pending"]
            await market.settle()
            after = (await payments.get_payment(order)).operations
            assert [(each.id, each.status) for each in after if each.kind == "capture"] == [(found[1].id, status)]
        assert await moved(simulator, order) == [("authorize", 1001), ("capture", 600), ("void", 401)]
        over = await payments.get_payment(order)
        assert {(each.status, each.failure) for each in over.operations} == {("done", None)}
        assert await payments.retry_operation(order, found[1].id) == over
        await market.settle()
        assert await payments.get_payment(order) == over

    async def test_what_no_gateway_was_asked_for_is_not_tried_again(self, payments: Payments, market: Marketplace) -> None:
        order = await self._authorized(payments, market)
        await tell(market, _shipped(order, 1002, 0))
        [operation] = [each for each in (await payments.get_payment(order)).operations if each.kind == "capture"]
        assert operation.status == "failed"
        await refused("payments.wrong_state", payments.retry_operation(order, operation.id))
        for payment, wanted in ((order, new_id()), (new_id(), operation.id)):
            with pytest.raises(NotFound):
                await payments.retry_operation(payment, wanted)

    async def test_orders_without_a_payment_are_none_of_its_business(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        order, seller = new_id(), new_id()
        await tell(market, _shipped(order, 10, 0, seller=seller))
        assert await simulator.items(f"/payments?reference={order}") == []
        assert (await payments.get_balances(seller)).items == []
        with pytest.raises(NotFound):
            await payments.get_payment(order)

    # ── by gateways ──────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("payments-2")
    @pytest.mark.parametrize(("outcome", "status"), [("succeed", "authorized"), ("fail", "failed")])
    async def test_a_webhook_is_taken_once(
        self, payments: Payments, market: Marketplace, simulator: Simulator, outcome: Any, status: str
    ) -> None:
        order = await self._authorized(payments, market, "tok_3ds")
        payment = await self._at_gateway(simulator, order)
        await simulator.challenge(payment, outcome)
        told = _hook(market, "authorized" if outcome == "succeed" else "failed", payment, order)
        answers = [(await payments.receive_webhook(told)).status for _ in range(3)]
        assert answers == ["accepted", "duplicate", "duplicate"]
        await market.settle()
        found = await payments.get_payment(order)
        assert (found.status, found.action) == (status, None)

    @pytest.mark.behaviour("payments-2")
    async def test_late_and_reordered_webhooks_change_nothing(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        order = await self._authorized(payments, market)
        await payments.void(order)
        payment, before = await self._at_gateway(simulator, order), await payments.get_payment(order)
        for step in ("voided", "authorized", "voided", "authorized"):
            await payments.receive_webhook(_hook(market, step, payment, order))
            await market.settle()
        assert await payments.get_payment(order) == before

    @pytest.mark.behaviour("payments-2")
    async def test_a_webhook_that_lies_is_not_believed(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        """About what happened, or about the money."""
        order = await self._authorized(payments, market, "tok_3ds")
        payment = await self._at_gateway(simulator, order)
        before = await payments.get_payment(order)
        for step, amount in (("authorized", _eur(1001)), ("captured", _eur(1001)), ("failed", _eur(1))):
            await payments.receive_webhook(_hook(market, step, payment, order, amount))
            await market.settle()
            assert await payments.get_payment(order) == before
        await simulator.challenge(payment, "succeed")
        for amount in (_eur(1000), Money(1001, "USD")):
            await payments.receive_webhook(_hook(market, "authorized", payment, order, amount))
            await market.settle()
            assert await payments.get_payment(order) == before

    @pytest.mark.behaviour("payments-2")
    async def test_webhooks_that_nobody_signed_or_long_ago(
        self, payments: Payments, market: Marketplace, simulator: Simulator
    ) -> None:
        order = await self._authorized(payments, market, "tok_3ds")
        payment = await self._at_gateway(simulator, order)
        await simulator.challenge(payment, "succeed")
        for how, code in (
            ({"key": bytes(32)}, "webhooks.bad_signature"),
            ({"age": 301}, "webhooks.stale"),
            ({"age": -301}, "webhooks.stale"),
            ({"source": "another"}, "http.not_found"),
        ):
            told = _hook(market, "authorized", payment, order, id_="msg-1", **how)
            await refused(code, payments.receive_webhook(told))
        await market.settle()
        assert (await payments.get_payment(order)).status == "requires_action"
        told = _hook(market, "authorized", payment, order, id_="msg-1")
        assert (await payments.receive_webhook(told)).status == "accepted"  # none of the others was stored

    @pytest.mark.behaviour("payments-2")
    async def test_webhooks_that_say_nothing_to_us_are_ignored_once(self, payments: Payments, market: Marketplace) -> None:
        for step, payment in (("authorized", "pay-unknown"), ("pondered", "pay-unknown")):
            told = _hook(market, step, payment, new_id())
            assert [(await payments.receive_webhook(told)).status for _ in range(2)] == ["ignored", "duplicate"]

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _authorized(self, payments: Payments, market: Marketplace, token: str = "tok_ok") -> str:  # noqa: S107
        order = new_id()
        await payments.authorize(request(market, order, token))
        return order

    async def _at_gateway(self, simulator: Simulator, order: str) -> str:
        [payment] = await simulator.items(f"/payments?reference={order}")
        return str(payment["id"])


def _hook(market: Marketplace, step: str, payment: str, order: str, amount: Money | None = None, **how: Any) -> Any:
    data = {"payment": payment, "reference": order, "amount": amount or _eur(1001)}
    return hook(market, f"payment.{step}", data, **how)
