"""What is this adapter's own, against the real simulator; see ``test_contract.py``."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio
from marketplace_carriers_simulator import plugin
from marketplace_carriers_simulator.carrier import SimulatedCarrier
from marketplace_carriers_simulator.config import SimulatorConfig

from marketplace_core.capabilities.logistics import Consignment, Place, RateRequest
from marketplace_core.capabilities.orders import ShippedItem, TrackingEvent
from marketplace_core.errors import Unavailable
from marketplace_core.http.client import JsonClient
from marketplace_core.testing.contracts.hooks import signed
from marketplace_core.testing.simulators import Simulator
from marketplace_core.values import Address

KEY = bytes(range(24))
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADDRESS = Address(name="Ada", line1="1 Test Street", city="Paris", postal_code="75001", country="FR", phone="1")


@pytest_asyncio.fixture
async def carrier(carriers_simulator: Simulator) -> AsyncIterator[SimulatedCarrier]:
    await carriers_simulator.start()
    client = JsonClient("simulated carrier", carriers_simulator.url, seconds=1.0)
    yield SimulatedCarrier(client, [KEY])
    await client.close()


def _consignment(service: str = "standard") -> Consignment:
    return Consignment(
        reference="shipment-1",
        service=service,
        origin=Place("DE", ""),
        destination=ADDRESS,
        items=[ShippedItem("item", 2)],
        weight_g=900,
    )


def _request(weight_g: int = 500) -> RateRequest:
    return RateRequest(
        seller_id="s", origin=Place("DE", ""), destination=Place("FR", "75001"), weight_g=weight_g, currency="EUR"
    )


async def test_rates_go_by_weight(carrier: SimulatedCarrier) -> None:
    light, heavy = await carrier.rates([_request(), _request(1500)])
    assert [rate.service for rate in light] == ["economy", "standard", "express"]
    assert heavy[0].price.amount - light[0].price.amount == 2 * 40


async def test_what_the_carrier_is_told_and_tells(carrier: SimulatedCarrier, carriers_simulator: Simulator) -> None:
    parcel = await carrier.create("key", _consignment())
    [made] = await carriers_simulator.items("/shipments?reference=shipment-1")
    assert (made["to"]["phone"], made["weight_g"], made["from"]["country"]) == ("1", 900, "DE")
    await carriers_simulator.advance(parcel.tracking_number, "in_transit", occurred_at="2026-01-02T03:04:05.678901Z")
    found = await carrier.get(parcel.tracking_number)
    assert found is not None
    assert found.events == [TrackingEvent("in_transit", None, datetime(2026, 1, 2, 3, 4, 5, 678901, UTC))]


async def test_where_nobody_has_said_where_it_is() -> None:
    carrier = SimulatedCarrier(None, [])
    for ask in (carrier.rates([_request()]), carrier.create("key", _consignment()), carrier.get("T"), carrier.label("T")):
        with pytest.raises(Unavailable):
            await ask
    with pytest.raises(Unavailable):
        carrier.read_webhook({}, b"{}", NOW)


TOLD = {"tracking_number": "T1", "code": "delivered", "location": None, "occurred_at": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize(
    "body",
    [
        {"type": "shipment.weighed", "data": TOLD},
        {"type": "shipment.event", "data": {**TOLD, "code": "vanished"}},
        {"type": "shipment.event"},
        {},
        [],
    ],
)
def test_a_webhook_that_we_do_not_know_is_none_of_ours(body: Any) -> None:
    event = SimulatedCarrier(None, [KEY]).read_webhook(*signed(json.dumps(body).encode(), "id", NOW, KEY), NOW)
    assert (event.id, event.tracking_number, event.event) == ("id", None, None)


def test_declarations() -> None:
    info = plugin.info()
    assert (info.name, info.provides, info.stores) == ("carriers_simulator", None, ())
    assert plugin.settings() is SimulatorConfig


async def test_the_environment_says_where_it_is(
    marketplace: Any, carriers_simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    await carriers_simulator.start()
    monkeypatch.setenv("MARKETPLACE_SIMULATOR_CARRIERS_URL", carriers_simulator.url)
    monkeypatch.setenv("MARKETPLACE_SIMULATOR_SECRET", carriers_simulator.secret)
    market = await marketplace(["logistics", "carriers_simulator"], worker=False)
    carriers = await market.process.extensions.contribute("carriers")
    assert list(carriers) == ["simulator"]
    [rates] = await carriers["simulator"].rates([_request()])
    assert len(rates) == 3
