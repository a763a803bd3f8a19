"""What every :class:`~marketplace_core.capabilities.payments.PaymentGateway` must do, beside the service that it speaks to."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from marketplace_core.capabilities.orders import PaymentMethod
from marketplace_core.capabilities.payments import GatewayPayment, PaymentGateway, PaymentStep
from marketplace_core.errors import Refused, Unavailable
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.hooks import RawHook
from marketplace_core.values import Money, new_id

__all__ = ["Bank", "PaymentGatewayContract"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EUR = Money(1001, "EUR")


class Bank(ABC):
    """The service itself, as a test makes it behave; mostly a sandbox or a simulator.

    ``good``, ``declined`` and ``challenged`` pay, are declined, and wait for their holder.
    """

    good: PaymentMethod
    declined: PaymentMethod
    challenged: PaymentMethod

    @abstractmethod
    async def lose_answer(self, operation: Literal["authorize", "capture", "void", "refund"]) -> None:
        """The next such operation is carried out, and its answer does not come."""

    @abstractmethod
    async def fall_over(self) -> None:
        """The next request is answered with an error of the service's own, and nothing is done."""

    @abstractmethod
    async def challenge(self, payment_id: str, outcome: Literal["succeed", "fail"]) -> None:
        """What the holder does."""

    @abstractmethod
    async def moved(self, reference: str) -> list[tuple[str, Money]]:
        """What really happened to a payment's money: kinds of operations and amounts, in order."""

    @abstractmethod
    def webhook(
        self, step: PaymentStep | None, payment_id: str, amount: Money, *, id_: str, at: datetime, signed: bool = True
    ) -> RawHook:
        """As the service sends it; ``step`` None: of a type that we do not know; not ``signed``: by a stranger."""


class PaymentGatewayContract:
    """Fixtures: ``gateway``, and ``bank``, the :class:`Bank` that it speaks to."""

    # ── payments ─────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("payments-1")
    async def test_one_key_authorizes_once(self, gateway: PaymentGateway, bank: Bank) -> None:
        order, key = new_id(), new_id()
        made = await gateway.authorize(key, order, EUR, bank.good)
        assert (made.reference, made.status, made.failure, made.action) == (order, "authorized", None, None)
        assert (made.authorized, _moved(made)) == (EUR, [0, 0, 0])
        assert bank.good.method in gateway.methods
        for again in await asyncio.gather(*(gateway.authorize(key, order, EUR, bank.good) for _ in range(5))):
            assert again == made
        assert await bank.moved(order) == [("authorize", EUR)]

    @pytest.mark.behaviour("payments-1")
    async def test_a_decline_is_a_payment(self, gateway: PaymentGateway, bank: Bank) -> None:
        order = new_id()
        made = [await gateway.authorize("a" + order, order, EUR, bank.declined) for _ in range(2)]
        assert [(each.status, each.failure) for each in made] == [("failed", "payments.declined")] * 2
        assert made[0].id == made[1].id
        assert await bank.moved(order) == []

    @pytest.mark.behaviour("payments-1")
    @pytest.mark.parametrize("outcome", ["succeed", "fail"])
    async def test_one_that_waits_for_its_holder(
        self, gateway: PaymentGateway, bank: Bank, outcome: Literal["succeed", "fail"]
    ) -> None:
        order = new_id()
        made = await gateway.authorize("a" + order, order, EUR, bank.challenged)
        assert made.status == "requires_action" and made.action is not None and made.action.url
        assert await bank.moved(order) == []
        await bank.challenge(made.id, outcome)
        found = await gateway.get(made.id)
        assert found is not None and found.action is None
        if outcome == "succeed":
            assert (found.status, found.authorized, found.failure) == ("authorized", EUR, None)
        else:
            assert (found.status, found.failure) == ("failed", "payments.authentication_failed")

    @pytest.mark.behaviour("payments-1", "payments-5")
    async def test_parts_are_captured_once_and_never_more_than_all(self, gateway: PaymentGateway, bank: Bank) -> None:
        order, made = await self._paid(gateway, bank)
        for _ in range(2):
            found = await gateway.capture("c1" + order, made.id, Money(600, "EUR"))
            assert (found.status, _moved(found)) == ("partially_captured", [600, 0, 0])
        with pytest.raises(Refused):
            await gateway.capture("c2" + order, made.id, Money(402, "EUR"))
        expected = [("authorize", EUR), ("capture", Money(600, "EUR"))]
        assert await bank.moved(order) == expected
        if gateway.multi_capture:
            found = await gateway.capture("c3" + order, made.id, Money(401, "EUR"))
            assert (found.status, _moved(found)) == ("captured", [1001, 0, 0])
            assert await bank.moved(order) == [*expected, ("capture", Money(401, "EUR"))]

    @pytest.mark.behaviour("payments-1")
    async def test_what_is_not_captured_is_released_once(self, gateway: PaymentGateway, bank: Bank) -> None:
        order, made = await self._paid(gateway, bank)
        await gateway.capture("c" + order, made.id, Money(600, "EUR"))
        for _ in range(2):
            assert _moved(await gateway.void("v" + order, made.id)) == [600, 401, 0]
        with pytest.raises(Refused):
            await gateway.capture("c2" + order, made.id, Money(1, "EUR"))
        assert (await bank.moved(order))[2:] == [("void", Money(401, "EUR"))]

    @pytest.mark.behaviour("payments-1")
    async def test_parts_are_refunded_once_and_never_more_than_was_captured(self, gateway: PaymentGateway, bank: Bank) -> None:
        order, made = await self._paid(gateway, bank)
        await gateway.capture("c" + order, made.id, Money(600, "EUR"))
        for _ in range(2):
            found = await gateway.refund("r1" + order, made.id, Money(599, "EUR"))
            assert (found.status, _moved(found)) == ("partially_refunded", [600, 0, 599])
        await refused("payments.exceeds_captured", gateway.refund("r2" + order, made.id, Money(2, "EUR")))
        assert (await gateway.refund("r3" + order, made.id, Money(1, "EUR"))).refunded == Money(600, "EUR")
        assert (await bank.moved(order))[2:] == [("refund", Money(599, "EUR")), ("refund", Money(1, "EUR"))]

    async def test_a_payment_is_read_as_it_is_now(self, gateway: PaymentGateway, bank: Bank) -> None:
        _, made = await self._paid(gateway, bank)
        _, other = await self._paid(gateway, bank)
        taken = await gateway.capture("c" + made.id, made.id, Money(600, "EUR"))
        found = await gateway.get(made.id)
        assert found is not None
        assert (found.id, found.reference, found.status, _moved(found)) == (made.id, made.reference, taken.status, [600, 0, 0])
        untouched = await gateway.get(other.id)
        assert untouched is not None and _moved(untouched) == [0, 0, 0]
        assert await gateway.get("nothing") is None

    # ── what is unknown ──────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("payments-1")
    async def test_a_lost_answer_is_asked_for_by_the_same_key(self, gateway: PaymentGateway, bank: Bank) -> None:
        order = new_id()
        part = Money(600, "EUR")
        await bank.lose_answer("authorize")
        with pytest.raises(Unavailable):
            await gateway.authorize("a" + order, order, EUR, bank.good)
        made = await gateway.authorize("a" + order, order, EUR, bank.good)
        await bank.lose_answer("capture")
        with pytest.raises(Unavailable):
            await gateway.capture("c" + order, made.id, part)
        assert _moved(await gateway.capture("c" + order, made.id, part)) == [600, 0, 0]
        await bank.lose_answer("refund")
        with pytest.raises(Unavailable):
            await gateway.refund("r" + order, made.id, part)
        assert _moved(await gateway.refund("r" + order, made.id, part)) == [600, 0, 600]
        await bank.lose_answer("void")
        with pytest.raises(Unavailable):
            await gateway.void("v" + order, made.id)
        assert _moved(await gateway.void("v" + order, made.id)) == [600, 401, 600]
        moved = [("authorize", EUR), ("capture", part), ("refund", part), ("void", Money(401, "EUR"))]
        assert await bank.moved(order) == moved

    async def test_a_service_that_is_not_well_has_decided_nothing(self, gateway: PaymentGateway, bank: Bank) -> None:
        order, made = await self._paid(gateway, bank)
        await bank.fall_over()
        with pytest.raises(Unavailable):
            await gateway.authorize("b" + order, new_id(), EUR, bank.good)
        await bank.fall_over()
        with pytest.raises(Unavailable):
            await gateway.get(made.id)
        assert await bank.moved(order) == [("authorize", EUR)]

    # ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("payments-2")
    @pytest.mark.parametrize("step", ["authorized", "captured", "voided", "refunded", "failed"])
    async def test_a_webhook_is_read(self, gateway: PaymentGateway, bank: Bank, step: PaymentStep) -> None:
        part, ids = Money(599, "EUR"), []
        for late in (0, 200):  # as when it is sent again
            at = NOW + timedelta(seconds=late)
            event = gateway.read_webhook(*bank.webhook(step, "pay-1", part, id_="msg-1", at=at), at)
            assert (event.step, event.payment_id, event.amount) == (step, "pay-1", part)
            ids.append(event.id)
        other = gateway.read_webhook(*bank.webhook(step, "pay-1", part, id_="msg-2", at=NOW), NOW)
        assert ids[0] == ids[1] != other.id

    @pytest.mark.behaviour("payments-2")
    async def test_a_webhook_of_a_type_that_we_do_not_know(self, gateway: PaymentGateway, bank: Bank) -> None:
        event = gateway.read_webhook(*bank.webhook(None, "pay-1", EUR, id_="msg-1", at=NOW), NOW)
        assert event.id and event.type and (event.payment_id, event.step) == (None, None)

    @pytest.mark.behaviour("payments-2")
    async def test_a_webhook_that_nobody_signed_or_long_ago(self, gateway: PaymentGateway, bank: Bank) -> None:
        async def read(raw: RawHook, now: datetime = NOW) -> object:
            return gateway.read_webhook(*raw, now)

        forged = bank.webhook("captured", "pay-1", EUR, id_="msg-1", at=NOW, signed=False)
        headers, body = bank.webhook("captured", "pay-1", EUR, id_="msg-1", at=NOW)
        for raw in (forged, (headers, body.replace(b"1001", b"1002")), ({}, body)):
            await refused("webhooks.bad_signature", read(raw))
        for seconds in (-301, 301):
            await refused("webhooks.stale", read((headers, body), NOW + timedelta(seconds=seconds)))

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _paid(self, gateway: PaymentGateway, bank: Bank) -> tuple[str, GatewayPayment]:
        order = new_id()
        return order, await gateway.authorize("a" + order, order, EUR, bank.good)


def _moved(payment: GatewayPayment) -> list[int]:
    """Captured, released, and given back."""
    assert {each.currency for each in (payment.captured, payment.voided, payment.refunded)} == {"EUR"}
    return [payment.captured.amount, payment.voided.amount, payment.refunded.amount]
