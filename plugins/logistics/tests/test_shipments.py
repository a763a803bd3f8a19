"""From what was shipped to a label: whatever happens to the carrier, there is one parcel."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from marketplace_core.capabilities.logistics import Logistics, ShipmentRequested
from marketplace_core.errors import Conflict, NotFound
from marketplace_core.events import Envelope, Event, encode_data
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.surroundings import shipped
from marketplace_core.testing.marketplace import NotSettled
from marketplace_core.values import new_id


def _delivery(event: Event, sequence: int = 1) -> Envelope:
    """An event as the bus brings it."""
    return Envelope(
        id=new_id(),
        type=event.type,
        version=1,
        key=event.key,
        occurred_at="2026-01-01T00:00:00Z",
        data=msgspec.Raw(encode_data(event)),
        sequence=sequence,
    )


@pytest.mark.behaviour("logistics-1")
async def test_a_package_gets_a_number_and_a_label(make_bench: Any, runner: str) -> None:
    bench = await make_bench(runner=runner)
    event = await bench.ship()
    [parcel] = await bench.at_carrier(event.shipment_id)
    shipment = await bench.shipment(event.shipment_id)
    assert (shipment.status, shipment.tracking_number) == ("label_created", parcel["tracking_number"])
    assert shipment.estimated_delivery == parcel["estimated_delivery"][:10]
    assert [(item.item_id, item.quantity) for item in shipment.items] == [(event.lines[0].item_id, 2)]
    assert (shipment.id, shipment.package_id) == (event.shipment_id, event.package_id)
    assert (parcel["weight_g"], parcel["to"]["name"]) == (750, "Ada Lovelace")
    tracking = await bench.logistics.get_tracking(event.tracking_token)
    assert (tracking.tracking_number, tracking.status) == (shipment.tracking_number, "label_created")
    label = await bench.logistics.get_label("seller", event.shipment_id)
    assert label.content.startswith(b"%PDF")
    await bench.carrier.stop()
    assert await bench.logistics.get_label("seller", event.shipment_id) == label
    assert await bench.logistics.get_carrier_label("simulator", event.shipment_id) == label
    for other in (("other", event.shipment_id), ("seller", new_id())):
        with pytest.raises(NotFound):
            await bench.logistics.get_label(*other)
    with pytest.raises(NotFound):
        await bench.logistics.get_carrier_label("another", event.shipment_id)


@pytest.mark.parametrize("fault", ["slow", "timeout_after_success", "down"])
async def test_a_carrier_in_trouble_only_delays(make_bench: Any, fault: str) -> None:
    bench = await make_bench(patience=0.5)
    await bench.carrier.fault("create", fault, 2 if fault == "down" else 1)
    event = await bench.ship(settle=False)
    await bench.market.settle()
    [parcel] = await bench.at_carrier(event.shipment_id)
    [change] = await bench.changes(event.shipment_id)
    assert (change.shipment.status, change.shipment.tracking_number) == ("label_created", parcel["tracking_number"])
    assert change.code is None


async def test_a_carrier_that_is_away_is_asked_until_it_is_back(make_bench: Any) -> None:
    bench = await make_bench(started=False)
    event = await bench.ship(settle=False)
    with pytest.raises(Conflict, match="label_pending"):
        await _until_known(bench, event.shipment_id)
    await bench.carrier.start()
    await bench.market.settle()
    assert (await bench.shipment(event.shipment_id)).status == "label_created"


async def test_a_carrier_that_is_away_holds_up_no_other_parcel(make_bench: Any) -> None:
    """There are more of them than the bus has partitions."""
    bench = await make_bench(started=False, patience=0.2)
    stuck = [await bench.ship(settle=False) for _ in range(20)]
    own = [await bench.ship(settle=False, carrier="own") for _ in range(20)]

    async def told_of_all() -> bool:
        return all([await bench.changes(event.shipment_id) for event in own])

    await eventually(told_of_all, within=20)

    async def all_wait() -> bool:
        kept = "SELECT count(*) FROM marketplace.parked WHERE handler = 'logistics.on_shipment_requested' AND retry_at > at"
        return bool(await bench.database.value(kept) == len(stuck))

    await eventually(all_wait, within=60)
    with pytest.raises(NotSettled):
        await bench.market.settle(0.5)
    await bench.carrier.start()
    await bench.market.settle(60)
    assert {(await bench.shipment(event.shipment_id)).status for event in stuck} == {"label_created"}
    assert await bench.database.value("SELECT count(*) FROM marketplace.parked") == 0


async def _until_known(bench: Any, shipment_id: str) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await bench.logistics.get_label("seller", shipment_id)
            except NotFound:
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({}, "declined"), ({"service": "by hand"}, "does not take it"), ({"carrier": "nobody"}, "no carrier")],
)
async def test_a_refusal_is_an_exception_that_a_person_sees(make_bench: Any, changes: dict[str, str], words: str) -> None:
    bench = await make_bench()
    await bench.carrier.fault("create", "decline")
    event = await bench.ship(**changes)
    [change] = await bench.changes(event.shipment_id)
    assert (change.code, change.shipment.status, change.shipment.tracking_number) == ("exception", "exception", None)
    assert await bench.at_carrier(event.shipment_id) == []
    with pytest.raises(Conflict, match="carrier_refused") as refused:
        await bench.logistics.get_label("seller", event.shipment_id)
    assert words in refused.value.detail


async def test_a_person_has_the_carrier_asked_again(make_bench: Any, runner: str) -> None:
    bench = await make_bench(runner=runner)
    await bench.carrier.fault("create", "decline", 2)
    event = await bench.ship()
    for tried in range(2):
        found = await bench.logistics.find_shipment(event.shipment_id)
        assert (found.status, found.order_id, found.seller_id) == ("exception", event.order_id, "seller")
        assert "declined" in found.refusal
        again = await bench.logistics.retry_shipment(event.shipment_id)
        assert (again.status, again.refusal) == ("pending", None)
        await bench.market.settle()
        assert len(await bench.at_carrier(event.shipment_id)) == tried
    statuses = [change.shipment.status for change in await bench.changes(event.shipment_id)]
    assert statuses == ["exception", "pending", "exception", "pending", "label_created"]
    await bench.logistics.retry_shipment(event.shipment_id)  # it has been taken: nothing comes of it
    await bench.market.settle()
    assert (await bench.logistics.find_shipment(event.shipment_id)).status == "label_created"
    assert len(await bench.at_carrier(event.shipment_id)) == 1
    assert len(await bench.changes(event.shipment_id)) == 5


async def test_of_what_the_seller_delivers_no_carrier_is_asked(make_bench: Any) -> None:
    bench = await make_bench(started=False)
    event = await bench.ship(carrier="own")
    with pytest.raises(Conflict, match="wrong_state"):
        await bench.logistics.retry_shipment(event.shipment_id)
    for ask in (bench.logistics.find_shipment, bench.logistics.retry_shipment):
        with pytest.raises(NotFound):
            await ask(new_id())


@pytest.mark.parametrize("changes", [{"carrier": "own"}, {"tracking_number": "MINE-1"}])
async def test_own_delivery_asks_no_carrier(make_bench: Any, changes: dict[str, str]) -> None:
    bench = await make_bench(started=False)
    event = await bench.ship(**changes)
    [change] = await bench.changes(event.shipment_id)
    assert (change.shipment.status, change.shipment.tracking_number) == ("label_created", changes.get("tracking_number"))
    assert change.shipment.tracking_token == event.tracking_token
    with pytest.raises(NotFound):
        await bench.logistics.get_label("seller", event.shipment_id)


async def test_two_sellers_may_name_the_same_number(make_bench: Any) -> None:
    bench = await make_bench(started=False)
    events = [await bench.ship(tracking_number="MINE-1", seller_id=seller) for seller in ("one", "two")]
    for event in events:
        assert (await bench.shipment(event.shipment_id)).tracking_number == "MINE-1"


async def test_what_was_sold_for_a_flat_price_goes_by_the_cheapest_carrier(make_bench: Any) -> None:
    bench = await make_bench(patience=0.5)
    await bench.carrier.fault("rates", "down")
    await bench.carrier.fault("create", "timeout_after_success")
    event = await bench.ship(carrier="flat")
    [parcel] = await bench.at_carrier(event.shipment_id)
    shipment = await bench.shipment(event.shipment_id)
    assert (shipment.carrier, shipment.service, parcel["service"]) == ("simulator", "economy", "economy")
    assert shipment.tracking_number == parcel["tracking_number"]


async def test_nobody_takes_what_was_sold_for_a_flat_price(make_bench: Any) -> None:
    bench = await make_bench()
    event = await bench.ship(carrier="flat", weight_g=2_000_000)
    assert (await bench.shipment(event.shipment_id)).status == "exception"


async def test_sellers_deliver_where_there_is_no_carrier(marketplace: Any) -> None:
    market = await marketplace(["logistics"])
    service = market.process.service("logistics")
    event = shipped(carrier="flat")
    assert await service.on_package_shipped(_delivery(event))
    assert (await market.port(Logistics).get_tracking(event.tracking_token)).status == "label_created"


async def test_twenty_deliveries_of_one_event_make_one_shipment(make_bench: Any) -> None:
    bench = await make_bench(worker=False)
    service = bench.market.process.service("logistics")
    event = shipped()
    applied = await asyncio.gather(*(service.on_package_shipped(_delivery(event)) for _ in range(20)))
    assert sum(applied) == 1
    assert await service.on_package_shipped(_delivery(event, sequence=2))  # told anew: nothing comes of it
    assert await bench.database.value("SELECT count(*) FROM logistics.shipments") == 1
    assert await bench.database.value("SELECT count(*) FROM marketplace.outbox") == 1
    asked = _delivery(ShipmentRequested(shipment_id=event.shipment_id, carrier="simulator"))
    applied = await asyncio.gather(*(service.on_shipment_requested(asked) for _ in range(20)))
    assert sum(applied) == 1
    assert len(await bench.at_carrier(event.shipment_id)) == 1
    assert len(await bench.changes(event.shipment_id)) == 1


async def test_history_is_not_sent_again(make_bench: Any) -> None:
    bench = await make_bench(worker=False)
    event = shipped()
    told = msgspec.structs.replace(_delivery(event), origin="import")
    await bench.market.process.service("logistics").on_package_shipped(told)
    assert await bench.database.value("SELECT count(*) FROM logistics.shipments") == 0


async def test_labels_cannot_be_guessed(make_bench: Any) -> None:
    bench = await make_bench()
    event = await bench.ship()
    await bench.logistics.get_label("seller", event.shipment_id)
    [file] = bench.market.process.blobs.folder.rglob("*.pdf")
    assert event.shipment_id not in file.name
    assert len(file.stem) == 64
