"""What shoppers do: their accounts, carts, orders and what becomes of these."""

from __future__ import annotations

from typing import Any

from marketplace_core.testing.shop import ADDRESS
from tests.distributed.equivalence.acts import act
from tests.distributed.equivalence.beginning import register
from tests.distributed.equivalence.world import Order, Person, World

CARDS = ("tok_ok",) * 6 + ("tok_declined", "tok_3ds", "tok_3ds", "tok_slow", "tok_twice")


# ── accounts ─────────────────────────────────────────────────────────────────────────────────────────────────


@act(3)
async def register_buyer(world: World) -> None:
    """Half of them had been guests, and have a cart."""
    name = f"buyer{len(world.buyers)}"
    if world.often(0.5):
        await register(world, "buyer", name)
        return
    guest = await _guest(world)
    person = Person("buyer", world.email(name), name.title())
    body = {"email": person.email, "password": person.password, "name": person.name}
    reply = await world.ask(guest, "POST", "/auth/register", body)
    world.signed_in(person, reply.body["session"])
    world.buyers.append(person)
    await world.ask(person, "GET", "/cart")
    await world.ask(guest, "GET", "/cart")


@act(2)
async def log_in_again(world: World) -> None:
    person = world.one([*world.buyers, *world.sellers, world.courier])
    assert person is not None
    person.headers = {}
    await world.log_in(person)


@act(2)
async def log_out(world: World) -> None:
    person = world.one(world.buyers)
    assert person is not None
    await world.ask(person, "POST", "/auth/logout")
    await world.ask(person, "GET", "/me")
    person.headers = {}
    await world.log_in(person)


@act(2)
async def look_at_sessions(world: World) -> None:
    person = world.one([*world.buyers, *world.sellers])
    sessions = await world.ask(person, "GET", "/auth/sessions")
    others = [one["id"] for one in sessions.body["items"] if not one["current"]]
    if others and world.often(0.5):
        await world.ask(person, "DELETE", f"/auth/sessions/{world.one(others)}")


@act(1)
async def change_password(world: World) -> None:
    """All sessions end by it."""
    person = world.one(world.buyers)
    assert person is not None
    fresh = f"another battery {world.act}"
    await world.ask(person, "POST", "/auth/password", {"password": person.password, "new_password": fresh})
    await world.ask(person, "GET", "/me")
    person.password, person.headers = fresh, {}
    await world.log_in(person)


@act(3)
async def change_profile(world: World) -> None:
    person = world.one([*world.buyers, *world.sellers])
    me = await world.ask(person, "GET", "/me")
    body = world.chance.choice(
        [
            {"name": f"Bea {world.act}"},
            {"locale": "de-DE"},
            {"locale": None},
            {"preferences": {"personalised": world.often(0.7)}},
        ]
    )
    headers = {"If-Match": me.headers["ETag"]} if me.status == 200 and world.often(0.5) else {}
    await world.ask(person, "PATCH", "/me", body, headers=headers)
    await world.ask(person, "PATCH", "/me", body, headers=headers)


@act(3)
async def keep_addresses(world: World) -> None:
    person = world.one(world.buyers)
    assert person is not None
    if (known := world.one(person.addresses)) and world.often(0.6):
        if world.often(0.5):
            await world.ask(person, "PATCH", f"/me/addresses/{known}", {"city": "Bonn", "phone": "+49 228 1"})
        else:
            await world.ask(person, "DELETE", f"/me/addresses/{known}")
            person.addresses.remove(known)
    else:
        made = await world.ask(person, "POST", "/me/addresses", {**ADDRESS, "line1": f"{world.act} Test Street"})
        if made.status == 201:
            person.addresses.append(made.body["id"])
    await world.ask(person, "GET", "/me/addresses")


# ── carts ────────────────────────────────────────────────────────────────────────────────────────────────────


async def _guest(world: World) -> Person:
    """Somebody without an account, with a cart."""
    guest = Person("buyer", "", "Guest")
    made = await world.ask(guest, "POST", "/cart/items", {"variant_id": _variant(world), "quantity": 1})
    guest.headers = {"X-Cart-Token": made.body["token"]} if made.status == 200 else {}
    return guest


def _variant(world: World) -> str:
    product = world.one(world.products)
    assert product is not None
    return world.chance.choice(product.variants)


@act(8)
async def put_into_cart(world: World) -> None:
    buyer = world.one(world.buyers)
    for _ in range(world.chance.choice([1, 1, 2])):
        line = {"variant_id": _variant(world), "quantity": world.chance.choice([1, 1, 2, 3, 40])}
        await world.ask(buyer, "POST", "/cart/items", line)


@act(3)
async def change_cart(world: World) -> None:
    buyer = world.one(world.buyers)
    cart = await world.ask(buyer, "GET", "/cart")
    line = world.one(cart.body["items"])
    path = f"/cart/items/{line['variant_id'] if line else _variant(world)}"
    if world.often(0.3):
        await world.ask(buyer, "DELETE", path)
    else:
        await world.ask(buyer, "PATCH", path, {"quantity": world.chance.choice([0, 1, 2, 5])})


# ── orders ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _quoted(world: World, buyer: Person) -> Any:
    """A quote that can be ordered by; None where there is none."""
    quote = await world.ask(buyer, "POST", "/checkout/quote", {"address": ADDRESS})
    if quote.status != 200 or not quote.body["packages"] or not all(one["selected"] for one in quote.body["packages"]):
        return None
    return quote.body


@act(2)
async def ask_for_quote(world: World) -> None:
    buyer = world.one(world.buyers)
    body = world.chance.choice(
        [{"address": ADDRESS}, {"country": "DE", "postal_code": "10115"}, {"country": "FR", "postal_code": "75001"}, {}]
    )
    await world.ask(buyer, "POST", "/checkout/quote", body)


@act(14)
async def place_order(world: World) -> None:
    """Fill the cart, ask what it costs, order; perhaps the request is sent twice."""
    guest = world.often(0.15)
    buyer = await _guest(world) if guest else world.one(world.buyers)
    assert buyer is not None
    for _ in range(world.chance.choice([1, 1, 2, 3])):
        line = {"variant_id": _variant(world), "quantity": world.chance.choice([1, 1, 2])}
        await world.ask(buyer, "POST", "/cart/items", line)
    quote = await _quoted(world, buyer)
    card = world.chance.choice(CARDS)
    if quote is None:
        await world.ask(buyer, "DELETE", f"/cart/items/{_variant(world)}")
        return
    body = {
        "address": ADDRESS,
        "shipping": {package["seller_id"]: package["selected"] for package in quote["packages"]},
        "payment": {"method": "card", "token": card, "return_url": "https://shop.example/return"},
        "expected_total": quote["total"],
        **({"email": world.email(f"guest{world.act}")} if guest else {}),
    }
    if world.often(0.08):
        body["expected_total"] = {**quote["total"], "amount": quote["total"]["amount"] - 1}
    key = {"Idempotency-Key": f"order-{world.mark}-{world.act}"}
    placed = await world.ask(buyer, "POST", "/orders", body, headers=key)
    await world.rest()
    if world.often(0.2):
        await world.ask(buyer, "POST", "/orders", body, headers=key)
    if placed.status != 202:
        return
    headers = {"X-Order-Token": placed.body["token"]} if guest else {}
    order = Order(placed.body["id"], buyer, headers, card)
    world.orders.append(order)
    await see(world, order)


async def see(world: World, order: Order) -> Any:
    """It as its buyer sees it now."""
    reply = await world.ask(order.buyer, "GET", f"/orders/{order.id}", headers=order.headers)
    if reply.status == 200:
        order.seen = reply.body
    return order.seen


@act(3)
async def go_on_at_bank(world: World) -> bool | None:
    """What the holder of a card does at 3-D Secure."""
    waiting = [order for order in world.orders if order.seen and order.seen["status"] == "pending" and _action(order)]
    if (order := world.one(waiting)) is None:
        return False
    challenge = _action(order)["url"].rsplit("/", 1)[-1]
    await world.simulate(
        "payments", f"/challenges/{challenge}", {"outcome": world.chance.choice(["succeed", "succeed", "fail"])}
    )
    await see(world, order)
    return None


def _action(order: Order) -> Any:
    return (order.seen["payment"] or {}).get("action")


@act(4)
async def look_at_orders(world: World) -> None:
    buyer = world.one(world.buyers)
    reply = await world.ask(buyer, "GET", f"/orders?limit={world.chance.choice([2, 20])}")
    if reply.status == 200 and reply.body["next"]:
        await world.ask(buyer, "GET", f"/orders?limit=2&cursor={reply.body['next']}")


@act(4)
async def look_at_order(world: World) -> bool | None:
    if (order := world.one(world.orders)) is None:
        return False
    await see(world, order)
    await world.ask(order.buyer, "GET", f"/orders/{order.id}/payment", headers=order.headers)
    if order.seen["status"] in {"completed", "cancelled", "failed"}:
        await world.ask(order.buyer, "GET", f"/orders/{order.id}/events", headers=order.headers)
    return None


@act(4)
async def cancel_order(world: World) -> bool | None:
    """All of it or a line, in whatever state it is."""
    if (order := world.one(world.orders)) is None:
        return False
    body: dict[str, Any] = {"reason": "changed my mind"}
    lines = [line for package in order.seen["packages"] for line in package["items"]]
    if world.often(0.4) and (line := world.one(lines)):
        body["items"] = [{"item_id": line["id"], "quantity": 1}]
    await world.ask(order.buyer, "POST", f"/orders/{order.id}/cancel", body, headers=order.headers)
    await world.rest()
    await see(world, order)
    return None


@act(1)
async def look_at_methods(world: World) -> None:
    await world.ask(None, "GET", "/payment-methods")


@act(2)
async def follow_parcel(world: World) -> bool | None:
    parcels = [parcel for order in world.orders for parcel in order.shipments.values()]
    if (parcel := world.one(parcels)) is None:
        return False
    await world.ask(None, "GET", f"/tracking/{parcel['tracking_token']}")
    return None
