"""The suite of carriers, over this one; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from marketplace_carriers_simulator.carrier import SimulatedCarrier
from msgspec.structs import replace

from marketplace_core.capabilities.logistics import Consignment, RateRequest
from marketplace_core.capabilities.orders import TrackingEvent
from marketplace_core.errors import MarketplaceError, NotFound, Refused, Unavailable
from marketplace_core.http.client import JsonClient
from marketplace_core.testing.contracts import Wrong, assert_contract_fails, fixtures_of, hooks, rules
from marketplace_core.testing.contracts.carrier import CarrierContract, Depot
from marketplace_core.testing.contracts.hooks import (
    KEY,
    Methods,
    RawHook,
    gives_each_sending_an_id,
    keyless,
    looks_at_no_clock,
    reads_what_nobody_signed,
    refusing,
)
from marketplace_core.testing.simulators import Simulator, launched
from marketplace_core.values import utc_text


class SimulatedDepot(Depot):
    too_heavy = 2_000_000

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    async def lose_answer(self) -> None:
        await self._simulator.fault("create", "timeout_after_success")

    async def fall_over(self) -> None:
        await self._simulator.fault("any", "down")

    async def parcels(self, reference: str) -> list[str]:
        return [row["tracking_number"] for row in await self._simulator.items(f"/shipments?reference={reference}")]

    async def advance(self, tracking_number: str, event: TrackingEvent) -> None:
        told = {"location": event.location or "", "occurred_at": utc_text(event.occurred_at)}
        await self._simulator.advance(tracking_number, event.code, **told)

    def webhook(
        self, tracking_number: str, event: TrackingEvent | None, *, id_: str, at: datetime, signed: bool = True
    ) -> RawHook:
        data = {"tracking_number": tracking_number, **(msgspec.to_builtins(event) if event else {})}
        body = msgspec.json.encode({"type": "shipment.event" if event else "shipment.weighed", "id": id_, "data": data})
        return hooks.signed(body, id_, at, hooks.KEY if signed else hooks.STRANGER)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with launched("carriers", tmp_path_factory.mktemp("carrier")) as made:
        yield made


@pytest.fixture
def depot(simulator: Simulator) -> Depot:
    return SimulatedDepot(simulator)


@pytest_asyncio.fixture
async def carrier(simulator: Simulator) -> AsyncIterator[SimulatedCarrier]:
    client = JsonClient("simulated carrier", simulator.url, seconds=0.5)
    yield SimulatedCarrier(client, [KEY])
    await client.close()


class TestSimulatedCarrier(CarrierContract):
    pass


# ── mistakes, one each ───────────────────────────────────────────────────────────────────────────────────────

Mistake = Callable[[Any], Methods]
"""From the right carrier to the methods that are wrong."""


def knows_no_keys(right: Any) -> Methods:
    return keyless(right, "create")


def takes_silence_for_a_refusal(right: Any) -> Methods:
    return refusing(right, "logistics.carrier_refused", "rates", "create", "label", "get")


def answers_cheapest_first(right: Any) -> Methods:
    async def rates(requests: list[RateRequest]) -> Any:
        return sorted(await right.rates(requests), key=lambda found: found[0].price.amount if found else 0)

    return {"rates": rates}


def leaves_out_what_it_does_not_take(right: Any) -> Methods:
    async def rates(requests: list[RateRequest]) -> Any:
        return [found for found in await right.rates(requests) if found]

    return {"rates": rates}


def makes_one_parcel_per_reference(right: Any) -> Methods:
    async def create(key: str, consignment: Consignment) -> Any:
        return await right.create(consignment.reference, consignment)

    return {"create": create}


def takes_silence_for_nothing(right: Any) -> Methods:
    async def rates(requests: list[RateRequest]) -> Any:
        try:
            return await right.rates(requests)
        except Unavailable:
            return [[] for _ in requests]

    return {"rates": rates}


def sends_it_another_way(right: Any) -> Methods:
    async def create(key: str, consignment: Consignment) -> Any:
        try:
            return await right.create(key, consignment)
        except Refused:
            return await right.create(key, replace(consignment, service="standard"))

    return {"create": create}


def has_one_label(right: Any) -> Methods:
    async def label(tracking_number: str) -> bytes:
        return b"%PDF-1.7"

    return {"label": label}


def remembers_the_first(right: Any) -> Methods:
    known: dict[str, Any] = {}

    async def get(tracking_number: str) -> Any:
        if tracking_number not in known:
            known[tracking_number] = await right.get(tracking_number)
        return known[tracking_number]

    return {"get": get}


def raises_where_there_is_nothing(right: Any) -> Methods:
    async def get(tracking_number: str) -> Any:
        found = await right.get(tracking_number)
        if found is None:
            raise NotFound
        return found

    return {"get": get}


def fails_on_what_it_does_not_know(right: Any) -> Methods:
    def read_webhook(*args: Any) -> Any:
        event = right.read_webhook(*args)
        if event.event is None:
            raise MarketplaceError("http.malformed")
        return event

    return {"read_webhook": read_webhook}


MISTAKES: list[tuple[Mistake, str]] = [
    (answers_cheapest_first, "test_rates_come_in_the_order_of_the_requests"),
    (leaves_out_what_it_does_not_take, "test_rates_come_in_the_order_of_the_requests"),
    (takes_silence_for_nothing, "test_rates_of_a_service_that_is_not_well_are_unknown"),
    (knows_no_keys, "test_one_key_makes_one_parcel"),
    (makes_one_parcel_per_reference, "test_one_key_makes_one_parcel"),
    (knows_no_keys, "test_a_lost_answer_is_asked_for_by_the_same_key"),
    (takes_silence_for_a_refusal, "test_a_lost_answer_is_asked_for_by_the_same_key"),
    (sends_it_another_way, "test_what_the_carrier_does_not_do_is_refused"),
    (takes_silence_for_a_refusal, "test_a_service_that_is_not_well_has_decided_nothing"),
    (has_one_label, "test_a_label_is_a_pdf"),
    (remembers_the_first, "test_a_parcel_is_where_it_is_now"),
    (raises_where_there_is_nothing, "test_a_parcel_is_where_it_is_now"),
    (gives_each_sending_an_id, "test_a_webhook_is_read"),
    (fails_on_what_it_does_not_know, "test_a_webhook_of_a_type_that_we_do_not_know"),
    (looks_at_no_clock, "test_a_webhook_that_nobody_signed_or_long_ago"),
    (reads_what_nobody_signed, "test_a_webhook_that_nobody_signed_or_long_ago"),
]


@pytest.mark.parametrize(("mistake", "test"), MISTAKES)
async def test_the_suite_notices(mistake: Mistake, test: str, carrier: SimulatedCarrier, depot: Depot) -> None:
    given = {"carrier": Wrong(carrier, mistake(carrier)), "depot": depot, "code": "in_transit"}
    await assert_contract_fails(CarrierContract, test, **fixtures_of(CarrierContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert rules(CarrierContract) == {test for _, test in MISTAKES}
