from __future__ import annotations

import asyncio
import time

import pytest
from simulator_harness import LATE, SLOW, TIMEOUT, Receiver, Simulator, eur


@pytest.mark.asyncio
async def test_decline(payments: Simulator, receiver: Receiver) -> None:
    await payments.fault("authorize", "decline")
    declined = await payments.pay()
    assert (declined.status, declined.body["failure"]["code"]) == (201, "declined")
    id_ = (await payments.pay()).body["id"]
    for verb in ("capture", "refund"):
        await payments.fault(verb, "decline")
        refused = await payments.post(f"/payments/{id_}/{verb}", {"amount": eur(10)}, key=f"declined-{verb}")
        assert (refused.status, refused.body["code"]) == (
            409,
            "declined",
        )
        again = await payments.post(f"/payments/{id_}/{verb}", {"amount": eur(10)}, key=f"declined-{verb}")
        assert again.raw == refused.raw
        assert (await payments.post(f"/payments/{id_}/{verb}", {"amount": eur(10)})).status == 200
    await payments.fault("any", "decline", 2)
    assert (await payments.post(f"/payments/{id_}/void")).body["code"] == "declined"
    transfer = {"reference": "payout-1", "amount": eur(1), "destination": "x"}
    assert (await payments.post("/transfers", transfer)).body["code"] == "declined"
    assert (await payments.post("/transfers", transfer)).status == 201
    assert await payments.kinds("order-1") == ["authorize", "capture", "refund"]
    await payments.quiet()
    types = ["payment.failed", "payment.authorized", "payment.captured", "payment.refunded"]
    assert receiver.types == types


@pytest.mark.asyncio
async def test_slow(payments: Simulator, receiver: Receiver) -> None:
    await payments.fault("authorize", "slow")
    begun = time.monotonic()
    await payments.pay()
    answered = time.monotonic()
    assert answered - begun >= SLOW
    (delivery,) = await receiver.wait(1)
    assert delivery.at - begun >= SLOW
    await payments.pay()
    assert time.monotonic() - answered < SLOW


@pytest.mark.asyncio
async def test_timeout_after_success(payments: Simulator) -> None:
    id_ = (await payments.pay()).body["id"]
    await payments.fault("capture", "timeout_after_success")
    with pytest.raises(TimeoutError):
        await payments.post(f"/payments/{id_}/capture", key="k1", wait=TIMEOUT / 4)
    assert await payments.kinds("order-1") == ["authorize", "capture"]
    again = await payments.post(f"/payments/{id_}/capture", key="k1", wait=TIMEOUT / 2)
    assert again.body["status"] == "captured"


@pytest.mark.asyncio
async def test_the_answer_of_timeout_after_success_comes_in_the_end(payments: Simulator) -> None:
    await payments.fault("authorize", "timeout_after_success")
    begun = time.monotonic()
    assert (await payments.pay()).body["status"] == "authorized"
    assert time.monotonic() - begun >= TIMEOUT


@pytest.mark.asyncio
async def test_twice(payments: Simulator, receiver: Receiver) -> None:
    await payments.fault("webhook", "twice")
    await payments.pay()
    await payments.pay(reference="order-2")
    await payments.quiet()
    assert len(receiver.deliveries) == 3
    of_first = [d for d in receiver.deliveries if d.body["data"]["reference"] == "order-1"]
    assert of_first[0].id == of_first[1].id
    assert of_first[0].body == of_first[1].body


@pytest.mark.asyncio
async def test_late(payments: Simulator, receiver: Receiver) -> None:
    await payments.fault("authorize", "late")
    await payments.pay()
    answered = time.monotonic()
    assert (await payments.call("GET", "/quiesce")).body == {"webhooks": 1}
    (delivery,) = await receiver.wait(1)
    assert delivery.at - answered > LATE * 0.8


@pytest.mark.asyncio
async def test_out_of_order(payments: Simulator, receiver: Receiver) -> None:
    await payments.fault("authorize", "out_of_order")
    id_ = (await payments.pay()).body["id"]
    await payments.post(f"/payments/{id_}/capture")
    await payments.quiet()
    assert receiver.types == ["payment.captured", "payment.authorized"]


@pytest.mark.asyncio
async def test_out_of_order_overtakes_one_that_still_waits(payments: Simulator, receiver: Receiver) -> None:
    await payments.fault("authorize", "late")
    await payments.fault("capture", "out_of_order")
    id_ = (await payments.pay()).body["id"]
    await payments.post(f"/payments/{id_}/capture")
    await payments.quiet()
    assert receiver.types == ["payment.captured", "payment.authorized"]


@pytest.mark.asyncio
async def test_out_of_order_alone_only_waits(payments: Simulator, receiver: Receiver) -> None:
    await payments.fault("any", "out_of_order")
    await payments.pay()
    await payments.quiet()
    assert receiver.types == ["payment.authorized"]


@pytest.mark.asyncio
async def test_lost(payments: Simulator, receiver: Receiver) -> None:
    await payments.fault("any", "lost")
    await payments.pay()
    assert (await payments.call("GET", "/quiesce")).status == 200
    await payments.pay(reference="order-2")
    await payments.quiet()
    assert [d.body["data"]["reference"] for d in receiver.deliveries] == ["order-2"]


@pytest.mark.asyncio
async def test_before_answer(payments: Simulator, receiver: Receiver) -> None:
    for operation in ("authorize", "capture"):
        await payments.fault(operation, "before_answer")
    id_ = (await payments.pay()).body["id"]
    answered = time.monotonic()
    assert receiver.types == ["payment.authorized"]
    assert receiver.deliveries[0].at < answered
    receiver.answers.append(500)
    await payments.post(f"/payments/{id_}/capture")
    assert receiver.types == ["payment.authorized", "payment.captured"]
    await payments.quiet()
    assert [d.status for d in receiver.deliveries] == [200, 500, 200]


@pytest.mark.asyncio
async def test_webhooks_otherwise_follow_the_answer(payments: Simulator, receiver: Receiver) -> None:
    for number in range(10):
        await payments.pay(reference=f"order-{number}")
        answered = time.monotonic()
        await receiver.wait(number + 1)
        assert receiver.deliveries[number].at > answered - 0.005


@pytest.mark.asyncio
async def test_down(payments: Simulator) -> None:
    await payments.fault("authorize", "down", 2)
    assert (await payments.get("/payments"))["items"] == []
    for _ in range(2):
        answer = await payments.pay(key="k1")
        assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (503, "down", "1")
    assert (await payments.pay(key="k1")).status == 201
    await payments.fault("any", "down", 2)
    assert (await payments.call("GET", "/payments")).status == 503
    assert (await payments.pay(key="k1")).status == 503
    assert (await payments.pay(key="k1")).status == 201
    assert await payments.kinds("order-1") == ["authorize"]


@pytest.mark.asyncio
async def test_each_use_is_counted_once(payments: Simulator) -> None:
    await payments.fault("authorize", "decline", 7)
    answers = await asyncio.gather(*(payments.pay(reference=f"order-{n}") for n in range(20)))
    assert sum(answer.body["status"] == "failed" for answer in answers) == 7
    assert (await payments.get("/faults"))["items"] == []
    await payments.fault("authorize", "decline", 7)
    await payments.pay()
    assert (await payments.get("/faults"))["items"] == [{"operation": "authorize", "kind": "decline", "remaining": 6}]
    assert (await payments.call("DELETE", "/faults")).status == 204
    assert (await payments.pay()).body["status"] == "authorized"


@pytest.mark.asyncio
async def test_a_fault_that_can_never_show_is_refused(payments: Simulator, carriers: Simulator) -> None:
    for simulator, operation, kind in (
        (payments, "create", "slow"),
        (payments, "webhook", "decline"),
        (payments, "transfer", "lost"),
        (payments, "authorize", "explode"),
        (carriers, "authorize", "slow"),
        (carriers, "rates", "twice"),
    ):
        answer = await simulator.post("/faults", {"operation": operation, "kind": kind, "count": 1})
        assert (answer.status, answer.body["code"]) == (422, "validation")
    assert (await payments.post("/faults", {"operation": "any", "kind": "slow", "count": 0})).status == 422
