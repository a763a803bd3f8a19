"""logistics with a real simulated carrier beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
import pytest_asyncio

from marketplace_core.capabilities.logistics import Logistics, ShipmentChanged
from marketplace_core.capabilities.orders import EventLine, PackageShipped, Shipment
from marketplace_core.events import Event, decode_envelope
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator
from marketplace_core.values import Address, Money, new_id

ADDRESS = Address(name="Ada Lovelace", line1="1 Test Street", city="Berlin", postal_code="10115", country="DE")
QUICK_HASH = "hash_time = 1\nhash_memory = 1"


def package_shipped(**changes: Any) -> PackageShipped:
    eur = Money(1000, "EUR")
    line = EventLine(
        item_id=new_id(), variant_id="v", product_id="p", seller_id="seller", quantity=2, unit_price=eur, total=eur * 2
    )
    fields: dict[str, Any] = {
        "order_id": new_id(),
        "package_id": new_id(),
        "shipment_id": new_id(),
        "seller_id": "seller",
        "lines": [line],
        "amount": eur,
        "commission": eur,
        "shipping": eur,
        "tax": eur,
        "remaining": eur,
        "origin_country": "DE",
        "carrier": "simulator",
        "service": "standard",
        "tracking_number": None,
        "address": ADDRESS,
        "tracking_token": new_id(),
        "weight_g": 750,
    }
    return PackageShipped(**(fields | changes))


class Bench:
    """A marketplace of logistics and its carrier, and what a test asks of them over and over."""

    def __init__(self, market: Marketplace, carrier: Simulator) -> None:
        self.market = market
        self.carrier = carrier
        self.logistics = market.port(Logistics)
        self.database = market.process.context("logistics").database

    async def emit(self, *events: Event) -> None:
        """As if another plugin had told it, over the bus."""

        async def tell(uow: Any) -> None:
            for event in events:
                uow.emit(event)

        await self.market.process.context("logistics").units.run(tell)

    async def ship(self, *, settle: bool = True, **changes: Any) -> PackageShipped:
        event = package_shipped(**changes)
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


@pytest.fixture(name="package_shipped")
def package_shipped_fixture() -> Callable[..., PackageShipped]:
    """Makes the event of a package that the simulated carrier takes; whatever is named is otherwise."""
    return package_shipped


@pytest.fixture(params=["local", "wire"])
def runner(request: pytest.FixtureRequest) -> str:
    """Both ways in which another plugin reaches the port."""
    found: str = request.param
    return found
