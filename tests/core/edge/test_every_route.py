"""Every route of all four audiences: no other audience's token or key opens it, and no id of somebody else is found there."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image

from marketplace_core._runtime.operator_routes import operations_router
from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.http.routing import Route
from marketplace_core.testing.client import Answer, Client
from marketplace_core.testing.shop import ADDRESS, PASSWORD, Shop
from marketplace_core.values import AUDIENCES, new_id

OTHERS = {audience: tuple(other for other in AUDIENCES if other != audience) for audience in AUDIENCES}

#: Bodies of routes that take no empty one: what is wrong with a body is said before whose the id is.
BODIES: dict[tuple[str, str], Any] = {
    ("buyer", "PATCH /cart/items/{variant_id}"): {"quantity": 1},
    ("seller", "POST /applications/current/requirements/{key}"): {"value": "x"},
    ("seller", "POST /orders/{id}/decline"): {"reason": "broken"},
    ("logistics", "POST /shipments/{id}/events"): {"code": "in_transit", "location": "Berlin"},
    ("admin", "POST /sellers/applications/{id}/reject"): {"reason": "x"},
    ("admin", "POST /sellers/{id}/suspend"): {"reason": "x"},
    ("admin", "POST /orders/{id}/cancel"): {"reason": "x"},
    ("buyer", "POST /reviews/{id}/reports"): {"reason": "x"},
    ("buyer", "POST /products/{id}/reviews"): {"rating": 5, "title": "x", "text": "x", "order_item_id": "x"},
    ("seller", "POST /reviews/{id}/reply"): {"text": "x"},
    ("seller", "PUT /products/{id}/images"): {"ids": []},
    ("buyer", "POST /moderation/{id}/appeal"): {"text": "x"},
    ("seller", "POST /moderation/{id}/appeal"): {"text": "x"},
    ("admin", "POST /moderation/{id}/decide"): {"decision": "approve"},
}
#: Those that take files: what is no file is said before whose the id is, too.
UPLOADS = frozenset({("seller", "POST /products/{id}/images"), ("buyer", "POST /reviews/{id}/images")})
#: Who keeps reviews does not know which products there are: one that is not there has no reviews, and nobody has bought it.
OTHERWISE = {
    ("buyer", "GET /products/{id}/reviews"): (200, None),
    ("buyer", "POST /products/{id}/reviews"): (409, "reviews.not_delivered"),
}


def routes(shop: Shop) -> Iterator[Route]:
    process = shop.market.process
    for router in (*process.routers(AUDIENCES), operations_router(process)):
        yield from router.routes


def shown(route: Route) -> str:
    return f"{route.method} {route.path}"


async def _people(shop: Shop) -> dict[str, Client]:
    """Somebody who is known on each audience."""
    seller = await shop.open_seller("Kettle")
    return {"buyer": await shop.buyer(), "seller": seller, "logistics": shop.courier, "admin": shop.admin}


@pytest.mark.behaviour("auth-2")
async def test_every_route_refuses_what_is_meant_for_another_audience(shop: Shop) -> None:
    people = await _people(shop)
    tokens = {audience: [person.headers["Authorization"]] for audience, person in people.items()}
    for audience in ("seller", "logistics"):
        made = await people[audience].post("/api-keys", {"name": "all"}, 201)
        tokens[audience].append(f"Bearer {made['key']}")
    made = await shop.admin.post("/api-keys", {"name": "all", "audience": "admin"}, 201)
    tokens["admin"].append(f"Bearer {made['key']}")
    asked, wrong = 0, []
    for route in routes(shop):
        if route.access == "open":
            continue  # a token that is sent along is not looked at: one comes in there
        client = shop.make(route.audience)
        path = route.path.format_map(dict.fromkeys(route.params, new_id()))
        for other in OTHERS[route.audience]:
            for token in tokens[other]:
                answer = await client.send(route.method, path, headers={"Authorization": token})
                asked += 1
                if (answer.status, answer.body.get("code")) != (401, "auth.wrong_audience"):
                    wrong.append((route.audience, shown(route), other, answer.status, answer.body))
        for token, code in ((None, "auth.required"), ("Bearer nonsense", "auth.token_invalid")):
            if token is None and route.access in ("anyone", "guest"):
                continue
            answer = await client.send(route.method, path, headers={"Authorization": token} if token else {})
            if (answer.status, answer.body.get("code")) != (401, code):
                wrong.append((route.audience, shown(route), code, answer.status, answer.body))
    assert not wrong
    assert asked > 400


# ── ids of others ────────────────────────────────────────────────────────────────────────────────────────────


async def _foreign_ids(shop: Shop) -> dict[tuple[str, str], str]:
    """What somebody has on each audience, by the beginning of the path under which it is."""
    seller = await shop.open_seller("Kettle")
    product = await shop.list_product(seller, "Tea Pot", 2495)
    seller_key = await seller.post("/api-keys", {"name": "erp"}, 201)
    courier_key = await shop.courier.post("/api-keys", {"name": "depot"}, 201)
    held = await seller.patch(f"/products/{product['id']}", {"description": "Cheaper: kettle@example.org"})
    await shop.market.settle()
    [judged, *_] = (await seller.get("/moderation"))["items"]
    await seller.patch(f"/products/{held['id']}", {"description": ""})
    await shop.market.settle()
    buyer = await shop.buyer()
    address = await buyer.post("/me/addresses", ADDRESS, 201)
    order = await shop.ended(buyer, (await shop.order(buyer, [(product, 1)]))["id"])
    [package] = (await seller.get("/orders"))["items"]
    shipment = await seller.post(f"/orders/{package['id']}/ship", None, 202)
    await seller.until(f"/shipments/{shipment['id']}", lambda one: one["status"] == "label_created")
    sessions = {
        audience: (await person.get("/auth/sessions"))["items"][0]["id"]
        for audience, person in (("buyer", buyer), ("seller", seller), ("logistics", shop.courier), ("admin", shop.admin))
    }
    addresses = {(audience, "/me/addresses/"): address["id"] for audience in AUDIENCES}
    return {
        **{(audience, "/auth/sessions/"): session for audience, session in sessions.items()},
        **addresses,
        ("buyer", "/orders/"): order["id"],
        ("seller", "/products/"): product["id"],
        ("seller", "/orders/"): package["id"],
        ("seller", "/shipments/"): shipment["id"],
        ("seller", "/api-keys/"): seller_key["id"],
        **{(audience, "/moderation/"): judged["id"] for audience in ("buyer", "seller")},
        ("logistics", "/shipments/"): shipment["id"],
        ("logistics", "/api-keys/"): courier_key["id"],
    }


#: Paths whose parameter is nobody's own: the same for all, or an operator's, so that an unknown one is asked for.
NOBODYS = {
    ("buyer", "/products/"),
    ("buyer", "/sellers/"),
    ("buyer", "/reviews/"),
    ("seller", "/reviews/"),
    ("buyer", "/tracking/"),
    ("buyer", "/cart/items/"),
    ("buyer", "/webhooks/payments/"),
    ("logistics", "/webhooks/carriers/"),
    ("seller", "/applications/current/requirements/"),
}


async def _strangers(shop: Shop) -> dict[str, Client]:
    auth = shop.market.port(Auth)
    people = {audience: shop.make(audience) for audience in AUDIENCES}
    await people["buyer"].register("eve@example.org")
    people["seller"] = await shop.open_seller("Lamp")
    for audience, role in (("logistics", "courier:other"), ("admin", "admin")):
        email = f"{audience}-eve@example.org"
        await auth.ensure_account(Registration(email, PASSWORD, "Eve"), (role,))
        await people[audience].log_in(email)
    return people


async def _uploaded(person: Client, path: str) -> Answer:
    drawn = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(drawn, "PNG")
    return Answer(404, await person.upload(path, [("red.png", drawn.getvalue())], 404), {})


@pytest.mark.behaviour("sellers-3", "all-2", "orders-4")
async def test_every_route_hides_what_belongs_to_others(shop: Shop) -> None:
    """404 and never 403: a stranger with all the rights of the same audience, and every id of somebody else."""
    ids = await _foreign_ids(shop)
    people = await _strangers(shop)
    walked, wrong = 0, []
    for route in routes(shop):
        if not route.params:
            continue
        beginning = route.path[: route.path.index("{")]
        id_ = ids.get((route.audience, beginning))
        if id_ is None:
            assert route.audience == "admin" or (route.audience, beginning) in NOBODYS, f"whose id is in {shown(route)}?"
            id_ = new_id()
        path = route.path.format_map(dict.fromkeys(route.params, id_))
        body = BODIES.get((route.audience, shown(route)), {} if route.method in ("POST", "PATCH") else None)
        person = people[route.audience]
        uploads = (route.audience, shown(route)) in UPLOADS
        answer = await (_uploaded(person, path) if uploads else person.send(route.method, path, body))
        walked += 1
        expected = OTHERWISE.get((route.audience, shown(route)), (404, "http.not_found"))
        if (answer.status, answer.body.get("code")) != expected:
            wrong.append((route.audience, shown(route), answer.status, answer.body))
        if route.audience == "buyer" and route.access == "guest" and not uploads:
            answer = await shop.make("buyer").send(route.method, path, body)
            if answer.status != 404:
                wrong.append((route.audience, "a guest", shown(route), answer.status, answer.body))
    assert not wrong
    assert walked > 40
