"""3-D Secure, giving up, and expiry: whoever hears first, the others hear once."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from marketplace_core.errors import Conflict, Refused, Unavailable
from marketplace_core.values import new_id

SOON = 6


async def _settled(desk: Any, order: str) -> list[str | None]:
    return [event["failure"] for event in await desk.events("payments.settled", order)]


async def _being_authorized(desk: Any, order: str) -> asyncio.Task[Any]:
    """An authorization that takes a while at the gateway, and is written down here."""
    task = asyncio.create_task(desk.authorize(order, "tok_slow"))
    while await desk.database.value("SELECT count(*) FROM payments.payments WHERE order_id = $1", order) == 0:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    return task


@pytest.mark.behaviour("payments-1")
@pytest.mark.parametrize(
    ("outcome", "status", "failure"),
    [("succeed", "authorized", None), ("fail", "failed", "payments.authentication_failed")],
)
async def test_our_own_asking_settles_it(desk: Any, outcome: Any, status: str, failure: str | None) -> None:
    order = new_id()
    await desk.authorize(order, "tok_3ds")
    await desk.advance(SOON)
    await desk.service.poll_pending()
    assert (await desk.payment(order)).status == "requires_action"
    await desk.gateway.challenge(await desk.gateway_id(order), outcome)
    await desk.service.poll_pending()
    assert (await desk.payment(order)).status == "requires_action", "it was asked about a moment ago"
    await desk.advance(SOON)
    await asyncio.gather(*(desk.service.poll_pending() for _ in range(3)))
    payment = await desk.payment(order)
    assert (payment.status, payment.action) == (status, None)
    assert await _settled(desk, order) == [failure]
    if failure is None:
        assert (await desk.authorize(order, "tok_3ds")).status == "authorized"
        return
    with pytest.raises(Refused) as refused:
        await desk.authorize(order, "tok_3ds")
    assert refused.value.code == failure


async def test_a_gateway_that_is_away_is_asked_later(desk: Any) -> None:
    order = new_id()
    await desk.authorize(order, "tok_3ds")
    await desk.gateway.challenge(await desk.gateway_id(order), "succeed")
    await desk.advance(SOON)
    await desk.gateway.fault("any", "down")
    await desk.service.poll_pending()
    assert (await desk.payment(order)).status == "requires_action"
    await desk.service.poll_pending()
    assert (await desk.payment(order)).status == "authorized"


async def test_what_nobody_asks_about_again_is_asked_by_ourselves(desk: Any) -> None:
    order = new_id()
    await desk.gateway.fault("authorize", "timeout_after_success")
    with pytest.raises(Unavailable):
        await desk.payments.authorize(desk.request(order))
    await desk.advance(61)
    await desk.service.poll_pending()
    assert (await desk.payment(order)).status == "authorized"
    assert await desk.really(order) == [("authorize", 1000)]


async def test_what_is_just_being_asked_is_not_asked_by_ourselves(desk: Any) -> None:
    order = new_id()
    asked = await _being_authorized(desk, order)
    await desk.gateway.fault("any", "down")
    await desk.service.poll_pending()
    assert len(await desk.gateway.faults()) == 1
    await desk.gateway.call("DELETE", "/faults")
    assert (await asked).status == "authorized"


async def test_an_expired_action_is_released(desk: Any) -> None:
    order = new_id()
    await desk.authorize(order, "tok_3ds")
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await desk.payments.expire_action(order)
        assert refused.value.code == "payments.action_expired"
    assert (await desk.payment(order)).status == "failed"
    assert await _settled(desk, order) == ["payments.action_expired"]
    assert (await desk.gateway.get(f"/payments/{await desk.gateway_id(order)}"))["status"] == "voided"
    await desk.payments.void(order)
    assert await desk.really(order) == []


async def test_the_gateway_lets_it_expire_by_itself(desk: Any) -> None:
    order = new_id()
    await desk.authorize(order, "tok_3ds")
    await desk.advance(901)
    with pytest.raises(Refused) as refused:
        await desk.payments.expire_action(order)
    assert refused.value.code == "payments.action_expired"
    assert await _settled(desk, order) == ["payments.action_expired"]


async def test_voiding_where_the_gateway_misbehaves(desk: Any) -> None:
    for kind in ("timeout_after_success", "down", "slow", "decline"):
        order = new_id()
        await desk.authorize(order)
        await desk.gateway.fault("any" if kind == "down" else "void", kind)
        await desk.known(lambda order=order: desk.payments.void(order))
        assert await desk.really(order) == [("authorize", 1000), ("void", 1000)], kind
        assert (await desk.payment(order)).status == "voided"


async def test_a_gateway_that_keeps_refusing_needs_a_person(desk: Any) -> None:
    order = new_id()
    await desk.authorize(order)
    await desk.gateway.fault("void", "decline", 5)
    with pytest.raises(Refused) as refused:
        await desk.known(lambda: desk.payments.void(order))
    assert refused.value.code == "payments.wrong_state"
    await desk.payments.void(order)
    assert await desk.really(order) == [("authorize", 1000), ("void", 1000)]


async def test_what_is_given_up_is_not_authorized_any_more(desk: Any) -> None:
    order = new_id()
    await desk.gateway.fault("any", "down", 2)
    for ask in (lambda: desk.payments.authorize(desk.request(order)), lambda: desk.payments.void(order)):
        with pytest.raises(Unavailable):
            await ask()
    with pytest.raises(Conflict):
        await desk.payments.authorize(desk.request(order))
    assert await desk.gateway.items(f"/payments?reference={order}") == []
    await desk.payments.void(order)
    assert (await desk.payment(order)).status == "voided"


async def test_voiding_while_it_is_authorized(desk: Any) -> None:
    order = new_id()
    late = await _being_authorized(desk, order)
    await desk.known(lambda: desk.payments.void(order))
    with pytest.raises(Conflict) as conflict:
        await late
    assert conflict.value.code == "payments.wrong_state"
    assert await desk.really(order) == [("authorize", 1000), ("void", 1000)]


async def test_voiding_one_that_waits_for_its_holder(desk: Any) -> None:
    order = new_id()
    await desk.authorize(order, "tok_3ds")
    await desk.payments.void(order)
    assert (await desk.gateway.get(f"/payments/{await desk.gateway_id(order)}"))["status"] == "voided"
    assert await _settled(desk, order) == ["payments.action_expired"]
