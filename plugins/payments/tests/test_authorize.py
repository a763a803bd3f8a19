"""An order's money is authorised once, whatever happens on the way."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from marketplace_payments.stores.postgres import PostgresPaymentStore
from msgspec.structs import replace

from marketplace_core.capabilities.orders import PaymentMethod
from marketplace_core.errors import Refused, Unavailable
from marketplace_core.values import Money, new_id


@pytest.mark.behaviour("payments-1", "payments-5")
async def test_authorized_once(desk: Any) -> None:
    await asyncio.gather(*(_authorized_once(desk, token) for token in ("tok_ok", "tok_slow", "tok_timeout", "tok_twice")))


async def _authorized_once(desk: Any, token: str) -> None:
    order = new_id()
    view = await desk.authorize(order, token)
    assert (view.status, view.gateway, view.action) == ("authorized", "simulator", None)
    assert (view.authorized, view.captured) == (Money(1000, "EUR"), Money(0, "EUR"))
    assert await desk.authorize(order, token) == view
    assert await desk.really(order) == [("authorize", 1000)]
    [operation] = (await desk.payment(view.id)).operations
    assert (operation.kind, operation.status, operation.amount) == ("authorize", "done", Money(1000, "EUR"))
    assert (await desk.events("payments.changed", order))[-1]["payment"]["status"] == "authorized"
    assert await desk.events("payments.settled", order) == []


async def test_a_decline_is_an_answer(desk: Any) -> None:
    for token in ("tok_declined", "tok_unheard_of"):
        await _declined(desk, token)


async def _declined(desk: Any, token: str) -> None:
    order = new_id()
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await desk.authorize(order, token)
        assert refused.value.code == "payments.declined"
    payment = await desk.payment(order)
    assert (payment.status, payment.operations[0].status) == ("failed", "failed")
    assert await desk.really(order) == []
    assert len(await desk.gateway.items(f"/payments?reference={order}")) == 1


async def test_one_that_waits_for_its_holder(desk: Any) -> None:
    order = new_id()
    view = await desk.authorize(order, "tok_3ds")
    assert view.status == "requires_action"
    assert view.action.url == f"{desk.gateway.url}/challenges/{await desk.gateway_id(order)}"
    assert await desk.authorize(order, "tok_3ds") == view
    assert [event["payment"]["status"] for event in await desk.events("payments.changed", order)] == ["requires_action"]


async def test_an_action_ends_with_the_order(desk: Any) -> None:
    request = desk.request(new_id(), "tok_3ds")
    sooner = replace(request, expires_at=desk.market.clock.now())
    view = await desk.payments.authorize(sooner)
    assert view.action.expires_at == sooner.expires_at


async def test_the_gateway_does_not_understand_us(desk: Any) -> None:
    order = new_id()
    with pytest.raises(Refused) as refused:
        strange = PaymentMethod("card", "tok_ok", return_url="ftp://nowhere")
        await desk.payments.authorize(replace(desk.request(order), method=strange))
    assert refused.value.code == "payments.declined"
    assert (await desk.payment(order)).status == "failed"


@pytest.mark.behaviour("payments-1")
async def test_a_gateway_that_misbehaves(desk: Any) -> None:
    for operation, kind in (("authorize", "slow"), ("authorize", "timeout_after_success"), ("any", "down")):
        order = new_id()
        await desk.gateway.fault(operation, kind)
        assert (await desk.authorize(order)).status == "authorized"
        assert await desk.really(order) == [("authorize", 1000)], kind
        assert await desk.gateway.faults() == []


async def test_a_gateway_that_declines(desk: Any) -> None:
    await desk.gateway.fault("authorize", "decline")
    with pytest.raises(Refused):
        await desk.authorize(new_id())


async def test_what_is_unknown_is_told_once(desk: Any) -> None:
    order = new_id()
    await desk.gateway.fault("any", "down", 3)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await desk.payments.authorize(desk.request(order))
    assert [event["payment"]["status"] for event in await desk.events("payments.changed", order)] == ["pending"]
    await desk.authorize(order)
    assert [event["payment"]["status"] for event in await desk.events("payments.changed", order)][1:] == ["authorized"]


@pytest.mark.behaviour("payments-5")
async def test_twenty_at_once(desk: Any) -> None:
    order = new_id()
    views = await asyncio.gather(*(desk.authorize(order, "tok_slow") for _ in range(20)))
    assert len({view.id for view in views}) == 1 and {view.status for view in views} == {"authorized"}
    assert await desk.really(order) == [("authorize", 1000)]
    assert len(await desk.events("payments.changed", order)) == 1


async def test_a_death_between_the_answer_and_our_commit(desk: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    order, real = new_id(), PostgresPaymentStore.save

    async def die(*_: Any) -> None:
        monkeypatch.setattr(PostgresPaymentStore, "save", real)
        raise RuntimeError("killed")

    monkeypatch.setattr(PostgresPaymentStore, "save", die)
    with pytest.raises(RuntimeError):
        await desk.payments.authorize(desk.request(order))
    assert (await desk.payment(order)).status == "pending"
    assert (await desk.authorize(order)).status == "authorized"
    assert await desk.really(order) == [("authorize", 1000)]


async def test_no_token_is_kept_longer_than_needed(desk: Any) -> None:
    order = new_id()
    await desk.gateway.fault("any", "down")
    with pytest.raises(Unavailable):
        await desk.payments.authorize(desk.request(order))
    sql = "SELECT document::text FROM payments.payments WHERE order_id = $1"
    assert "tok_ok" in await desk.database.value(sql, order)
    await desk.authorize(order)
    assert "tok_ok" not in await desk.database.value(sql, order)
