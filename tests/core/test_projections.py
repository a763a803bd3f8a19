"""A plugin whose store is a projection, in a folder: it listens, and core remembers elsewhere what it has seen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from marketplace_core import outbox
from marketplace_core._plugins.registry import installed_plugins
from marketplace_core._runtime.operators import OwnOperations
from marketplace_core.capabilities.catalog import Catalog, MoneyInput, ProductDraft, ProductPatch, SellerRef, VariantDraft
from marketplace_core.deployment import DeploymentErrors, load_all
from marketplace_core.ports import Parked
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id
from tests.core.strangers import install

Open = Callable[..., Awaitable[Marketplace]]

WINDOW = """
from __future__ import annotations

import json

from marketplace_core.capabilities.catalog import ProductChanged
from marketplace_core.hookspecs import PluginInfo, hookimpl
from marketplace_core.ports import ProjectionUnits, handler


class Store:
    def __init__(self, folder):
        self.folder = folder / "window"

    def read(self, product_id):
        file = self.folder / f"{product_id}.json"
        return json.loads(file.read_text()) if file.exists() else {"version": 0}

    def put(self, product_id, title, version):
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.read(product_id)["version"] < version:
            (self.folder / f"{product_id}.json").write_text(json.dumps({"title": title, "version": version}))


class Service:
    def __init__(self, units, store):
        self.units, self.store, self.broken = units, store, False

    @handler(ProductChanged)
    async def on_product_changed(self, uow, event):
        if self.broken:
            raise ValueError("broken")
        self.store.put(event.product_id, event.page.title if event.page else "", ProjectionUnits.on(uow).sequence)


@hookimpl
def info():
    return PluginInfo(name="window", version="1.0", requires=("catalog",), stores=("folder",))


@hookimpl
def service(context):
    return Service(context.projections, context.store({"folder": lambda it: Store(it.connection())}))


@hookimpl
def subscriptions():
    return [Service.on_product_changed]
"""


@pytest.fixture(autouse=True)
def _window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(outbox, "RETRY_PAUSES", (0.01,))
    install(tmp_path, "window", WINDOW)
    monkeypatch.syspath_prepend(tmp_path)
    installed_plugins.cache_clear()
    yield
    installed_plugins.cache_clear()


class Shop:
    def __init__(self, market: Marketplace) -> None:
        self.market, self.catalog, self.seller = market, market.port(Catalog), SellerRef(new_id(), "Kettle & Sons")
        self.window: Any = market.process.service("window")

    async def publish(self) -> str:
        await self.catalog.set_seller(self.seller, True, 1)
        variant = VariantDraft(sku=new_id(), price=MoneyInput(1000, "EUR"), stock=3, options={})
        product = await self.catalog.create_product(self.seller.id, ProductDraft(title="Tea pot", variants=(variant,)))
        await self.catalog.publish_product(self.seller.id, product.id)
        return product.id

    async def call_it(self, product: str, title: str) -> None:
        await self.catalog.update_product(self.seller.id, product, ProductPatch(title=title), None)

    def shown(self, product: str) -> dict[str, Any]:
        found: dict[str, Any] = self.window.store.read(product)
        return found

    async def parked(self) -> list[Parked]:
        return [each for each in await OwnOperations(self.market.process).list_parked() if each.handler.startswith("window.")]


async def test_it_follows_events_and_is_remembered_elsewhere(marketplace: Open) -> None:
    shop = Shop(await marketplace(["catalog", "window"]))
    on = shop.market.process.deployment.plugins["window"].on
    assert on == {"window": "files", "inbox": shop.market.process.deployment.plugins["catalog"].on["catalog"]}
    product = await shop.publish()
    await shop.market.settle()
    first = shop.shown(product)
    await shop.call_it(product, "Coffee pot")
    await shop.market.settle()
    second = shop.shown(product)
    assert (first["title"], second["title"]) == ("Tea pot", "Coffee pot") and second["version"] > first["version"]


async def test_what_it_failed_at_holds_up_nothing_and_goes_with_the_next_event(marketplace: Open) -> None:
    shop = Shop(await marketplace(["catalog", "window"]))
    shop.window.broken = True
    one, two = await shop.publish(), await shop.publish()
    await shop.market.settle(failures=True)
    assert {each.key for each in await shop.parked()} == {f"catalog:{one}", f"catalog:{two}"}
    shop.window.broken = False
    await shop.call_it(one, "Coffee pot")
    await shop.market.settle(failures=True)
    (left,) = await shop.parked()
    assert left.key == f"catalog:{two}" and shop.shown(one)["title"] == "Coffee pot"
    await OwnOperations(shop.market.process).request_parked(left.id, False)

    async def none_left() -> bool:
        return not await shop.parked()

    await eventually(none_left)
    assert shop.shown(two)["title"] == "Tea pot"


async def test_a_file_that_says_nobody_remembers_is_refused(marketplace: Open, tmp_path: Path) -> None:
    """And told where it is to be said."""
    market = await marketplace(["catalog", "window"], worker=False)
    told = market.file.read_text().replace("[plugins.window]", '[plugins.window]\non = { inbox = "files" }')
    assert told != market.file.read_text()
    wrong = market.file.with_name("wrong.toml")
    wrong.write_text(told)
    with pytest.raises(DeploymentErrors, match=r"plugins\.window\.on\.inbox"):
        await asyncio.to_thread(load_all, wrong)
    assert msgspec.to_builtins(market.process.deployment.plugins["window"])["on"]["inbox"]
