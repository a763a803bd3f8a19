"""What carriers and operators do."""

from __future__ import annotations

from typing import Any

from marketplace_core.values import utc_text
from tests.distributed.equivalence.acts import act
from tests.distributed.equivalence.shopping import see
from tests.distributed.equivalence.world import Order, World

CODES = ("in_transit", "out_for_delivery", "delivered", "delivered", "exception")

# ── carriers ─────────────────────────────────────────────────────────────────────────────────────────────────


def _parcels(world: World) -> list[tuple[Order, Any]]:
    return [
        (order, parcel)
        for order in world.orders
        for parcel in order.shipments.values()
        if parcel["tracking_number"] is not None
    ]


@act(12)
async def carry(world: World) -> bool | None:
    """By the carrier's own webhook, or by its person."""
    waiting = [(order, parcel) for order, parcel in _parcels(world) if parcel["status"] != "delivered"]
    if (found := world.one(waiting or _parcels(world))) is None:
        return False
    order, parcel = found
    code = world.chance.choice(CODES)
    if world.often(0.6):
        await world.simulate("carriers", f"/shipments/{parcel['tracking_number']}/advance", {"code": code})
    else:
        body = {"code": code, "location": "Berlin", "occurred_at": utc_text(world.now)}
        await world.ask(world.courier, "POST", f"/shipments/{parcel['id']}/events", body)
        await world.rest()
    shown = await world.ask(world.courier, "GET", f"/shipments/{parcel['id']}")
    if shown.status == 200:
        parcel["status"] = shown.body["status"]
    await see(world, order)
    return None


@act(1, whole=True)
async def look_at_parcels(world: World) -> None:
    reply = await world.ask(world.courier, "GET", f"/shipments?limit={world.chance.choice([2, 20])}")
    if reply.status == 200 and reply.body["items"]:
        await world.ask(world.courier, "GET", f"/shipments/{world.one(reply.body['items'])['id']}/label")


# ── shops ────────────────────────────────────────────────────────────────────────────────────────────────────


@act(2)
async def decide_application(world: World) -> bool | None:
    if not world.applicants:
        return False
    person, application = world.applicants.pop(0)
    path = f"/sellers/applications/{application}"
    if world.often(0.3):
        await world.ask(world.admin, "POST", f"{path}/requirements/identity/reject", {"reason": "It cannot be read."})
    verdict = world.chance.choice(["accept", "accept", "reject"])
    await world.ask(world.admin, "POST", f"{path}/{verdict}", {"reason": "No shop."} if verdict == "reject" else None)
    await world.rest()
    await world.ask(person, "GET", "/applications/current")
    shop = await world.ask(person, "GET", "/shop")
    if shop.status == 200:
        person.shop = shop.body["id"]
    return None


@act(2)
async def suspend_or_reinstate(world: World) -> None:
    """What it offers is gone at once, or there again."""
    seller = world.one([each for each in world.sellers if each.shop])
    assert seller is not None
    verb = world.chance.choice(["suspend", "reinstate", "reinstate"])
    await world.ask(world.admin, "POST", f"/sellers/{seller.shop}/{verb}", {"reason": "fraud"})
    product = world.one([each for each in world.products if each.seller is seller])
    if product is not None:
        await world.ask(None, "GET", f"/products/{product.id}")
    await world.rest()
    if verb == "suspend":
        await world.ask(None, "GET", f"/sellers/{seller.shop}")
        if world.often(0.8):
            await world.ask(world.admin, "POST", f"/sellers/{seller.shop}/reinstate", {"reason": "It was not."})


@act(2, whole=True)
async def look_at_sellers(world: World) -> None:
    await world.ask(world.admin, "GET", "/sellers?limit=5")
    await world.ask(world.admin, "GET", "/sellers/applications?limit=5")


@act(2)
async def keep_categories(world: World) -> None:
    kind = world.chance.choice(["make", "rename", "end"])
    if kind == "make" or len(world.categories) < 3:
        body = {"name": world.named(f"Shelf {world.act}"), "parent_id": world.one(world.categories[:2])}
        made = await world.ask(world.admin, "POST", "/categories", body)
        if made.status == 201:
            world.categories.append(made.body["id"])
    elif kind == "rename":
        path = f"/categories/{world.one(world.categories)}"
        await world.ask(world.admin, "PATCH", path, {"name": world.named(f"Shelf {world.act}")})
    else:
        await world.ask(world.admin, "DELETE", f"/categories/{world.categories.pop()}")


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────


@act(3)
async def look_into_order(world: World) -> bool | None:
    """It, its payment, its parcels and its saga."""
    if (order := world.one(world.orders)) is None:
        return False
    seen = await world.ask(world.admin, "GET", f"/orders/{order.id}")
    if seen.status == 200 and seen.body["payment"]:
        await world.ask(world.admin, "GET", f"/payments/{seen.body['payment']['id']}")
    for id_ in order.shipments:
        await world.ask(world.admin, "GET", f"/shipments/{id_}")
    await world.ask(world.admin, "GET", f"/sagas/{order.id}")
    return None


@act(1)
async def cancel_for_buyer(world: World) -> bool | None:
    if (order := world.one(world.orders)) is None:
        return False
    await world.ask(world.admin, "POST", f"/orders/{order.id}/cancel", {"reason": "asked by telephone"})
    await world.rest()
    await see(world, order)
    return None


@act(3, whole=True)
async def look_at_all(world: World) -> None:
    """A list of an operator's."""
    paths = ("/orders?limit=3", "/orders?status=confirmed", "/sagas?limit=5", "/accounts?limit=5", "/events/dead", "/jobs")
    await world.ask(world.admin, "GET", world.chance.choice(paths))


@act(2)
async def look_for_account(world: World) -> None:
    person = world.one([*world.buyers, *world.sellers])
    assert person is not None
    found = await world.ask(world.admin, "GET", f"/accounts?email={person.email}")
    if found.body["items"] and person in world.buyers and world.often(0.4):
        path = f"/accounts/{found.body['items'][0]['id']}"
        await world.ask(world.admin, "POST", f"{path}/disable", {"reason": "fraud"})
        await world.ask(person, "GET", "/me")
        person.headers = {}
        await world.log_in(person)
        await world.ask(world.admin, "POST", f"{path}/enable", {"reason": "no fraud"})
        await world.log_in(person)


@act(6, whole=True)
async def judge(world: World) -> None:
    """What the checks or somebody left for a person: claim it and decide, or decide several."""
    found = await world.ask(world.admin, "GET", "/moderation/queue?status=open&limit=20")
    items = found.body["items"]
    decision = world.chance.choice([{"decision": "approve"}, {"decision": "reject", "reason_code": "spam", "note": "no"}])
    if len(items) > 1 and world.often(0.3):
        rows = [{"id": item["id"], **decision} for item in items[:2]]
        await world.ask(world.admin, "POST", "/moderation/decide", {"items": rows})
    elif item := world.one(items):
        await world.ask(world.admin, "POST", f"/moderation/{item['id']}/claim")
        await world.ask(world.admin, "POST", f"/moderation/{item['id']}/decide", decision)
    await world.rest()
    await world.ask(world.admin, "GET", "/moderation/queue?limit=5")


@act(5, whole=True)
async def look_at_reports(world: World) -> None:
    names = ("sales", "funnel", "returns", "cohorts", "lateness", "search", "ratings", "moderation", "performance", "overview")
    interval = world.chance.choice(["day", "week", "month"])
    await world.ask(world.admin, "GET", f"/reports/{world.chance.choice(names)}?interval={interval}")
