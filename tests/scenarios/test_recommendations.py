"""What shoppers are shown without asking for it: the feed, what is like a product, what is for a person."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.testing.client import Client
from marketplace_core.testing.shop import Shop

NOBODY = "01900000-0000-7000-8000-000000000000"


async def _publish(seller: Client, title: str, category: Any, price: int = 1000) -> Any:
    variant = {"sku": title.upper().replace(" ", "-"), "price": {"amount": price, "currency": "EUR"}, "stock": 20}
    draft = {"title": title, "category_id": category["id"], "variants": [variant]}
    product = await seller.post("/products", draft, 201)
    return await seller.post(f"/products/{product['id']}/publish", None, 202)


def _titles(page: Any) -> list[str]:
    return [card["title"] for card in page["items"]]


@pytest.mark.behaviour("search-3")
async def test_feed(shop: Shop) -> None:
    """A category's feed, page by page, without what is sold out. Others sell other things on the same marketplace."""
    category = await shop.admin.post("/categories", {"name": f"Tea{shop.mark}"}, 201)
    sellers = [await shop.open_seller(name) for name in ("Ann", "Ben")]
    for number in range(2):
        for seller, name in zip(sellers, ("Ann", "Ben"), strict=True):
            await _publish(seller, f"{name} pot {number}", category)
    guest, path = shop.make("buyer"), f"/feed?category={category['id']}"
    whole = await guest.until(path, lambda page: len(page["items"]) == 4)
    assert {card["reason"]["code"] for card in whole["items"]} == {"new"}
    first = await guest.get(f"{path}&limit=3")
    rest = await guest.get(f"{path}&limit=3&cursor={first['next']}")
    assert _titles(first) + _titles(rest) == _titles(whole) and rest["next"] is None
    assert (await guest.get(f"/feed?cursor={first['next']}", 400))["code"] == "paging.bad_cursor"
    await sellers[0].post("/stock", {"items": [{"sku": "ANN-POT-1", "quantity": 0}]})
    # It is gone at once, and then what is left is mixed anew.
    await guest.until(path, lambda page: _titles(page) == ["Ben pot 1", "Ann pot 0", "Ben pot 0"], seconds=5.0)


@pytest.mark.behaviour("recommendations-1")
async def test_recommendations(shop: Shop) -> None:
    """A view changes the next page, also of somebody of whom nothing was known, and what is in the cart is not on it."""
    category = await shop.admin.post("/categories", {"name": f"Lamps{shop.mark}"}, 201)
    seller = await shop.open_seller("Ann")
    lamps = [await _publish(seller, f"Lamp {number}", category) for number in range(4)]
    buyer, guest = await shop.buyer(), shop.make("buyer")
    await guest.until(f"/feed?category={category['id']}", lambda page: len(page["items"]) == 4)
    cart = await guest.get("/cart")
    guest.headers["X-Cart-Token"] = cart["token"]
    for shopper in (buyer, guest):
        view = {"type": "view", "product_id": lamps[0]["id"], "source": "listing"}
        await shopper.post("/events", {"items": [view, {**view, "type": "impression"}]}, 202)
        page = await shopper.get("/recommendations?limit=2")
        assert _titles(page) == ["Lamp 3", "Lamp 2"]
        assert page["items"][0]["reason"] == {"code": "history", "product_id": lamps[0]["id"]}
        await shopper.post("/cart/items", {"variant_id": lamps[3]["variants"][0]["id"], "quantity": 1})
        assert _titles(await shopper.get("/recommendations?limit=1")) == ["Lamp 2"]
    # What people do has come together by now: what two of them put into their carts is the most popular.
    path = f"/products/{lamps[1]['id']}/similar?limit=1"
    similar = await shop.make("buyer").until(path, lambda page: _titles(page) == ["Lamp 3"])
    assert similar["items"][0]["reason"] == {"code": "similar", "product_id": lamps[1]["id"]}
    await buyer.get(f"/products/{NOBODY}/similar", 404)
    unknown = {"type": "stare", "product_id": lamps[0]["id"]}
    assert (await buyer.post("/events", {"items": [unknown]}, 422))["code"] == "validation"
