"""What is this adapter's own, against the real simulator; see ``test_contract.py``."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
import structlog
from marketplace_payments_simulator import plugin
from marketplace_payments_simulator.config import SECRET, URL, PaymentsSimulatorConfig
from marketplace_payments_simulator.gateway import SimulatorGateway

from marketplace_core import webhooks
from marketplace_core.capabilities.orders import PaymentMethod
from marketplace_core.errors import MarketplaceError, Refused, Unauthorized, Unavailable
from marketplace_core.testing.contracts.hooks import signed
from marketplace_core.testing.simulators import Simulator
from marketplace_core.values import Money, new_id

EUR = Money(1000, "EUR")
SECRETS = ["whsec_" + base64.b64encode(bytes([n]) * 32).decode() for n in range(3)]
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest_asyncio.fixture
async def gateway(payments_simulator: Simulator) -> AsyncIterator[SimulatorGateway]:
    await payments_simulator.start()
    made = SimulatorGateway(PaymentsSimulatorConfig(url=payments_simulator.url, timeout=1.0))
    yield made
    await made.close()


def card(token: str) -> PaymentMethod:
    return PaymentMethod("card", token)


async def test_an_operation_is_the_gateways_row(gateway: SimulatorGateway, payments_simulator: Simulator) -> None:
    order = new_id()
    made = await gateway.authorize("a", order, EUR, card("tok_ok"))
    assert made.operation_id == (await payments_simulator.ledger(order))[0]["id"]
    found = await gateway.get(made.id)
    assert found is not None and found.operation_id is None


async def test_refusals_have_our_codes(gateway: SimulatorGateway, payments_simulator: Simulator) -> None:
    await payments_simulator.fault("void", "decline")
    paid = await gateway.authorize("c", new_id(), EUR, card("tok_ok"))
    for act, code in (
        (gateway.void("v", paid.id), "payments.declined"),
        (gateway.capture("c2", paid.id, EUR + EUR), "payments.wrong_state"),
    ):
        with pytest.raises(Refused) as refused:
            await act
        assert refused.value.code == code


async def test_a_gateway_that_is_gone(gateway: SimulatorGateway, payments_simulator: Simulator) -> None:
    await payments_simulator.kill()
    with pytest.raises(Unavailable):
        await gateway.authorize("a", new_id(), EUR, card("tok_ok"))


async def test_no_token_and_no_secret_is_logged(gateway: SimulatorGateway, payments_simulator: Simulator) -> None:
    await payments_simulator.fault("any", "down")
    with structlog.testing.capture_logs() as lines:
        with pytest.raises(Unavailable):
            await gateway.authorize("a", new_id(), EUR, card("tok_very_secret"))
        with pytest.raises(Refused):
            bad = PaymentMethod("card", "tok_very_secret", return_url="ftp://nowhere")
            await gateway.authorize("b", new_id(), EUR, bad)
    assert [line["event"] for line in lines] == ["payments_simulator.refused"] * 2
    assert "tok_very_secret" not in str(lines) and "whsec_" not in str(lines)


# ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────


def read(config: PaymentsSimulatorConfig, secret: str, body: bytes) -> Any:
    return SimulatorGateway(config).read_webhook(*signed(body, "msg_1", NOW, webhooks.secret_key(secret)), NOW)


BODY = (
    b'{"type":"payment.captured","id":"msg_1","data":'
    b'{"payment":"pay_1","reference":"o1","amount":{"amount":5,"currency":"EUR"}}}'
)


@pytest.mark.behaviour("payments-2")
def test_two_secrets_may_be_active() -> None:
    config = PaymentsSimulatorConfig(secrets=(SECRETS[0], SECRETS[1]))
    for secret in SECRETS[:2]:
        event = read(config, secret, BODY)
        assert (event.id, event.step, event.payment_id, event.reference) == ("msg_1", "captured", "pay_1", "o1")
        assert event.amount == Money(5, "EUR")
    with pytest.raises(Unauthorized):
        read(config, SECRETS[2], BODY)


def test_of_a_type_that_is_unknown() -> None:
    event = read(PaymentsSimulatorConfig(secrets=(SECRETS[0],)), SECRETS[0], b'{"type":"payment.pondered"}')
    assert (event.type, event.payment_id, event.step) == ("payment.pondered", None, None)


def test_a_signed_body_that_is_no_webhook() -> None:
    with pytest.raises(MarketplaceError) as error:
        read(PaymentsSimulatorConfig(secrets=(SECRETS[0],)), SECRETS[0], b"[]")
    assert error.value.code == "http.malformed"


# ── settings ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_the_settings_do_not_say_is_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, "http://there/")
    monkeypatch.setenv(SECRET, SECRETS[2])
    config = PaymentsSimulatorConfig()
    assert (config.address, config.signing_secrets) == ("http://there", (SECRETS[2],))
    assert PaymentsSimulatorConfig(url="http://here").address == "http://here"
    monkeypatch.delenv(URL)
    with pytest.raises(LookupError, match=URL):
        _ = config.address


def test_declarations() -> None:
    info = plugin.info()
    assert (info.name, info.provides, info.stores) == ("payments_simulator", None, ())
    assert plugin.settings() is PaymentsSimulatorConfig


async def test_its_connections_end_with_the_process(marketplace: Any, payments_simulator: Simulator) -> None:
    await payments_simulator.start()
    settings = {"payments_simulator": payments_simulator.settings()}
    market = await marketplace(["payments", "payments_simulator"], settings=settings, worker=False)
    gateways = await market.process.extensions.contribute("payment_gateways")
    gateway: Any = gateways["simulator"]
    assert (gateway.title, gateway.methods, gateway.multi_capture) == ("Card (simulated)", ("card",), True)
    assert await gateway.get("pay_nothing") is None
    session = gateway._session
    assert not session.closed
    await market.process.close()
    assert session.closed
