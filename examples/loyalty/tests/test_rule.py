"""The rule on its own store: one query, and what becomes of quotes and orders while that store is away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from marketplace_loyalty.domain import Ladder, Tier
from marketplace_loyalty.service import LoyaltyRule
from marketplace_loyalty.stores.postgres import PostgresLoyaltyStore

from marketplace_core import calls
from marketplace_core.capabilities.cart import AddItem, Cart, CartOwner
from marketplace_core.capabilities.catalog import Catalog, SellerRef
from marketplace_core.capabilities.orders import Orders, PlaceOrder, Pricing, PricingLine, QuoteRequest
from marketplace_core.errors import Unavailable
from marketplace_core.testing.contracts.orders import ADDRESS, PRICE, list_variants
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money, SystemClock, new_id

TIERS = 'tiers = [{ name = "Gold", percent = 10, spent = { EUR = 100 } }]'


def eur(amount: int) -> Money:
    return Money(amount, "EUR")


@pytest.fixture(params=["wire"])
async def market(request: pytest.FixtureRequest, marketplace: Callable[..., Awaitable[Marketplace]]) -> Marketplace:
    plugins = ["catalog", "cart", "orders", "orchestrator", "loyalty"]
    return await marketplace(plugins, runner=request.param, settings={"loyalty": TIERS}, worker=False)


def database(market: Marketplace) -> Any:
    return market.process.resources.database("main")


async def reward(market: Marketplace, account_id: str) -> None:
    await database(market).execute("INSERT INTO loyalty.accounts VALUES ($1, 'EUR', 100), ($1, 'USD', 9)", account_id)


def bought(account_id: str | None, currency: str = "EUR") -> Pricing:
    lines = [
        PricingLine(
            variant_id=f"v{n}", product_id="p", seller_id="s", category_id=None, quantity=n, unit_price=Money(995, currency)
        )
        for n in (1, 2)
    ]
    return Pricing(lines=tuple(lines), account_id=account_id, currency=currency, at=SystemClock().now())


async def test_the_whole_purchase_is_reduced_and_split_over_its_lines(market: Marketplace) -> None:
    account = new_id()
    await reward(market, account)
    rule = LoyaltyRule(PostgresLoyaltyStore(database(market)), Ladder([Tier("Gold", 10, {"EUR": 100})]), "seller")
    [(code, discount)] = (await rule.price_rules(bought(account))).items()
    assert (code, discount.label, discount.funded_by) == ("loyalty", "Gold: 10 % off", "seller")
    assert discount.amounts == (eur(99), eur(199)), "10 % of 2985, half even, is 298"
    for nobody in (bought(None), bought(new_id()), bought(account, "USD"), bought(account, "SEK")):
        assert await rule.price_rules(nobody) == {}


async def test_while_its_store_is_away_nobody_pays_too_much(market: Marketplace) -> None:
    account = new_id()
    await reward(market, account)
    orders, owner = market.port(Orders), CartOwner(account)
    [pot] = await list_variants(market.port(Catalog), SellerRef(new_id(), "Kettle"), 1)
    await market.port(Cart).add_item(owner, AddItem(pot, 2))
    asked = QuoteRequest(owner=owner, country="DE")
    quote = await orders.quote(asked)
    assert (quote.discount, quote.total, quote.problems) == (eur(201), eur(2 * PRICE - 201), [])
    order = PlaceOrder(owner=owner, address=ADDRESS, email="a@example.org", payment=None, expected_total=quote.total)
    await database(market).execute("ALTER TABLE loyalty.accounts RENAME TO gone")
    uncertain = await orders.quote(asked)
    assert (uncertain.total, [one.code for one in uncertain.problems]) == (eur(2 * PRICE), ["discounts_unknown"])
    with calls.scope(calls.Call(key="once")):
        with pytest.raises(Unavailable):
            await orders.place(order)
        await database(market).execute("ALTER TABLE loyalty.gone RENAME TO accounts")
        placed = await orders.place(order)
    assert (placed.discount, placed.total) == (eur(201), quote.total)
