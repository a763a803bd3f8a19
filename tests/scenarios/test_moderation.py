"""A review and a product from what was written to what a person decides, appeals included, over public HTTP only."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.client import Client, clients
from marketplace_core.testing.shop import PASSWORD, Shop
from tests.scenarios.test_review import received

HELD = "Cheaper by mail: kettle@example.org"


async def moderator(shop: Shop, name: str) -> Client:
    registration = Registration(f"{name}{shop.mark}@example.org", PASSWORD, name.title())
    await shop.market.port(Auth).ensure_account(registration, ("moderator",))
    client = shop.make("admin")
    await client.log_in(f"{name}@example.org")
    return client


async def item_of(shop: Shop, who: Client, kind: str, subject_id: str) -> Any:
    """What waits of a subject, once all is at rest. Others' items are in the queue too, so that it is in no transcript."""
    await shop.market.settle()
    async with clients(shop.market.audiences) as make:
        reader = make("admin")
        reader.headers.update(who.headers)
        page = await reader.get(f"/moderation/queue?kind={kind}&limit=100")
    [item] = [item for item in page["items"] if item["subject_id"] == subject_id]
    return item


@pytest.mark.behaviour("moderation-1")
async def test_moderation(shop: Shop) -> None:
    kettle = await shop.open_seller("Kettle")
    pot = await shop.list_product(kettle, "Judged teapot", 2495)
    buyer, guest = await shop.buyer(), shop.make("buyer")
    line = await received(shop, kettle, buyer, pot, "order-1")
    mod, other = await moderator(shop, "mod"), await moderator(shop, "other")

    written = await buyer.post(f"/products/{pot['id']}/reviews", {"rating": 5, "text": HELD, "order_item_id": line}, 202)
    item = await item_of(shop, mod, "review", written["id"])
    assert item["status"] == "open" and item["snapshot"]["text"] == HELD
    assert [score["check"] for score in item["scores"]] == ["contact"]
    await guest.get(f"/reviews/{written['id']}", 404)

    path = f"/moderation/{item['id']}"
    assert (await mod.post(f"{path}/claim", None))["status"] == "claimed"
    assert (await other.post(f"{path}/claim", None, 409))["code"] == "moderation.claimed"
    assert (await mod.post(f"{path}/decide", {"decision": "reject"}, 422))["code"] == "validation"
    await mod.post(f"{path}/decide", {"decision": "reject", "reason_code": "contact", "note": "A mail address."})
    assert (await other.post(f"{path}/decide", {"decision": "approve"}, 409))["code"] == "moderation.decided"
    rejected = await buyer.until(f"/reviews/{written['id']}", lambda one: one["status"] == "rejected")
    assert rejected["reason_code"] == "contact"

    [own] = (await buyer.get("/moderation"))["items"]
    assert (own["id"], own["decision"], own["appealable"]) == (item["id"], "reject", True)
    await kettle.post(f"{path}/appeal", {"text": "Let it stand."}, 404)
    await buyer.post(f"{path}/appeal", {"text": "It is their own address."})
    assert (await buyer.post(f"{path}/appeal", {"text": "Again."}, 409))["code"] == "moderation.appealed"
    assert (await mod.post(f"{path}/claim", None, 403))["code"] == "moderation.own_decision"
    await other.post(f"{path}/decide", {"decision": "approve"})
    rated = {"average": 5.0, "count": 1}
    await guest.until(f"/products/{pot['id']}", lambda one: one["rating"] == rated)

    await kettle.patch(f"/products/{pot['id']}", {"description": HELD})
    waiting = await item_of(shop, mod, "product", pot["id"])
    await kettle.until(f"/products/{pot['id']}", lambda one: one["status"] == "in_review")
    await guest.get(f"/products/{pot['id']}", 404)
    asked = [{"id": waiting["id"], "decision": "approve"}, {"id": item["id"], "decision": "approve"}]
    results = (await mod.post("/moderation/decide", {"items": asked}))["items"]
    assert [(one["status"], one["code"]) for one in results] == [(200, None), (409, "moderation.decided")]
    await kettle.until(f"/products/{pot['id']}", lambda one: one["status"] == "published")
    await guest.until(f"/products/{pot['id']}", lambda one: one["description"] == HELD)
    await mod.get("/accounts", 403)
