"""What is asked wrongly, and what is not for who asks."""

from __future__ import annotations

from typing import Any

from marketplace_core.testing.shop import ADDRESS
from tests.distributed.equivalence.acts import act
from tests.distributed.equivalence.world import World

NOBODYS = "01900000-0000-7000-8000-000000000000"

_BUYERS: list[tuple[str, str, Any]] = [
    ("GET", "/nothing/here", None),
    ("PUT", "/products", {}),
    ("GET", f"/products/{NOBODYS}", None),
    ("GET", f"/orders/{NOBODYS}", None),
    ("GET", "/products?limit=none", None),
    ("GET", "/products?sort=colour&limit=0", None),
    ("GET", "/products?cursor=broken", None),
    ("GET", "/search?q=kettle&kind=planets&min_price=-1", None),
    ("GET", "/search?attr.=x&sort=weight", None),
    ("GET", "/feed?cursor=AAAA", None),
    ("POST", "/cart/items", {"variant_id": NOBODYS, "quantity": 1}),
    ("POST", "/cart/items", {"variant_id": 7, "quantity": "many", "colour": "red"}),
    ("POST", "/cart/items", {"quantity": -1}),
    ("POST", "/checkout/quote", {"address": {**ADDRESS, "country": "XX", "postal_code": ""}}),
    ("POST", "/orders", {"payment": {"method": "card", "token": "tok_ok"}}),
    ("POST", f"/orders/{NOBODYS}/cancel", {"reason": "x"}),
    ("PATCH", "/me", {"locale": "klingon", "name": ""}),
    ("POST", "/me/addresses", {**ADDRESS, "postal_code": None, "planet": "earth"}),
    ("POST", "/events", {"items": [{"type": "stare", "product_id": NOBODYS}]}),
    ("POST", f"/products/{NOBODYS}/reviews", {"rating": 9, "title": "x" * 300, "order_item_id": NOBODYS}),
    ("POST", f"/reviews/{NOBODYS}/votes", None),
    ("GET", "/tracking/nothing", None),
    ("POST", "/webhooks/payments/nobody", {"type": "payment.captured"}),
]
_SELLERS: list[tuple[str, str, Any]] = [
    ("GET", f"/products/{NOBODYS}", None),
    ("POST", "/products", {"title": "", "variants": []}),
    ("POST", "/products", {"title": "Kettle", "variants": [{"sku": "A"}, {"sku": "A", "price": {"amount": -1}}]}),
    ("POST", "/stock", {"items": [{"sku": "A"}, {"sku": "B", "quantity": -1}]}),
    ("POST", "/prices", {"items": []}),
    ("POST", f"/orders/{NOBODYS}/ship", None),
    ("GET", "/orders?created_after=yesterday", None),
    ("POST", "/applications", {"name": "Another", "legal_name": "A", "country": "DE", "contact_email": "none"}),
    ("GET", "/reports/sales?interval=hour&from=2020-13-01", None),
    ("PUT", f"/products/{NOBODYS}/images", {"ids": ["a", "a"]}),
]
_ADMINS: list[tuple[str, str, Any]] = [
    ("POST", f"/sellers/{NOBODYS}/suspend", {"reason": "x"}),
    ("POST", f"/moderation/{NOBODYS}/decide", {"decision": "maybe"}),
    ("POST", f"/moderation/{NOBODYS}/claim", None),
    ("POST", "/categories", {"name": "", "parent_id": NOBODYS}),
    ("GET", f"/sagas/{NOBODYS}", None),
    ("POST", f"/sagas/{NOBODYS}/retry", None),
    ("GET", "/reports/sales?currency=ABC", None),
    ("POST", "/clock", {"advance": -5}),
    ("POST", "/clock", {"advance": "5 parsecs"}),
    ("DELETE", f"/jobs/{NOBODYS}", None),
]


@act(8)
async def ask_wrongly(world: World) -> None:
    persons = {"buyer": world.one(world.buyers), "seller": world.one([one for one in world.sellers if one.shop])}
    audience = world.chance.choice(["buyer", "buyer", "seller", "admin"])
    requests = {"buyer": _BUYERS, "seller": _SELLERS, "admin": _ADMINS}[audience]
    for method, path, body in world.chance.sample(requests, 3):
        await world.ask(persons.get(audience, world.admin), method, path, body)


@act(2)
async def write_no_json(world: World) -> None:
    raw = world.chance.choice([b'{"quantity": 1', b"[1]", b"\xff\xfe", b"", b'{"a":' * 200])
    headers = {"Content-Type": world.chance.choice(["application/json", "application/json", "text/plain"])}
    await world.ask(world.one(world.buyers), "POST", "/cart/items", raw=raw, headers=headers)


@act(2)
async def ask_without_right(world: World) -> None:
    """As nobody, with nonsense, and with a token for another audience."""
    buyer = world.one(world.buyers)
    assert buyer is not None
    await world.ask(None, "GET", "/me")
    await world.ask(None, "GET", "/orders", headers={"Authorization": "Bearer nonsense"})
    await world.ask(buyer, "GET", "/me")
    for audience in ("seller", "admin", "logistics"):
        await world.ask(None, "GET", "/me", audience=audience, headers=dict(buyer.headers))


@act(2)
async def log_in_wrongly(world: World) -> None:
    person = world.one(world.buyers)
    assert person is not None
    for email, password in ((person.email, "wrong battery"), (world.email("nobody"), "correct horse battery"), ("", "")):
        await world.ask(None, "POST", "/auth/login", {"email": email, "password": password})
    body = {"email": person.email, "password": "correct horse battery", "name": "Twice"}
    await world.ask(None, "POST", "/auth/register", body)
    await world.ask(None, "POST", "/auth/register", {"email": "no address", "password": "x", "name": ""})


@act(3)
async def ask_for_what_is_others(world: World) -> bool | None:
    order = world.one(world.orders)
    if order is None:
        return False
    other = world.one([each for each in world.buyers if each is not order.buyer])
    await world.ask(other, "GET", f"/orders/{order.id}")
    await world.ask(other, "POST", f"/orders/{order.id}/cancel", {"reason": "not mine"})
    for package in order.seen["packages"][:1] if order.seen else []:
        stranger = world.one([each for each in world.sellers if each.shop and each.shop != package["seller"]["id"]])
        await world.ask(stranger, "GET", f"/orders/{package['id']}")
        await world.ask(stranger, "POST", f"/orders/{package['id']}/ship")
    return None


@act(2)
async def use_key_twice(world: World) -> None:
    """The same request, and then another, with one key."""
    buyer = world.one(world.buyers)
    headers = {"Idempotency-Key": f"twice-{world.mark}-{world.act}"}
    for city in ("Berlin", "Berlin", "Bonn"):
        await world.ask(buyer, "POST", "/me/addresses", {**ADDRESS, "city": city}, headers=headers)
