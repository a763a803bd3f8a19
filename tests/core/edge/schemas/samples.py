"""For each operation a request that succeeds, made of what is in the world. One that is named here in no way takes
nothing but the right token."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from marketplace_core.testing.client import Client
from marketplace_core.testing.contracts.hooks import signed
from marketplace_core.testing.shop import ADDRESS, PASSWORD
from marketplace_core.values import AUDIENCES, new_id
from tests.core.edge.schemas.world import World

__all__ = ["Sample", "sample_of"]

STANDING = "standing"


@dataclass
class Sample:
    """``body``: what JSON is made of, else bytes; None for none. ``token``: another than that of the right caller."""

    path: dict[str, str] = field(default_factory=dict)
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    token: str | None = STANDING


Maker = Callable[[World, str], Awaitable[Sample]]

_MAKERS: dict[tuple[str, str], tuple[Maker, int]] = {}


def sample(*operations: str, on: tuple[str, ...], most: int = 1_000_000) -> Callable[[Maker], Maker]:
    """``most``: how many are made, where one takes long; the last is then used again."""

    def declare(maker: Maker) -> Maker:
        for audience in on:
            _MAKERS.update({(audience, operation): (maker, most) for operation in operations})
        return maker

    return declare


def sample_of(audience: str, operation: str) -> tuple[Maker, int]:
    """What makes the samples of ``POST /orders``, and how many of them."""
    return _MAKERS.get((audience, operation), (_nothing, 1))


async def _nothing(world: World, audience: str) -> Sample:
    return Sample()


def _token(client: Client) -> str:
    return client.headers["Authorization"]


# ── auth ─────────────────────────────────────────────────────────────────────────────────────────────────────


@sample("POST /auth/register", on=("buyer", "seller"))
async def _register(world: World, audience: str) -> Sample:
    return Sample(body={"email": world.email(), "password": PASSWORD, "name": "Ada"})


@sample("POST /auth/login", on=AUDIENCES)
async def _log_in(world: World, audience: str) -> Sample:
    return Sample(body={"email": world.emails[audience], "password": PASSWORD})


@sample("POST /auth/refresh", on=AUDIENCES)
async def _refresh(world: World, audience: str) -> Sample:
    return Sample(body={"refresh_token": (await world.again(audience))["session"]["refresh_token"]})


@sample("POST /auth/logout", on=AUDIENCES)
async def _log_out(world: World, audience: str) -> Sample:
    return Sample(token=f"Bearer {(await world.again(audience))['session']['access_token']}")


@sample("DELETE /auth/sessions/{id}", on=AUDIENCES)
async def _end_session(world: World, audience: str) -> Sample:
    client = world.shop.make(audience)
    await client.log_in(world.emails[audience])
    sessions = (await client.get("/auth/sessions?limit=100"))["items"]
    return Sample({"id": next(session["id"] for session in sessions if session["current"])})


@sample("POST /auth/password", on=AUDIENCES)
async def _change_password(world: World, audience: str) -> Sample:
    body = {"password": PASSWORD, "new_password": "another fine battery"}
    return Sample(body=body, token=_token(await world.somebody(audience)))


@sample("GET /api-keys", on=("seller", "logistics", "admin"))
async def _list_keys(world: World, audience: str) -> Sample:
    return Sample()


@sample("POST /api-keys", on=("seller", "logistics", "admin"))
async def _create_key(world: World, audience: str) -> Sample:
    return Sample(body={"name": "program", **({"audience": "admin"} if audience == "admin" else {})})


@sample("DELETE /api-keys/{id}", on=("seller", "logistics", "admin"))
async def _revoke_key(world: World, audience: str) -> Sample:
    made = await world.people[audience].post("/api-keys", (await _create_key(world, audience)).body, 201)
    return Sample({"id": made["id"]})


@sample("POST /accounts/{id}/disable", "POST /accounts/{id}/enable", on=("admin",))
async def _account(world: World, audience: str) -> Sample:
    client = await world.somebody("buyer")
    return Sample({"id": (await client.get("/me"))["id"]}, {"reason": "fraud"})


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────


@sample("PATCH /me", on=AUDIENCES)
async def _profile(world: World, audience: str) -> Sample:
    return Sample(body={"name": "Ada", "locale": "en-GB", "preferences": {"theme": "dark"}})


@sample("POST /me/addresses", on=AUDIENCES)
async def _add_address(world: World, audience: str) -> Sample:
    return Sample(body=ADDRESS)


@sample("GET /me/addresses/{id}", "PATCH /me/addresses/{id}", on=AUDIENCES)
async def _address(world: World, audience: str) -> Sample:
    return Sample({"id": world.addresses[audience]["id"]}, {"city": "Bonn"})


@sample("DELETE /me/addresses/{id}", on=AUDIENCES)
async def _delete_address(world: World, audience: str) -> Sample:
    return Sample({"id": (await world.people[audience].post("/me/addresses", ADDRESS, 201))["id"]})


# ── shops ────────────────────────────────────────────────────────────────────────────────────────────────────


@sample("POST /applications", on=("seller",))
async def _apply(world: World, audience: str) -> Sample:
    draft = {"name": "Lamp", "legal_name": "Lamp Ltd", "country": "DE", "contact_email": "lamp@example.org"}
    return Sample(body=draft, token=_token(await world.somebody("seller")))


@sample("POST /applications/current/requirements/{key}", on=("seller",))
async def _submit(world: World, audience: str) -> Sample:
    client, _ = await world.applied(submitted=False)
    return Sample({"key": "terms"}, {"value": "accepted"}, token=_token(client))


@sample("PATCH /shop", on=("seller",))
async def _shop(world: World, audience: str) -> Sample:
    return Sample(body={"description": "Kettles."})


@sample("GET /sellers/{id}", on=("buyer",))
async def _seller(world: World, audience: str) -> Sample:
    return Sample({"id": (await world.people["seller"].get("/shop"))["id"]})


@sample("POST /sellers/applications/{id}/accept", "POST /sellers/applications/{id}/reject", on=("admin",))
async def _application(world: World, audience: str) -> Sample:
    _, application = await world.applied()
    return Sample({"id": application["id"]}, {"reason": "no shop"})


@sample(*(f"POST /sellers/applications/{{id}}/requirements/{{key}}/{d}" for d in ("accept", "reject", "waive")), on=("admin",))
async def _requirement(world: World, audience: str) -> Sample:
    _, application = await world.applied()
    return Sample({"id": application["id"], "key": "identity"}, {"reason": "seen"})


@sample("POST /sellers/{id}/suspend", on=("admin",))
async def _suspend(world: World, audience: str) -> Sample:
    return Sample({"id": await world.other_shop()}, {"reason": "fraud"})


@sample("POST /sellers/{id}/reinstate", on=("admin",))
async def _reinstate(world: World, audience: str) -> Sample:
    id_ = await world.other_shop()
    await world.shop.admin.post(f"/sellers/{id_}/suspend", {"reason": "fraud"})
    return Sample({"id": id_}, {"reason": "no fraud"})


# ── the catalogue ────────────────────────────────────────────────────────────────────────────────────────────


@sample("GET /products/{id}", on=("buyer", "seller"))
async def _product(world: World, audience: str) -> Sample:
    return Sample({"id": world.product["id"]})


@sample("POST /products", on=("seller",))
async def _create_product(world: World, audience: str) -> Sample:
    return Sample(body=world.draft())


async def _created(world: World) -> str:
    return str((await world.people["seller"].post("/products", world.draft(), 201))["id"])


@sample("PATCH /products/{id}", on=("seller",))
async def _update_product(world: World, audience: str) -> Sample:
    return Sample({"id": await _created(world)}, {"title": "Jug"})


@sample("DELETE /products/{id}", "POST /products/{id}/publish", on=("seller",))
async def _draft(world: World, audience: str) -> Sample:
    return Sample({"id": await _created(world)})


@sample("POST /products/{id}/archive", on=("seller",))
async def _archive(world: World, audience: str) -> Sample:
    id_ = await _created(world)
    await world.people["seller"].post(f"/products/{id_}/publish", None, 202)
    return Sample({"id": id_})


@sample("POST /stock", on=("seller",))
async def _stock(world: World, audience: str) -> Sample:
    return Sample(body={"items": [{"sku": "TEA-POT", "delta": 1}, {"sku": "UNKNOWN", "quantity": 1}]})


@sample("POST /prices", on=("seller",))
async def _prices(world: World, audience: str) -> Sample:
    price = {"amount": 2495, "currency": "EUR"}
    return Sample(body={"items": [{"sku": "TEA-POT", "price": price}, {"sku": "UNKNOWN", "price": price}]})


@sample("POST /categories", on=("admin",))
async def _create_category(world: World, audience: str) -> Sample:
    return Sample(body={"name": f"Shelf {world.number()}", "parent_id": world.category["id"]})


@sample("PATCH /categories/{id}", on=("admin",))
async def _update_category(world: World, audience: str) -> Sample:
    return Sample({"id": world.category["id"]}, {"name": "Kitchen"})


@sample("DELETE /categories/{id}", on=("admin",))
async def _delete_category(world: World, audience: str) -> Sample:
    body = {"name": f"Shelf {world.number()}", "parent_id": None}
    return Sample({"id": (await world.shop.admin.post("/categories", body, 201))["id"]})


# ── carts and orders ─────────────────────────────────────────────────────────────────────────────────────────


@sample("POST /cart/items", on=("buyer",))
async def _add_item(world: World, audience: str) -> Sample:
    return Sample(body=world.line(), token=None)


@sample("PATCH /cart/items/{variant_id}", "DELETE /cart/items/{variant_id}", on=("buyer",))
async def _item(world: World, audience: str) -> Sample:
    guest = await world.guest()
    return Sample({"variant_id": world.line()["variant_id"]}, {"quantity": 2}, guest.headers, None)


@sample("POST /checkout/quote", on=("buyer",))
async def _quote(world: World, audience: str) -> Sample:
    return Sample(body={"country": "DE", "postal_code": "10115"}, headers=(await world.guest()).headers, token=None)


@sample("POST /orders", on=("buyer",), most=8)
async def _order(world: World, audience: str) -> Sample:
    guest = await world.guest()
    body = {**await world.order_body(guest), "email": "guest@example.org"}
    return Sample(body=body, headers={**guest.headers, "Idempotency-Key": f"guest-{world.number()}"}, token=None)


@sample(*(f"GET /orders/{{id}}{more}" for more in ("", "/payment", "/events")), on=("buyer", "admin"))
async def _one_order(world: World, audience: str) -> Sample:
    return Sample({"id": world.order["id"]})


@sample("POST /orders/{id}/cancel", on=("buyer", "admin"), most=3)
async def _cancel(world: World, audience: str) -> Sample:
    return Sample({"id": (await world.confirmed())["id"]}, {"reason": "too late", "items": None})


@sample("GET /orders/{id}", on=("seller",))
async def _package(world: World, audience: str) -> Sample:
    return Sample({"id": world.package["id"]})


@sample("POST /orders/{id}/ship", on=("seller",), most=3)
async def _ship(world: World, audience: str) -> Sample:
    package = await world.package_of(await world.confirmed())
    return Sample({"id": package["id"]}, {"items": None, "carrier": None, "service": None, "tracking_number": None})


@sample("POST /orders/{id}/decline", on=("seller",), most=3)
async def _decline(world: World, audience: str) -> Sample:
    package = await world.package_of(await world.confirmed())
    return Sample({"id": package["id"]}, {"reason": "broken", "items": None})


# ── money, parcels, operators ────────────────────────────────────────────────────────────────────────────────


def _signed(world: World, event: dict[str, Any]) -> tuple[bytes, dict[str, str]]:
    headers, body = signed(json.dumps(event).encode(), f"msg_{new_id()}", world.shop.market.clock.now())
    return body, headers


@sample("POST /webhooks/payments/{gateway}", on=("buyer",))
async def _payment_webhook(world: World, audience: str) -> Sample:
    data = {"payment": "unknown", "reference": "unknown", "amount": {"amount": 1, "currency": "EUR"}}
    body, headers = _signed(world, {"type": "payment.authorized", "data": data})
    return Sample({"gateway": "simulator"}, body, headers, None)


@sample("POST /webhooks/carriers/{carrier}", on=("logistics",))
async def _carrier_webhook(world: World, audience: str) -> Sample:
    data = {"tracking_number": world.shipment["tracking_number"], "code": "in_transit", "location": "Bonn"}
    at = world.shop.market.clock.now().isoformat()
    body, headers = _signed(world, {"type": "shipment.event", "data": {**data, "occurred_at": at}})
    return Sample({"carrier": "simulator"}, body, headers, None)


@sample("GET /tracking/{token}", on=("buyer",))
async def _tracking(world: World, audience: str) -> Sample:
    return Sample({"token": world.shipment["tracking_token"]})


@sample("GET /shipments/{id}", "GET /shipments/{id}/label", on=("seller", "logistics", "admin"))
async def _shipment(world: World, audience: str) -> Sample:
    return Sample({"id": world.shipment["id"]})


@sample("POST /shipments/{id}/events", on=("logistics",))
async def _event(world: World, audience: str) -> Sample:
    return Sample({"id": world.shipment["id"]}, {"code": "in_transit", "location": "Berlin"})


async def _shipped(world: World) -> tuple[Any, Any]:
    """A new order, and the shipment of it."""
    order = await world.confirmed()
    package = await world.package_of(order)
    shipment = await world.people["seller"].post(f"/orders/{package['id']}/ship", None, 202)
    await world.shop.market.settle(failures=True)
    return order, shipment


@sample("POST /shipments/{id}/retry", on=("admin",), most=1)
async def _retry_shipment(world: World, audience: str) -> Sample:
    await world.shop.carriers.fault("create", "decline")
    return Sample({"id": (await _shipped(world))[1]["id"]})


@sample("GET /payments/{id}", on=("admin",))
async def _payment(world: World, audience: str) -> Sample:
    return Sample({"id": world.order["id"]})


@sample("POST /payments/{id}/operations/{operation_id}/retry", on=("admin",), most=1)
async def _retry_operation(world: World, audience: str) -> Sample:
    await world.shop.payments.fault("capture", "decline")
    order, _ = await _shipped(world)
    payment = await world.shop.admin.get(f"/payments/{order['id']}")
    refused = next(operation for operation in payment["operations"] if operation["status"] == "failed")
    return Sample({"id": payment["id"], "operation_id": refused["id"]})
