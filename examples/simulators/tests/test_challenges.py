from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from simulator_harness import Receiver, Simulator, payment


async def challenged(payments: Simulator, return_url: str | None = None) -> Any:
    answer = await payments.post("/payments", payment("tok_3ds", "order 1", return_url), key="k1")
    assert answer.status == 201
    assert answer.body["status"] == "requires_action"
    assert answer.body["action"]["type"] == "redirect"
    assert answer.body["action"]["url"] == f"{payments.url}/challenges/{answer.body['id']}"
    return answer.body


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [("succeed", "authorized", None), ("fail", "failed", "authentication_failed")],
)
async def test_the_holder_answers(payments: Simulator, receiver: Receiver, outcome: str, status: str, code: str | None) -> None:
    id_ = (await challenged(payments))["id"]
    assert await payments.kinds("order 1") == []
    assert receiver.deliveries == []
    for _ in range(2):
        assert (await payments.call("POST", f"/challenges/{id_}", {"outcome": outcome})).status == 204
    other = "fail" if outcome == "succeed" else "succeed"
    refused = await payments.call("POST", f"/challenges/{id_}", {"outcome": other})
    assert (refused.status, refused.body["code"]) == (409, "wrong_state")

    now = await payments.get(f"/payments/{id_}")
    assert now["status"] == status
    assert now["action"] is None
    assert (now["failure"] or {}).get("code") == code
    assert await payments.kinds("order 1") == (["authorize"] if outcome == "succeed" else [])
    await payments.quiet()
    assert receiver.types == [f"payment.{status}"]


@pytest.mark.asyncio
async def test_a_browser_is_sent_back_to_the_shop(payments: Simulator, receiver: Receiver) -> None:
    id_ = (await challenged(payments, "https://shop.example/back?lang=en#top"))["id"]
    page = await payments.call("GET", f"/challenges/{id_}")
    assert page.status == 200
    assert page.raw.count(b"<button") == 2
    for _ in range(2):
        back = await payments.call("POST", f"/challenges/{id_}", data={"outcome": "succeed"})
        assert back.status == 303
        assert back.headers["Location"] == "https://shop.example/back?lang=en&order_id=order%201#top"
    page = await payments.call("GET", f"/challenges/{id_}")
    assert b"<button" not in page.raw
    assert b"&amp;order_id=order%201" in page.raw
    await payments.quiet()
    assert receiver.types == ["payment.authorized"]
    nonsense = await payments.call("POST", f"/challenges/{id_}", data={"outcome": "perhaps"})
    assert nonsense.status == 422


@pytest.mark.asyncio
async def test_without_a_return_url_the_page_ends_there(payments: Simulator) -> None:
    id_ = (await challenged(payments))["id"]
    assert (await payments.call("POST", f"/challenges/{id_}", data={"outcome": "fail"})).status == 200
    assert (await payments.get(f"/payments/{id_}"))["status"] == "failed"


@pytest.mark.asyncio
async def test_after_fifteen_minutes_of_the_movable_clock_it_is_over(payments: Simulator, receiver: Receiver) -> None:
    before = datetime.fromisoformat((await payments.get("/clock"))["now"])
    body = await challenged(payments)
    expires = datetime.fromisoformat(body["action"]["expires_at"])
    assert timedelta(minutes=14) < expires - before < timedelta(minutes=16)
    await payments.call("POST", "/clock", {"offset": 14 * 60})
    assert (await payments.get(f"/payments/{body['id']}"))["status"] == "requires_action"
    await payments.call("POST", "/clock", {"offset": 16 * 60})
    now = await payments.get(f"/payments/{body['id']}")
    assert (now["status"], now["failure"]["code"]) == ("failed", "action_expired")
    late = await payments.call("POST", f"/challenges/{body['id']}", {"outcome": "succeed"})
    assert (late.status, late.body["code"]) == (409, "wrong_state")
    await payments.quiet()
    assert receiver.types == ["payment.failed"]


@pytest.mark.asyncio
async def test_a_payment_that_waits_for_its_holder_can_be_voided(payments: Simulator) -> None:
    id_ = (await challenged(payments))["id"]
    assert (await payments.post(f"/payments/{id_}/capture")).body["code"] == "wrong_state"
    assert (await payments.post(f"/payments/{id_}/void")).body["status"] == "voided"
    late = await payments.call("POST", f"/challenges/{id_}", {"outcome": "succeed"})
    assert (late.status, late.body["code"]) == (409, "wrong_state")
    assert await payments.kinds("order 1") == []


@pytest.mark.asyncio
async def test_only_a_challenge_can_be_answered(payments: Simulator) -> None:
    plain = (await payments.pay()).body["id"]
    for id_ in (plain, "pay_none"):
        assert (await payments.call("POST", f"/challenges/{id_}", {"outcome": "fail"})).status == 404
        assert (await payments.call("GET", f"/challenges/{id_}")).status == 404
