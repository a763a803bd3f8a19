"""The service on either kind of server, in core's testing kit. ``test_deployments.py`` runs this where both are installed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from marketplace_wishlist.wishlist import Wishlist

from marketplace_core import calls
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.errors import NotFound
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.cart_shop import Stall
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id

Make = Callable[..., Awaitable[Marketplace]]


@pytest.fixture(params=["postgres", "sqlite"])
def on(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, object]:
    if request.param == "postgres":
        return {"settings": {"wishlist": "limit = 3"}}
    table = 'on = { wishlist = "lists" }\nlimit = 3'
    return {"settings": {"wishlist": table}, "resources": {"lists": f"sqlite:{tmp_path}/lists.db"}}


@pytest.fixture(params=["local", "wire"])
async def market(request: pytest.FixtureRequest, marketplace: Make, on: dict[str, object]) -> Marketplace:
    """By ``wire`` each command is undone once before, and made twice."""
    return await marketplace(["catalog", "wishlist"], runner=request.param, **on)


async def product(market: Marketplace) -> str:
    return (await Stall.open(market.port(Catalog))).product_id


async def test_a_product_is_wished_for_once(market: Marketplace) -> None:
    wishlist, pot = market.port(Wishlist), await product(market)
    ends = await asyncio.gather(*(wishlist.add_wish("ada", pot) for _ in range(5)))
    assert len({wish.added_at for wish in ends}) == 1
    assert (await wishlist.get_wishlist("ada")).items == [ends[0]]
    await wishlist.remove_wish("ada", pot)
    await wishlist.remove_wish("ada", pot)
    with pytest.raises(NotFound):
        await wishlist.get_wish("ada", pot)


async def test_a_list_has_an_end(market: Marketplace) -> None:
    wishlist = market.port(Wishlist)
    for _ in range(3):
        await wishlist.add_wish("ada", await product(market))
    await refused("wishlist.full", wishlist.add_wish("ada", await product(market)))
    assert len((await wishlist.get_wishlist("ada")).items) == 3


async def test_what_nobody_sees_is_not_wished_for(market: Marketplace) -> None:
    with pytest.raises(NotFound):
        await market.port(Wishlist).add_wish("ada", new_id())


async def test_one_key_is_one_command(market: Marketplace) -> None:
    wishlist, pot = market.port(Wishlist), await product(market)
    with calls.scope(calls.Call(key="one")):
        wish = await wishlist.add_wish("ada", pot)
    with calls.scope(calls.Call(key="two")):
        await wishlist.remove_wish("ada", pot)
    with calls.scope(calls.Call(key="one")):
        assert await wishlist.add_wish("ada", pot) == wish
    assert (await wishlist.get_wishlist("ada")).items == []


async def test_what_is_archived_is_dropped_from_all_lists(market: Marketplace) -> None:
    wishlist, stall = market.port(Wishlist), await Stall.open(market.port(Catalog))
    kept = await product(market)
    for account in ("ada", "eve"):
        for each in (stall.product_id, kept):
            await wishlist.add_wish(account, each)
    await stall.archive()
    await market.settle()
    for account in ("ada", "eve"):
        assert [wish.product_id for wish in (await wishlist.get_wishlist(account)).items] == [kept]
