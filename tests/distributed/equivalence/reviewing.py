"""What people say of what has arrived, and what becomes of that."""

from __future__ import annotations

from typing import Any

from tests.distributed.equivalence.acts import act
from tests.distributed.equivalence.selling import picture
from tests.distributed.equivalence.world import Review, World

TEXTS = ("It does what it should.", "Leaks a little.", "Buy cheaper at http://spam.example now", "Fine.", "")


@act(8)
async def write_review(world: World) -> bool | None:
    """Of a line that was delivered, or of one that was not."""
    delivered = [order for order in world.orders if order.seen and order.buyer.email and _arrived(order.seen)]
    order = world.one(delivered) if world.often(0.9) else world.one([one for one in world.orders if one.buyer.email])
    if order is None:
        return False
    line = world.chance.choice([line for package in order.seen["packages"] for line in package["items"]])
    product = next((each for each in world.products if each.id == line["product_id"]), None)
    if product is None:
        return False
    rating, text = world.chance.choice([1, 3, 4, 5, 5]), world.chance.choice(TEXTS)
    body = {"rating": rating, "title": f"Act {world.act}", "text": text, "order_item_id": line["id"]}
    made = await world.ask(order.buyer, "POST", f"/products/{product.id}/reviews", body)
    await world.rest()
    if made.status == 202:
        world.reviews.append(Review(made.body["id"], order.buyer, product))
        await world.ask(order.buyer, "GET", f"/reviews/{made.body['id']}")
    await world.ask(None, "GET", f"/products/{product.id}/reviews?limit=3")
    return None


def _arrived(order: Any) -> bool:
    return any(package["status"] in {"delivered", "completed"} for package in order["packages"])


@act(3)
async def read_reviews(world: World) -> None:
    product = world.one([each.product for each in world.reviews]) or world.one(world.products)
    assert product is not None
    sort = world.chance.choice(["newest", "helpful", "rating", "-rating"])
    await world.ask(None, "GET", f"/products/{product.id}/reviews?sort={sort}&limit=2")
    await world.ask(product.seller, "GET", f"/reviews?product_id={product.id}")


@act(2)
async def look_at_own(world: World) -> None:
    buyer = world.one(world.buyers)
    await world.ask(buyer, "GET", "/me/reviews")
    await world.ask(buyer, "GET", "/moderation")


@act(3)
async def change_review(world: World) -> bool | None:
    if (review := world.one(world.reviews)) is None:
        return False
    path = f"/reviews/{review.id}"
    if world.often(0.2):
        await world.ask(review.author, "DELETE", path)
    else:
        body = {"rating": world.chance.choice([2, 4]), "text": world.chance.choice(TEXTS)}
        await world.ask(review.author, "PATCH", path, body)
    await world.rest()
    await world.ask(review.author, "GET", path)
    await world.ask(None, "GET", f"/products/{review.product.id}")
    return None


@act(1)
async def give_picture_of_it(world: World) -> bool | None:
    if (review := world.one(world.reviews)) is None:
        return False
    await world.ask(review.author, "POST", f"/reviews/{review.id}/images", files=(("it.png", picture(world)),))
    await world.rest()
    await world.ask(review.author, "GET", f"/reviews/{review.id}")
    return None


@act(4)
async def vote(world: World) -> bool | None:
    """By anybody: once counts, of one's own does not."""
    if (review := world.one(world.reviews)) is None:
        return False
    await world.ask(world.one(world.buyers), world.chance.choice(["POST", "POST", "DELETE"]), f"/reviews/{review.id}/votes")
    await world.rest()
    await world.ask(None, "GET", f"/reviews/{review.id}")
    return None


@act(2)
async def report(world: World) -> bool | None:
    if (review := world.one(world.reviews)) is None:
        return False
    await world.ask(world.one(world.buyers), "POST", f"/reviews/{review.id}/reports", {"reason": "It is abuse."})
    await world.rest()
    await world.ask(None, "GET", f"/reviews/{review.id}")
    return None


@act(3)
async def reply(world: World) -> bool | None:
    if (review := world.one(world.reviews)) is None:
        return False
    seller = review.product.seller if world.often(0.8) else world.one([each for each in world.sellers if each.shop])
    await world.ask(seller, "POST", f"/reviews/{review.id}/reply", {"text": f"Thank you, says act {world.act}."})
    await world.rest()
    await world.ask(None, "GET", f"/reviews/{review.id}")
    return None


@act(3)
async def appeal(world: World) -> bool | None:
    """Of the first thing of one's own that may be appealed."""
    person = world.one([*world.buyers, *(each for each in world.sellers if each.shop)])
    found = await world.ask(person, "GET", "/moderation")
    for item in found.body["items"] if found.status == 200 else []:
        if item["appealable"]:
            await world.ask(person, "POST", f"/moderation/{item['id']}/appeal", {"text": "Let it stand."})
            await world.rest()
            await world.ask(person, "GET", "/moderation")
            break
    return None
