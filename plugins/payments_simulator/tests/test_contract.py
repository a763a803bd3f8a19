"""The suite of payment gateways, over this one; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import Any, Literal

import msgspec
import pytest
import pytest_asyncio
from marketplace_payments_simulator.config import PaymentsSimulatorConfig
from marketplace_payments_simulator.gateway import SimulatorGateway
from msgspec.structs import replace

from marketplace_core.capabilities.orders import PaymentMethod
from marketplace_core.capabilities.payments import PaymentStep
from marketplace_core.errors import MarketplaceError, Refused
from marketplace_core.testing.contracts import Method, Wrong, assert_contract_fails, fixtures_of, hooks, rules
from marketplace_core.testing.contracts.hooks import (
    Methods,
    RawHook,
    gives_each_sending_an_id,
    keyless,
    looks_at_no_clock,
    reads_what_nobody_signed,
    refusing,
)
from marketplace_core.testing.contracts.payment_gateway import Bank, PaymentGatewayContract
from marketplace_core.testing.simulators import SECRET, Simulator, launched
from marketplace_core.values import Money, new_id

PATIENCE = 0.5


class SimulatedBank(Bank):
    good = PaymentMethod("card", "tok_ok")
    declined = PaymentMethod("card", "tok_declined")
    challenged = PaymentMethod("card", "tok_3ds")

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def lose_answer(self, operation: Literal["authorize", "capture", "void", "refund"]) -> None:
        await self._simulator.fault(operation, "timeout_after_success")

    async def fall_over(self) -> None:
        await self._simulator.fault("any", "down")

    async def challenge(self, payment_id: str, outcome: Literal["succeed", "fail"]) -> None:
        await self._simulator.challenge(payment_id, outcome)

    async def moved(self, reference: str) -> list[tuple[str, Money]]:
        rows = await self._simulator.ledger(reference)
        return [(row["kind"], Money(row["amount"]["amount"], row["amount"]["currency"])) for row in rows]

    def webhook(
        self, step: PaymentStep | None, payment_id: str, amount: Money, *, id_: str, at: datetime, signed: bool = True
    ) -> RawHook:
        data = {"payment": payment_id, "reference": "order", "amount": amount}
        body = msgspec.json.encode({"type": f"payment.{step or 'pondered'}", "id": id_, "data": data})
        return hooks.signed(body, id_, at, hooks.KEY if signed else hooks.STRANGER)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with launched("payments", tmp_path_factory.mktemp("gateway")) as made:
        yield made


@pytest.fixture
def bank(simulator: Simulator) -> Bank:
    return SimulatedBank(simulator)


@pytest_asyncio.fixture
async def gateway(simulator: Simulator) -> AsyncIterator[SimulatorGateway]:
    made = SimulatorGateway(PaymentsSimulatorConfig(url=simulator.url, secrets=(SECRET,), timeout=PATIENCE))
    yield made
    await made.close()


class TestSimulatorGateway(PaymentGatewayContract):
    pass


# ── mistakes, one each ───────────────────────────────────────────────────────────────────────────────────────

Mistake = Callable[[Any], Methods]
"""From the right gateway to the methods that are wrong."""


def knows_no_keys(right: Any) -> Methods:
    return keyless(right, "authorize", "capture", "void", "refund")


def takes_silence_for_a_refusal(right: Any) -> Methods:
    return refusing(right, "payments.declined", "authorize", "capture", "void", "refund", "get")


def raises_declines(right: Any) -> Methods:
    async def authorize(*args: Any) -> Any:
        made = await right.authorize(*args)
        if made.status == "failed":
            raise Refused(made.failure)
        return made

    return {"authorize": authorize}


def does_not_wait(right: Any) -> Methods:
    async def authorize(*args: Any) -> Any:
        made = await right.authorize(*args)
        return replace(made, status="authorized") if made.status == "requires_action" else made

    return {"authorize": authorize}


def takes_what_it_can(right: Any) -> Methods:
    """Of too much, all that is left."""

    def clamped(name: str) -> Method:
        async def method(key: str, payment_id: str, amount: Money) -> Any:
            try:
                return await getattr(right, name)(key, payment_id, amount)
            except Refused:
                found = await right.get(payment_id)
                left = found.authorized - found.captured if name == "capture" else found.captured - found.refunded
                return await getattr(right, name)(f"{key}/rest", payment_id, left)

        return method

    return {name: clamped(name) for name in ("capture", "refund")}


def rounds(right: Any) -> Methods:
    async def authorize(key: str, reference: str, amount: Money, method: PaymentMethod) -> Any:
        return await right.authorize(key, reference, Money(round(amount.amount, -1), amount.currency), method)

    return {"authorize": authorize}


def keeps_what_is_not_captured(right: Any) -> Methods:
    async def void(key: str, payment_id: str) -> Any:
        return await right.get(payment_id)

    return {"void": void}


def remembers_the_first(right: Any) -> Methods:
    """It asks the service once, and never again."""
    known: dict[str, Any] = {}

    async def authorize(*args: Any) -> Any:
        made = await right.authorize(*args)
        known[made.id] = made
        return made

    async def get(payment_id: str) -> Any:
        return known.get(payment_id) or await right.get(payment_id)

    return {"authorize": authorize, "get": get}


def asks_again_by_another_key(right: Any) -> Methods:
    async def capture(key: str, *args: Any) -> Any:
        return await right.capture(f"{key}/{new_id()}", *args)

    return {"capture": capture}


def fails_on_what_it_does_not_know(right: Any) -> Methods:
    def read_webhook(*args: Any) -> Any:
        event = right.read_webhook(*args)
        if event.step is None:
            raise MarketplaceError("http.malformed")
        return event

    return {"read_webhook": read_webhook}


MISTAKES: list[tuple[Mistake, str]] = [
    (knows_no_keys, "test_one_key_authorizes_once"),
    (rounds, "test_one_key_authorizes_once"),
    (raises_declines, "test_a_decline_is_a_payment"),
    (does_not_wait, "test_one_that_waits_for_its_holder"),
    (knows_no_keys, "test_parts_are_captured_once_and_never_more_than_all"),
    (takes_what_it_can, "test_parts_are_captured_once_and_never_more_than_all"),
    (keeps_what_is_not_captured, "test_what_is_not_captured_is_released_once"),
    (knows_no_keys, "test_parts_are_refunded_once_and_never_more_than_was_captured"),
    (takes_what_it_can, "test_parts_are_refunded_once_and_never_more_than_was_captured"),
    (remembers_the_first, "test_a_payment_is_read_as_it_is_now"),
    (takes_silence_for_a_refusal, "test_a_lost_answer_is_asked_for_by_the_same_key"),
    (asks_again_by_another_key, "test_a_lost_answer_is_asked_for_by_the_same_key"),
    (takes_silence_for_a_refusal, "test_a_service_that_is_not_well_has_decided_nothing"),
    (gives_each_sending_an_id, "test_a_webhook_is_read"),
    (fails_on_what_it_does_not_know, "test_a_webhook_of_a_type_that_we_do_not_know"),
    (looks_at_no_clock, "test_a_webhook_that_nobody_signed_or_long_ago"),
    (reads_what_nobody_signed, "test_a_webhook_that_nobody_signed_or_long_ago"),
]


@pytest.mark.parametrize(("mistake", "test"), MISTAKES)
async def test_the_suite_notices(mistake: Mistake, test: str, gateway: SimulatorGateway, bank: Bank) -> None:
    given = {"gateway": Wrong(gateway, mistake(gateway)), "bank": bank, "outcome": "succeed", "step": "captured"}
    await assert_contract_fails(PaymentGatewayContract, test, **fixtures_of(PaymentGatewayContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert rules(PaymentGatewayContract) == {test for _, test in MISTAKES}
