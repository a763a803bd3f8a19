"""A plugin without a capability listens, has jobs, schedules and tasks, as one has that provides something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from marketplace_core._plugins.registry import installed_plugins
from marketplace_core.capabilities.catalog import Catalog, MoneyInput, ProductDraft, SellerRef, VariantDraft
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id
from tests.core.strangers import install

Open = Callable[..., Awaitable[Marketplace]]

PLUGIN = """
from __future__ import annotations

from datetime import time, timedelta

from msgspec import Struct

from marketplace_core.capabilities.catalog import Catalog, ProductChanged
from marketplace_core.hookspecs import Job, PluginInfo, Schedule, Task, hookimpl
from marketplace_core.ports import handler


class Config(Struct, frozen=True, forbid_unknown_fields=True):
    minutes: int = 10


class Noted(Struct, frozen=True):
    product_id: str


class Service:
    def __init__(self, units, catalog, clock):
        self.units, self.catalog, self.clock = units, catalog, clock
        self.seen, self.noted, self.ticks, self.nights, self.lives = [], [], 0, 0, False

    @handler(ProductChanged)
    async def on_product_changed(self, uow, event):
        self.seen.append(event.product_id)
        uow.enqueue("noticeboard.note", Noted(event.product_id))

    async def note(self, args):
        self.noted.append((await self.catalog.get_product(args.product_id)).page.title)

    async def tick(self):
        self.ticks += 1

    async def night(self):
        self.nights += 1

    async def live(self):
        import asyncio

        self.lives = True
        await asyncio.Event().wait()


@hookimpl
def info():
    return PluginInfo(name="noticeboard", version="1.0", requires=("catalog",))


@hookimpl
def settings():
    return Config


@hookimpl
def service(context):
    return Service(context.units, context.port(Catalog), context.clock)


@hookimpl
def subscriptions():
    return [Service.on_product_changed]


@hookimpl
def jobs(context):
    return [Job("noticeboard.note", Service.note, Noted)]


@hookimpl
def schedules(context):
    every = timedelta(minutes=context.config(Config).minutes)
    return [
        Schedule("noticeboard.tick", Service.tick, every),
        Schedule("noticeboard.night", Service.night, at=time(3, 0)),
    ]


@hookimpl
def tasks():
    return [Task("noticeboard.live", Service.live)]
"""


@pytest.fixture
def noticeboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    install(tmp_path, "noticeboard", PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    installed_plugins.cache_clear()
    yield
    installed_plugins.cache_clear()


async def published(market: Marketplace) -> str:
    catalog, seller = market.port(Catalog), SellerRef(new_id(), "Kettle & Sons")
    await catalog.set_seller(seller, True, 1)
    variant = VariantDraft(sku="pot", price=MoneyInput(1000, "EUR"), stock=3, options={})
    product = await catalog.create_product(seller.id, ProductDraft(title="Tea pot", variants=(variant,)))
    await catalog.publish_product(seller.id, product.id)
    return product.id


@pytest.mark.usefixtures("noticeboard")
async def test_it_listens_and_works_without_a_capability(marketplace: Open) -> None:
    settings = {"noticeboard": "minutes = 30", "deployment": 'time_zone = "Asia/Tokyo"'}
    market = await marketplace(["catalog", "noticeboard"], settings=settings)
    service: Any = market.process.service("noticeboard")
    await eventually(lambda: service.lives)
    product_id = await published(market)
    await market.settle()
    assert set(service.seen) == {product_id} and service.noted and set(service.noted) == {"Tea pot"}
    assert (service.ticks, service.nights) == (1, 0)
    await market.clock.advance(1795)
    await market.settle()
    assert service.ticks == 1, "its own settings say how often"
    await market.clock.advance(86_400)
    await market.settle()
    assert (service.ticks, service.nights) == (2, 1)


@pytest.mark.usefixtures("noticeboard")
async def test_its_nights_are_those_of_the_deployment(marketplace: Open) -> None:
    market = await marketplace(["catalog", "noticeboard"], settings={"deployment": 'time_zone = "Asia/Tokyo"'})
    service: Any = market.process.service("noticeboard")
    tomorrow = (market.clock.now() + timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    await market.clock.set(tomorrow)
    await market.settle()
    nights = service.nights
    await market.clock.set(tomorrow.replace(hour=17, minute=59))
    await market.settle()
    assert service.nights == nights
    await market.clock.set(tomorrow.replace(hour=18, minute=0))  # three o'clock in Tokyo
    await market.settle()
    assert service.nights == nights + 1


@pytest.mark.usefixtures("noticeboard")
async def test_what_it_cannot_apply_is_parked_where_operators_look(marketplace: Open) -> None:
    market = await marketplace(["catalog", "noticeboard"], worker=False)
    from marketplace_core._runtime.operators import OwnOperations  # noqa: PLC0415

    service: Any = market.process.service("noticeboard")
    service.seen = None  # it fails at each event
    await published(market)
    await market.start_worker()
    operations = OwnOperations(market.process)
    [parked] = await eventually(operations.list_parked, within=20.0)
    assert parked.handler == "noticeboard.on_product_changed"
