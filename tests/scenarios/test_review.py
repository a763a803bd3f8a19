"""A review from the parcel's arrival to the stars of product and shop, over public HTTP only."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.testing.client import Client
from marketplace_core.testing.shop import Shop


async def received(shop: Shop, seller: Client, buyer: Client, product: Any, key: str) -> str:
    """The product is bought, sent and delivered; gives the line."""
    placed = await shop.order(buyer, [(product, 1)], key=key)
    order = await shop.ended(buyer, placed["id"])
    [package] = order["packages"]
    line: str = package["items"][0]["id"]
    body = {"rating": 5, "order_item_id": line}
    early = await buyer.post(f"/products/{product['id']}/reviews", body, 409)
    assert early["code"] == "reviews.not_delivered"
    shipment = await seller.post(f"/orders/{package['id']}/ship", None, 202)
    ready = await seller.until(f"/shipments/{shipment['id']}", lambda one: one["status"] == "label_created")
    for code in ("in_transit", "delivered"):
        await shop.carriers.call("POST", f"/shipments/{ready['tracking_number']}/advance", {"code": code})
    await buyer.until(f"/orders/{order['id']}", lambda one: one["status"] == "delivered")
    await shop.market.settle()
    return line


@pytest.mark.behaviour("reviews-1", "reviews-2")
async def test_review(shop: Shop) -> None:
    kettle = await shop.open_seller("Kettle")
    pot = await shop.list_product(kettle, "Samovar", 2495)
    buyer = await shop.buyer()
    line = await received(shop, kettle, buyer, pot, "order-1")

    of_pot = f"/products/{pot['id']}/reviews"
    body = {"rating": 4, "title": "Holds tea", "text": "It does.", "order_item_id": line}
    answer = await buyer.send("POST", of_pot, body)
    assert answer.status == 202 and answer.body["status"] == "pending"
    path = answer.headers["Location"]
    assert path.endswith(f"/reviews/{answer.body['id']}")
    path = f"/reviews/{answer.body['id']}"
    own = await buyer.until(path, lambda one: one["status"] == "published")
    assert (own["rating"], own["author"], own["verified"], own["reply"]) == (4, "Bea B.", True, None)
    assert (await buyer.post(of_pot, body, 409))["code"] == "reviews.already_written"

    guest = shop.make("buyer")
    seller_id = (await kettle.get("/shop"))["id"]
    page = await guest.until(of_pot, lambda one: one["rating"]["count"] == 1)
    assert [review["id"] for review in page["items"]] == [own["id"]] and page["rating"]["average"] == 4.0
    rated = {"average": 4.0, "count": 1}
    await guest.until(f"/products/{pot['id']}", lambda one: one["rating"] == rated)
    [card] = (await guest.get(f"/products?seller={seller_id}"))["items"]
    assert card["rating"] == rated
    found = f"/search?q=samovar&seller={seller_id}&sort=rating"
    await guest.until(found, lambda one: [card["rating"] for card in one["items"]] == [rated])
    await guest.until(f"/sellers/{seller_id}", lambda one: one["rating"] == rated)

    other = await shop.buyer("eve@example.org")
    for _ in range(2):
        await other.post(f"{path}/votes", None, 204)
    assert (await buyer.post(f"{path}/votes", None, 403))["code"] == "reviews.own"
    await other.post(f"{path}/reports", {"reason": "It is a kettle."}, 204)
    [seen] = (await kettle.get("/reviews?replied=false"))["items"]
    assert seen["helpful"] == 1
    await kettle.post(f"{path}/reply", {"text": "Thank you!"}, 201)
    assert (await kettle.post(f"{path}/reply", {"text": "Thanks!"}, 409))["code"] == "reviews.already_replied"
    lamp = await shop.open_seller("Lamp")
    assert (await lamp.get("/reviews"))["items"] == []
    await lamp.post(f"{path}/reply", {"text": "Buy a lamp!"}, 404)

    await other.patch(path, {"rating": 1}, 404)
    await buyer.patch(path, {"rating": 2}, 202)
    await guest.until(f"/products/{pot['id']}", lambda one: one["rating"] == {"average": 2.0, "count": 1})
    [review] = (await guest.get(f"{of_pot}?sort=-rating&rating=2"))["items"]
    assert (review["title"], review["helpful"], review["reply"]["text"]) == ("Holds tea", 1, "Thank you!")
    [mine] = (await buyer.get("/me/reviews"))["items"]
    assert mine == review

    await buyer.delete(path, 202)
    await guest.until(f"/products/{pot['id']}", lambda one: one["rating"] == {"average": None, "count": 0})
    await buyer.get(path, 404)
    assert (await buyer.get("/me/reviews"))["items"] == []
    await guest.until(f"/sellers/{seller_id}", lambda one: one["rating"]["count"] == 0)
