"""Where a parcel is, by webhooks, by asking, and by the carrier's own people."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from marketplace_core.capabilities.logistics import NewTrackingEvent
from marketplace_core.errors import NotFound
from marketplace_core.testing.contracts.hooks import KEY, signed
from marketplace_core.testing.simulators import SECRET
from marketplace_core.values import new_id

WAY = ("in_transit", "out_for_delivery", "delivered")
MINUTE = 60.0


class Sender:
    """A carrier's webhooks, made by hand."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url

    async def send(
        self, body: Any, *, id_: str | None = None, at: datetime | None = None, key: bytes = KEY, carrier: str = "simulator"
    ) -> tuple[int, Any]:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers, _ = signed(raw, id_ or new_id(), at or datetime.now(UTC), key)
        url = f"{self._url}/logistics/v1/webhooks/carriers/{carrier}"
        async with self._session.post(url, data=raw, headers=headers) as answer:
            content = await answer.json(content_type=None)
            return answer.status, content.get("status") if answer.status == 200 else content.get("code")


@pytest_asyncio.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


def _told(number: str, code: str = "in_transit", at: str = "2026-01-01T12:00:00.000Z", location: str | None = None) -> Any:
    data = {"tracking_number": number, "code": code, "location": location, "occurred_at": at}
    return {"type": "shipment.event", "id": "whatever", "timestamp": at, "data": data}


@pytest.mark.behaviour("logistics-2")
async def test_webhooks_by_hand(make_bench: Any, session: aiohttp.ClientSession) -> None:
    bench = await make_bench(http=True)
    event = await bench.ship()
    number = (await bench.shipment(event.shipment_id)).tracking_number
    sender = Sender(session, bench.market.url)
    kept = "SELECT count(*) FROM logistics.webhooks"

    now = bench.market.clock.now()
    assert await sender.send(_told(number), key=bytes(32)) == (401, "webhooks.bad_signature")
    assert await sender.send(_told(number), at=now - timedelta(seconds=310)) == (401, "webhooks.stale")
    assert await sender.send(_told(number), at=now + timedelta(seconds=310)) == (401, "webhooks.stale")
    assert await sender.send(_told(number), carrier="nobody") == (404, "http.not_found")
    assert await bench.database.value(kept) == 0

    assert await sender.send(_told("T0")) == (200, "ignored")
    assert await sender.send({"type": "shipment.weighed", "data": {"tracking_number": number}}) == (200, "ignored")
    assert await sender.send(_told(number, code="vanished")) == (200, "ignored")
    assert await sender.send(b"no JSON at all") == (200, "ignored")
    assert await sender.send(_told("T0"), id_="once") == (200, "ignored")
    assert await sender.send(_told("T0"), id_="once") == (200, "duplicate")
    assert await bench.database.value(kept) == 5
    assert len(await bench.changes(event.shipment_id)) == 1

    answers = await asyncio.gather(*(sender.send(_told(number, location="Berlin"), id_="same") for _ in range(8)))
    assert sorted(answers) == [(200, "accepted")] + [(200, "duplicate")] * 7
    assert await sender.send(_told(number, location="Berlin"), id_="another") == (200, "accepted")
    await bench.market.settle()
    _, change = await bench.changes(event.shipment_id)
    assert (change.code, change.shipment.status) == ("in_transit", "in_transit")
    assert [(e.code, e.location) for e in change.shipment.events] == [("in_transit", "Berlin")]
    assert await bench.database.value(f"{kept} WHERE state = 'accepted'") == 0


async def test_two_secrets_are_good_while_one_is_changed(make_bench: Any, session: aiohttp.ClientSession) -> None:
    other = bytes(range(1, 33))
    bench = await make_bench(http=True, started=False, secrets=[SECRET, f"whsec_{base64.b64encode(other).decode()}"])
    sender = Sender(session, bench.market.url)
    assert await sender.send(_told("T0")) == (200, "ignored")
    assert await sender.send(_told("T0"), key=other) == (200, "ignored")


@pytest.mark.behaviour("logistics-2")
@pytest.mark.parametrize("fault", [None, "twice", "late", "out_of_order", "before_answer"])
async def test_webhooks_in_trouble_end_alike(make_bench: Any, fault: str | None) -> None:
    bench = await make_bench(http=True)
    event = await bench.ship()
    for code in WAY:
        if fault is not None:
            await bench.carrier.fault("webhook", fault)
        await bench.advance(event.shipment_id, code)
    await bench.market.settle()
    changes = await bench.changes(event.shipment_id)
    shipment = changes[-1].shipment
    assert shipment.status == "delivered"
    assert tuple(told.code for told in shipment.events) == WAY
    assert sorted(change.code or "" for change in changes) == sorted(["", *WAY])


@pytest.mark.behaviour("logistics-2")
async def test_a_lost_webhook_only_delays(make_bench: Any) -> None:
    bench = await make_bench(http=True)
    event = await bench.ship()
    await bench.carrier.fault("webhook", "lost", 2)
    await bench.advance(event.shipment_id, "in_transit", location="Berlin")
    await bench.advance(event.shipment_id, "out_for_delivery")
    await bench.market.settle()
    assert (await bench.shipment(event.shipment_id)).status == "label_created"
    await bench.market.clock.advance(MINUTE)
    await bench.market.settle()
    changes = await bench.changes(event.shipment_id)
    assert [change.code for change in changes] == [None, "in_transit", "out_for_delivery"]
    assert changes[-1].shipment.status == "out_for_delivery"
    await bench.advance(event.shipment_id, "delivered")
    await bench.market.settle()
    assert (await bench.shipment(event.shipment_id)).status == "delivered"


@pytest.mark.behaviour("logistics-2")
async def test_told_and_asked_is_one_event(make_bench: Any) -> None:
    bench = await make_bench(http=True)
    event = await bench.ship()
    await bench.advance(event.shipment_id, "in_transit", location="Berlin")
    await bench.market.settle()
    await bench.market.clock.advance(MINUTE)
    await bench.market.settle()
    assert [change.code for change in await bench.changes(event.shipment_id)] == [None, "in_transit"]
    sources = await bench.database.fetch("SELECT source FROM logistics.tracking_events")
    assert [row["source"].split(":")[0] for row in sources] == ["webhook"]


async def test_asking_goes_round_and_ends(make_bench: Any) -> None:
    """Those first that were asked after longest ago; a carrier in trouble is left until the next minute."""
    bench = await make_bench(settings="poll_batch = 2", worker=False)
    service = bench.market.process.service("logistics")
    await bench.market.start_worker()
    events = [await bench.ship(settle=False) for _ in range(3)]
    await bench.market.settle()
    await bench.market.stop_worker()
    for event in events:
        await bench.advance(event.shipment_id, "delivered")
    await bench.carrier.fault("any", "down", 2)
    for delivered in (0, 2, 3):
        await service.poll()
        found = await bench.database.value("SELECT count(*) FROM logistics.shipments WHERE status = 'delivered'")
        assert found == delivered
    assert await bench.database.value("SELECT count(*) FROM logistics.shipments WHERE polled_at IS NULL") == 0
    await bench.carrier.stop()
    await service.poll()  # nothing is under way, so nobody is asked


@pytest.mark.behaviour("logistics-2")
async def test_what_the_carriers_people_say(make_bench: Any, runner: str) -> None:
    bench = await make_bench(runner=runner)
    event = await bench.ship()
    now = bench.market.clock.now()
    port = bench.logistics

    async def add(code: str, minutes: int, **fields: Any) -> Any:
        told = NewTrackingEvent(code=code, occurred_at=now + timedelta(minutes=minutes), **fields)  # type: ignore[arg-type]
        return await port.add_event("simulator", event.shipment_id, told)

    assert (await add("out_for_delivery", 2)).status == "out_for_delivery"
    late = await add("in_transit", 1, location="Berlin")
    assert late.status == "out_for_delivery"
    assert [(told.code, told.location) for told in late.events] == [("in_transit", "Berlin"), ("out_for_delivery", None)]
    assert (await add("exception", 3)).status == "exception"
    assert (await add("out_for_delivery", 4)).status == "out_for_delivery"
    assert (await add("delivered", 5)).status == "delivered"
    assert (await add("in_transit", 6)).status == "delivered"
    codes = [change.code for change in await bench.changes(event.shipment_id)]
    assert codes == [None, "out_for_delivery", "in_transit", "exception", "out_for_delivery", "delivered", "in_transit"]
    with pytest.raises(NotFound):
        await port.add_event("another", event.shipment_id, NewTrackingEvent(code="returned"))
    with pytest.raises(NotFound):
        await port.add_event("simulator", new_id(), NewTrackingEvent(code="returned"))
