"""Samples of what buyers say of what has arrived."""

from __future__ import annotations

from typing import Any

from marketplace_core.values import new_id
from tests.core.edge.schemas.samples import Sample, sample
from tests.core.edge.schemas.world import World


async def _arrived(world: World) -> str:
    """The line of a new order of the buyer's that was delivered."""
    order = await world.confirmed()
    package = await world.package_of(order)
    seller = world.people["seller"]
    made = await seller.post(f"/orders/{package['id']}/ship", None, 202)
    ready = await seller.until(f"/shipments/{made['id']}", lambda one: one["status"] == "label_created")
    await world.shop.carriers.advance(ready["tracking_number"], "delivered")
    await world.people["buyer"].until(f"/orders/{order['id']}", lambda one: one["status"] == "delivered")
    await world.shop.market.settle(failures=True)
    line: str = order["packages"][0]["items"][0]["id"]
    return line


async def _new(world: World) -> str:
    """A published review of the buyer's; gives its id."""
    body = {"rating": 4, "title": "Holds tea", "order_item_id": await _arrived(world)}
    made = await world.people["buyer"].post(f"/products/{world.product['id']}/reviews", body, 202)
    await world.shop.market.settle(failures=True)
    id_: str = made["id"]
    return id_


async def _review(world: World) -> str:
    """One that stays."""
    if world.review is None:
        world.review = await _new(world)
    return world.review


@sample("GET /products/{id}/reviews", on=("buyer",))
async def _list(world: World, audience: str) -> Sample:
    return Sample({"id": world.product["id"]})


@sample("POST /products/{id}/reviews", on=("buyer",), most=1)
async def _write(world: World, audience: str) -> Sample:
    body: dict[str, Any] = {"rating": 5, "title": "", "text": "Fine.", "order_item_id": await _arrived(world)}
    return Sample({"id": world.product["id"]}, body)


@sample("GET /reviews/{id}", on=("buyer",))
async def _one(world: World, audience: str) -> Sample:
    return Sample({"id": await _review(world)})


@sample("PATCH /reviews/{id}", on=("buyer",))
async def _edit(world: World, audience: str) -> Sample:
    return Sample({"id": await _review(world)}, {"rating": 3, "title": "It leaks", "text": ""})


@sample("DELETE /reviews/{id}", on=("buyer",), most=1)
async def _delete(world: World, audience: str) -> Sample:
    return Sample({"id": await _new(world)})


@sample("POST /reviews/{id}/votes", "DELETE /reviews/{id}/votes", on=("buyer",))
async def _vote(world: World, audience: str) -> Sample:
    voter = await world.somebody("buyer")
    return Sample({"id": await _review(world)}, token=voter.headers["Authorization"])


@sample("POST /reviews/{id}/reports", on=("buyer",))
async def _report(world: World, audience: str) -> Sample:
    return Sample({"id": await _review(world)}, {"reason": "It is abuse."})


@sample("POST /reviews/{id}/reply", on=("seller",), most=1)
async def _reply(world: World, audience: str) -> Sample:
    return Sample({"id": await _new(world)}, {"text": "Thank you!"})


# ── pictures and what is judged: of what is not there, which is answered as a problem ────────────────────────

_UPLOAD = {"content-type": "multipart/form-data; boundary=cut"}


@sample("POST /reviews/{id}/images", on=("buyer",), most=1)
async def _picture_of_review(world: World, audience: str) -> Sample:
    return Sample({"id": await _review(world)}, b"--cut--\r\n", _UPLOAD)


@sample("POST /products/{id}/images", on=("seller",), most=1)
async def _picture_of_product(world: World, audience: str) -> Sample:
    return Sample({"id": world.product["id"]}, b"--cut--\r\n", _UPLOAD)


@sample("POST /moderation/{id}/appeal", on=("buyer", "seller"), most=1)
async def _appeal(world: World, audience: str) -> Sample:
    return Sample({"id": new_id()}, {"text": "Let it stand."})


@sample("POST /reviews/{id}/appeal", on=("buyer",), most=1)
async def _appeal_of_review(world: World, audience: str) -> Sample:
    return Sample({"id": await _review(world)}, {"text": "Let it stand."})


@sample("PUT /products/{id}/images", on=("seller",))
async def _order_of_pictures(world: World, audience: str) -> Sample:
    return Sample({"id": world.product["id"]}, {"ids": []})


@sample("DELETE /products/{id}/images/{image}", on=("seller",), most=1)
async def _picture(world: World, audience: str) -> Sample:
    return Sample({"id": world.product["id"], "image": new_id()})


@sample("POST /moderation/{id}/claim", "DELETE /moderation/{id}/claim", on=("admin",), most=1)
async def _claim(world: World, audience: str) -> Sample:
    return Sample({"id": new_id()})


@sample("POST /moderation/{id}/decide", on=("admin",), most=1)
async def _decide(world: World, audience: str) -> Sample:
    return Sample({"id": new_id()}, {"decision": "approve"})


@sample("POST /moderation/decide", on=("admin",))
async def _decide_many(world: World, audience: str) -> Sample:
    return Sample({}, {"items": [{"id": new_id(), "decision": "approve"}]})
