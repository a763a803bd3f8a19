"""A marketplace that sells, and what a test asks of it over and over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
from marketplace_orders import worker

from marketplace_core import calls
from marketplace_core.adapters.postgres import Database
from marketplace_core.capabilities.catalog import Catalog, SellerRef
from marketplace_core.capabilities.logistics import ShipmentChanged
from marketplace_core.capabilities.orders import Order, Orders, PlacedOrder, Shipment, TrackingEvent
from marketplace_core.events import Envelope, Event
from marketplace_core.ports import event_types
from marketplace_core.testing.contracts.orders import draft, list_variants
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id, utc_text


class Bench:
    def __init__(self, market: Marketplace) -> None:
        self.market = market
        self.catalog = market.port(Catalog)
        self.orders = market.port(Orders)
        self.service: Any = market.process.service("orders")
        self.seller = SellerRef(new_id(), "Kettle")
        self._told = 0

    @property
    def database(self) -> Database:
        return self.market.process.resources.database("main")

    async def stock(self, count: int = 1, **options: Any) -> list[str]:
        return await list_variants(self.catalog, self.seller, count, **options)

    async def available(self, variants: Sequence[str]) -> list[int]:
        found = {view.id: view.available for view in await self.catalog.get_variants(list(variants))}
        return [found[id_] for id_ in variants]

    async def place(self, variants: list[str], key: str | None = None, **options: Any) -> PlacedOrder:
        with calls.scope(calls.Call(key=key)):
            return await self.orders.place(draft(variants, **options))

    async def confirmed(self, variants: list[str], **options: Any) -> Order:
        """Confirmed by itself, with its stock: for tests without a worker."""
        placed = await self.place(variants, **options)
        reservation = (await self.events("orders.placed"))[-1]["reservation"]
        await self.catalog.commit(reservation)
        await self.orders.confirm(placed.id)
        return await self.now(placed)

    async def now(self, order: Order) -> Order:
        [found] = await self.orders.get_orders([order.id])
        return found

    async def events(self, type_: str = "") -> list[dict[str, Any]]:
        """What was emitted of that type, the oldest first."""
        rows = await self.database.fetch("SELECT type, payload FROM marketplace.outbox WHERE kind = 'event' ORDER BY id")
        return [msgspec.json.decode(row["payload"])["data"] for row in rows if row["type"].startswith(type_)]

    async def types(self) -> list[str]:
        rows = await self.database.fetch("SELECT type FROM marketplace.outbox WHERE topic = 'orders' ORDER BY id")
        return [row["type"] for row in rows]

    async def hear(self, event: Event, sequence: int | None = None) -> bool:
        """Give an event to the handler of its type, as the bus does."""
        self._told += 1
        envelope = Envelope(
            id=new_id(),
            type=event.type,
            version=1,
            key=event.key,
            occurred_at=utc_text(self.market.clock.now()),
            data=msgspec.Raw(msgspec.json.encode(event)),
            sequence=sequence or self._told,
        )
        [method] = [each for each in worker.SUBSCRIPTIONS if isinstance(event, event_types(each))]
        applied: bool = await method(self.service, envelope)
        return applied

    async def track(self, order: Order, shipment: Shipment, status: Any, sequence: int | None = None) -> bool:
        """Logistics tells that a shipment has got so far."""
        event = TrackingEvent(status, "Berlin", self.market.clock.now())
        changed = msgspec.structs.replace(shipment, status=status, tracking_number="T1", events=[*shipment.events, event])
        heard = ShipmentChanged(
            shipment_id=shipment.id, order_id=order.id, package_id=shipment.package_id, shipment=changed, code=status
        )
        return await self.hear(heard, sequence)


@pytest.fixture(params=["wire"])
def runner(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bench_of() -> type[Bench]:
    return Bench


@pytest.fixture
async def bench(runner: str, marketplace: Callable[..., Awaitable[Marketplace]]) -> Bench:
    """Nothing goes on by itself."""
    return Bench(await marketplace(["catalog", "orders", "orchestrator"], runner=runner, worker=False))


@pytest.fixture
async def working(runner: str, marketplace: Callable[..., Awaitable[Marketplace]]) -> Bench:
    """With its worker."""
    return Bench(await marketplace(["catalog", "orders", "orchestrator"], runner=runner))
