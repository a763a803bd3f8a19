"""Deployments that name the plugin: what is chosen by the file alone, and a purchase on market.toml."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from marketplace_postgres_cart.service import PostgresCartService

from marketplace_core.capabilities.cart import AddItem, Cart, CartOwner
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.deployment import DeploymentErrors
from marketplace_core.testing.client import Client, clients
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.cart_shop import Stall
from marketplace_core.testing.deployments import elsewhere, up
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id

MARKET = Path(__file__).parents[1] / "market.toml"
ADDRESS = {"name": "Bea Buyer", "line1": "1 Test Street", "city": "Berlin", "postal_code": "10115", "country": "DE"}

Make = Callable[..., Awaitable[Marketplace]]


@pytest.mark.parametrize("chosen", ["cart", "postgres_cart"])
async def test_of_two_that_are_installed_the_file_picks_one(marketplace: Make, chosen: str) -> None:
    market = await marketplace(["catalog", "cart", "postgres_cart"], settings={chosen: "pick = true"}, worker=False)
    await market.port(Cart).add_item(CartOwner(new_id()), AddItem((await Stall.open(market.port(Catalog))).ids[0]))
    assert isinstance(market.port(Cart), PostgresCartService) == (chosen == "postgres_cart")


async def test_two_without_a_choice_are_a_problem_of_the_file(marketplace: Make) -> None:
    with pytest.raises(DeploymentErrors, match="'cart', 'postgres_cart' both provide 'cart'"):
        await marketplace(["catalog", "cart", "postgres_cart"])


async def test_carts_that_nobody_changes_are_forgotten(marketplace: Make) -> None:
    market = await marketplace(["catalog", "postgres_cart"], settings={"postgres_cart": "days = 2"})
    cart, owner, busy = market.port(Cart), CartOwner(new_id()), CartOwner(new_id())
    [pot] = (await Stall.open(market.port(Catalog))).ids
    for each in (owner, busy):
        await cart.add_item(each, AddItem(pot))
    await market.clock.advance(86400)
    await cart.add_item(busy, AddItem(pot))
    await market.clock.advance(86400 + 3600)

    async def is_empty() -> bool:
        return not (await cart.get_cart(owner)).items

    await eventually(is_empty)
    assert (await cart.get_cart(busy)).quantity == 2


# ── market.toml ──────────────────────────────────────────────────────────────────────────────────────────────


async def _order(buyer: Client) -> Any:
    quote = await buyer.post("/checkout/quote", {"address": ADDRESS})
    body = {
        "address": ADDRESS,
        "shipping": {package["seller_id"]: package["selected"] for package in quote["packages"]},
        "payment": {"method": "card", "token": "tok_ok", "return_url": "https://shop.example/return"},
        "expected_total": quote["total"],
    }
    return await buyer.post("/orders", body, 202, Idempotency_Key="order-1")


async def test_a_purchase_on_the_deployment_of_market_toml(short_folder: Path) -> None:
    with up(elsewhere(MARKET, short_folder), short_folder / "data") as running:
        await _buy(running.said["url"])


async def _buy(url: str) -> None:
    async with clients(url) as make:
        buyer = make("buyer")
        card = next(card for card in (await buyer.get("/products"))["items"] if card["in_stock"])
        product = await buyer.get(f"/products/{card['id']}")
        variant = next(variant for variant in product["variants"] if variant["available"])
        guest = await buyer.post("/cart/items", {"variant_id": variant["id"], "quantity": 2})
        buyer.headers["X-Cart-Token"] = guest["token"]
        await buyer.register("new.buyer@example.org", name="Bea Buyer")
        cart = await buyer.get("/cart")
        assert [(item["variant_id"], item["quantity"]) for item in cart["items"]] == [(variant["id"], 2)]
        placed = await _order(buyer)
        order = await buyer.until(f"/orders/{placed['id']}", lambda one: one["status"] != "pending", 30)
        assert order["status"] == "confirmed"
        assert (await buyer.get("/cart"))["items"] == []
