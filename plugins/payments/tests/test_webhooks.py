"""What gateways tell us: checked, stored once, and applied by asking them."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from marketplace_core.capabilities.payments import WebhookReceived
from marketplace_core.errors import NotFound, Unauthorized, Unavailable
from marketplace_core.testing.contracts.hooks import STRANGER
from marketplace_core.testing.contracts.surroundings import hook
from marketplace_core.values import new_id
from marketplace_core.webhooks import RawWebhook


def signed(desk: Any, payment: str, type_: str = "payment.authorized", amount: Any = 1000, **how: Any) -> RawWebhook:
    """A webhook as the simulator sends it; ``how``: reference, currency, and as of ``hook``."""
    data = {"payment": payment, "reference": how.pop("reference", "-")}
    data["amount"] = {"amount": amount, "currency": how.pop("currency", "EUR")}
    return hook(desk.market, type_, data, **how)


async def _stored(desk: Any) -> list[tuple[str, str | None]]:
    rows = await desk.database.fetch("SELECT state, note FROM payments.webhooks ORDER BY at")
    return [(row["state"], row["note"]) for row in rows]


async def _apply(desk: Any, payment: str) -> None:
    for data in await desk.events("payments.webhook_received", payment):
        await desk.tell(type(desk.service).on_webhook_received, WebhookReceived(**data))


@pytest.mark.behaviour("payments-2")
@pytest.mark.parametrize(("outcome", "status"), [("succeed", "authorized"), ("fail", "failed")])
async def test_a_webhook_settles_a_payment_once(desk: Any, outcome: Any, status: str) -> None:
    order = new_id()
    await desk.authorize(order, "tok_3ds")
    payment = await desk.gateway_id(order)
    await desk.gateway.challenge(payment, outcome)
    told = signed(desk, payment, "payment.authorized" if outcome == "succeed" else "payment.failed")
    assert (await desk.payments.receive_webhook(told)).status == "accepted"
    assert (await desk.payments.receive_webhook(told)).status == "duplicate"
    await _apply(desk, payment)
    await desk.advance(6)
    await desk.service.poll_pending()
    assert (await desk.payment(order)).status == status
    assert len(await desk.events("payments.settled", order)) == 1
    assert await _stored(desk) == [("applied", None)]


@pytest.mark.behaviour("payments-2")
async def test_late_repeated_and_reordered_ones_change_nothing(desk: Any) -> None:
    order = new_id()
    await desk.authorize(order)
    await desk.payments.void(order)
    payment = await desk.gateway_id(order)
    before = (await desk.payment(order), len(await desk.events("payments.changed", order)))
    for type_ in ("payment.voided", "payment.authorized", "payment.voided", "payment.authorized"):
        await desk.payments.receive_webhook(signed(desk, payment, type_))
    await _apply(desk, payment)
    assert (await desk.payment(order), len(await desk.events("payments.changed", order))) == before
    assert {state for state, _ in await _stored(desk)} == {"applied"}


@pytest.mark.behaviour("payments-2")
async def test_a_wrong_amount_is_flagged(desk: Any) -> None:
    order = new_id()
    await desk.authorize(order, "tok_3ds")
    payment = await desk.gateway_id(order)
    await desk.gateway.challenge(payment, "succeed")
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("payment.authorized", {"amount": 999}),
        ("payment.authorized", {"currency": "USD"}),
        ("payment.failed", {"amount": 1}),
        ("payment.captured", {}),
        ("payment.refunded", {}),
        ("payment.voided", {"amount": 5}),
    ]
    for type_, how in wrong:
        assert (await desk.payments.receive_webhook(signed(desk, payment, type_, **how))).status == "accepted"
    await _apply(desk, payment)
    assert (await desk.payment(order)).status == "requires_action"
    assert [(state, note is not None) for state, note in await _stored(desk)] == [("flagged", True)] * len(wrong)


@pytest.mark.behaviour("payments-2")
async def test_what_nobody_signed_or_long_ago_is_not_stored(desk: Any) -> None:
    bad, stale = "webhooks.bad_signature", "webhooks.stale"
    for how, code in (({"key": STRANGER}, bad), ({"age": 301}, stale), ({"age": -301}, stale)):
        with pytest.raises(Unauthorized) as refused:
            await desk.payments.receive_webhook(signed(desk, "pay_1", **how))
        assert refused.value.code == code
    assert await _stored(desk) == []


async def test_unknown_ones_are_kept_and_ignored(desk: Any) -> None:
    for told in (signed(desk, "pay_1"), signed(desk, "pay_1", "payment.thought_about")):
        assert (await desk.payments.receive_webhook(told)).status == "ignored"
        assert (await desk.payments.receive_webhook(told)).status == "duplicate"
    assert await _stored(desk) == [("ignored", "unknown payment"), ("ignored", "unknown type")]
    with pytest.raises(NotFound):
        await desk.payments.receive_webhook(signed(desk, "pay_1", source="another"))


async def test_what_the_answer_told_us_is_kept_and_not_asked_for_again(desk: Any) -> None:
    order = new_id()
    await desk.authorize(order)
    payment = await desk.gateway_id(order)
    assert (await desk.payments.receive_webhook(signed(desk, payment))).status == "accepted"
    assert (await desk.payments.receive_webhook(signed(desk, payment, amount=999))).status == "accepted"
    assert await _stored(desk) == [("applied", "as the gateway answers us"), ("received", None)]
    assert len(await desk.events("payments.webhook_received", payment)) == 1


async def test_it_may_come_before_the_answer(desk: Any) -> None:
    """The order is known by our reference. While we ask there is nothing to do: the answer tells the same."""
    order = new_id()
    await desk.gateway.fault("authorize", "timeout_after_success")
    asked = asyncio.create_task(desk.authorize(order))
    while not (found := await desk.gateway.items(f"/payments?reference={order}")):  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)
    told = signed(desk, found[0]["id"], reference=order)
    assert (await desk.payments.receive_webhook(told)).status == "accepted"
    assert (await asked).status == "authorized"
    assert await desk.events("payments.webhook_received", found[0]["id"]) == []
    assert len(await desk.events("payments.changed", order)) <= 2
    assert await desk.really(order) == [("authorize", 1000)]


async def test_where_no_answer_came_it_settles_the_payment(desk: Any) -> None:
    """The gateway's own id is learned from the webhook."""
    order = new_id()
    await desk.gateway.fault("authorize", "timeout_after_success")
    with pytest.raises(Unavailable):
        await desk.payments.authorize(desk.request(order))
    found = await desk.gateway.items(f"/payments?reference={order}")
    told = signed(desk, found[0]["id"], reference=order)
    assert (await desk.payments.receive_webhook(told)).status == "accepted"
    await _apply(desk, found[0]["id"])
    assert (await desk.payment(order)).status == "authorized"
    assert await desk.gateway_id(order) == found[0]["id"]
    assert await desk.really(order) == [("authorize", 1000)]


async def test_over_http(open_desk: Any) -> None:
    desk = await open_desk()
    url = f"{desk.market.url}/buyer/v1/webhooks/payments"
    good, bad = signed(desk, "pay_1"), signed(desk, "pay_1", key=STRANGER)

    async def post(gateway: str, told: RawWebhook) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{url}/{gateway}", data=told.body, headers=told.headers) as answer,
        ):
            return answer.status, await answer.json(content_type=None)

    assert await post("simulator", good) == (200, {"status": "ignored"})
    assert await post("simulator", good) == (200, {"status": "duplicate"})
    status, problem = await post("simulator", bad)
    assert (status, problem["code"]) == (401, "webhooks.bad_signature")
    assert (await post("another", good))[0] == 404
    assert len(await _stored(desk)) == 1
