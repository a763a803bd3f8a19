from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from simulator_harness import TIMEOUT, Receiver, Simulator, eur, until


@pytest.mark.asyncio
async def test_a_webhook_pending_at_a_sigkill_is_delivered_after_the_restart(payments: Simulator, receiver: Receiver) -> None:
    receiver.otherwise = 503
    await payments.pay()
    await receiver.wait(2)
    await payments.kill()
    refused = len(receiver.deliveries)
    receiver.otherwise = 200
    await payments.start()
    await payments.quiet()
    assert len(receiver.deliveries) == refused + 1
    assert len({delivery.id for delivery in receiver.deliveries}) == 1
    assert len({str(delivery.body) for delivery in receiver.deliveries}) == 1


@pytest.mark.asyncio
async def test_a_webhook_that_was_not_even_due_survives_too(payments: Simulator, receiver: Receiver) -> None:
    await payments.fault("authorize", "late")
    await payments.pay()
    await payments.kill()
    assert receiver.deliveries == []
    await payments.start()
    await payments.quiet()
    assert receiver.types == ["payment.authorized"]


@pytest.mark.asyncio
async def test_killed_while_an_answer_is_held(payments: Simulator, receiver: Receiver) -> None:
    held = asyncio.create_task(payments.pay("tok_timeout", key="k1"))

    async def done() -> bool:
        return await payments.kinds("order-1") == ["authorize"]

    await until(done)
    await payments.kill()
    with pytest.raises(aiohttp.ClientError):
        await held
    await payments.start()
    again = await payments.pay("tok_timeout", key="k1", wait=TIMEOUT / 2)
    assert again.headers["Idempotent-Replayed"] == "true"
    await payments.quiet()
    assert await payments.kinds("order-1") == ["authorize"]
    assert len({delivery.id for delivery in receiver.deliveries}) == 1


@pytest.mark.asyncio
async def test_kills_under_load_lose_nothing_acknowledged_and_repeat_nothing(payments: Simulator, receiver: Receiver) -> None:
    over = asyncio.Event()
    acknowledged: set[str] = set()

    async def buyer(number: int) -> None:
        turn, going_on = 0, True
        while going_on:
            reference = f"order-{number}-{turn}"
            try:
                created = await payments.pay(reference=reference, key=f"pay-{reference}")
                captured = await payments.post(f"/payments/{created.body['id']}/capture", key=f"take-{reference}")
            except aiohttp.ClientError:
                await asyncio.sleep(0.01)
                continue
            assert (created.status, captured.status) == (201, 200)
            acknowledged.add(reference)
            turn, going_on = turn + 1, not over.is_set()

    buyers = [asyncio.create_task(buyer(number)) for number in range(8)]
    for _ in range(4):
        goal = len(acknowledged) + 40

        async def reached(goal: int = goal) -> bool:
            return len(acknowledged) >= goal

        await until(reached)
        await payments.kill()
        await payments.start()
    over.set()
    await asyncio.gather(*buyers)
    await payments.quiet()
    items = []
    after = 0
    while after is not None:
        page = await payments.get(f"/ledger?after={after}")
        items += page["items"]
        after = page["next"]
    did = sorted((item["reference"], item["kind"]) for item in items)
    assert did == sorted((reference, kind) for reference in acknowledged for kind in ("authorize", "capture"))
    told = {(delivery.body["data"]["reference"], delivery.body["type"]) for delivery in receiver.deliveries}
    assert told == {(reference, kind) for reference in acknowledged for kind in ("payment.authorized", "payment.captured")}
    assert len({delivery.id for delivery in receiver.deliveries}) == len(told)


@pytest.mark.asyncio
async def test_faults_clock_keys_and_port_survive(payments: Simulator) -> None:
    await payments.fault("authorize", "decline", 3)
    await payments.call("POST", "/clock", {"offset": 86400.5})
    first = await payments.pay("tok_3ds", key="k1")
    address = payments.url
    await payments.kill()
    await payments.start()
    assert payments.url == address
    assert (await payments.get("/clock"))["offset"] == 86400.5
    assert (await payments.get("/faults"))["items"][0]["remaining"] == 2
    assert (await payments.pay("tok_3ds", key="k1")).raw == first.raw


@pytest.mark.asyncio
async def test_retries_go_on_until_a_2xx(payments: Simulator, receiver: Receiver) -> None:
    receiver.answers.extend([500, 404, 302])
    await payments.pay()
    await payments.quiet()
    assert [delivery.status for delivery in receiver.deliveries] == [500, 404, 302, 200]
    assert len({delivery.id for delivery in receiver.deliveries}) == 1
    waits = [b.at - a.at for a, b in zip(receiver.deliveries, receiver.deliveries[1:], strict=False)]
    assert waits == sorted(waits)


@pytest.mark.asyncio
async def test_one_file_belongs_to_one_program(tmp_path: Path, receiver: Receiver) -> None:
    async with Simulator("payments", tmp_path / "one.db", receiver) as simulator:
        assert (await simulator.post("/payments/x/refund", {"amount": eur(1)})).status == 404
    other = Simulator("carriers", tmp_path / "one.db", receiver)
    with pytest.raises(ValueError, match="Expecting value"):
        await other.start()
    assert await other._ended() == 2
