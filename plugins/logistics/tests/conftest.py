"""logistics with a real simulated carrier beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import pytest_asyncio

from marketplace_core.capabilities.logistics import Logistics, ShipmentChanged
from marketplace_core.capabilities.orders import PackageShipped, Shipment
from marketplace_core.events import Event, decode_envelope
from marketplace_core.testing.contracts.surroundings import shipped
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator

QUICK_HASH = "hash_time = 1\nhash_memory = 1"


class Bench:
    """A marketplace of logistics and its carrier, and what a test asks of them over and over."""

    def __init__(self, market: Marketplace, carrier: Simulator) -> None:
        self.market = market
        self.carrier = carrier
        self.logistics = market.port(Logistics)
        self.database = market.process.context("logistics").database

    async def emit(self, *events: Event) -> None:
        """As if another plugin had told it, over the bus."""
        await self.market.emit(*events)

    async def ship(self, *, settle: bool = True, **changes: Any) -> PackageShipped:
        event = shipped(**changes)
        await self.emit(event)
        if settle:
            await self.market.settle()
        return event

    async def changes(self, shipment_id: str) -> list[ShipmentChanged]:
        """What was told of a shipment, in order."""
        rows = await self.database.fetch(
            "SELECT payload, sequence FROM marketplace.outbox WHERE type = 'logistics.shipment_changed' AND key = $1"
            " ORDER BY sequence",
            shipment_id,
        )
        events = [decode_envelope(row["payload"], row["sequence"]).decode() for row in rows]
        return [event for event in events if isinstance(event, ShipmentChanged)]

    async def shipment(self, shipment_id: str) -> Shipment:
        """As it was last told of."""
        return (await self.changes(shipment_id))[-1].shipment

    async def at_carrier(self, shipment_id: str) -> list[dict[str, Any]]:
        return await self.carrier.items(f"/shipments?reference={shipment_id}")

    async def advance(self, shipment_id: str, *codes: str, **fields: str) -> None:
        [parcel] = await self.at_carrier(shipment_id)
        for code in codes:
            await self.carrier.advance(parcel["tracking_number"], code, **fields)


MakeBench = Callable[..., Awaitable[Bench]]


@pytest_asyncio.fixture
async def make_bench(marketplace: Callable[..., Awaitable[Marketplace]], carriers_simulator: Simulator) -> MakeBench:
    """``await make_bench(runner="wire", http=True, started=False)``."""

    async def make(
        *,
        http: bool = False,
        started: bool = True,
        settings: str = "",
        patience: float = 10.0,
        secrets: Sequence[str] = (carriers_simulator.secret,),
        **options: Any,
    ) -> Bench:
        plugins = [*(["auth"] if http else []), "logistics", "carriers_simulator"]
        tables = {
            "auth": QUICK_HASH,
            "logistics": settings,
            "carriers_simulator": f'url = "{carriers_simulator.url}"\nsecrets = {list(secrets)}\ntimeout = {patience}',
        }
        market = await marketplace(plugins, http=http, settings=tables, **options)
        if started and http:
            await carriers_simulator.start_for(market)
        elif started:
            await carriers_simulator.start()
        return Bench(market, carriers_simulator)

    return make


@pytest.fixture(params=["wire"])
def runner(request: pytest.FixtureRequest) -> str:
    """As a plugin of another process reaches the port, which is the stricter way."""
    found: str = request.param
    return found
