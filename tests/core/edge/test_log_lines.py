"""What stands in the logs of the API and of the worker while people come in, buy, sell and make mistakes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from marketplace_core.adapters.postgres import UniqueViolation
from marketplace_core.testing.client import Client
from marketplace_core.testing.servers import Servers
from marketplace_core.testing.shop import Shop

PERSON = {
    "name": "Beatrix Quillfeather",
    "line1": "77 Marmalade Crescent",
    "line2": "Third floor left",
    "city": "Wolfenbuttel",
    "region": "Lower Saxony",
    "postal_code": "38300",
    "country": "DE",
    "phone": "+49 170 5550123",
}
EMAIL, GUEST = "beatrix.quillfeather@example.org", "guest.person@example.org"
PASSWORD, NEW_PASSWORD, WRONG = "turnip lantern orchid", "walnut sextant bramble", "gossamer kettle fjord"


@pytest.fixture
def runner() -> str:
    return "wire"


class Secrets:
    """Whatever must not be found, with a name by which a failing test tells it."""

    def __init__(self) -> None:
        self.known: dict[str, str] = {}

    def add(self, **values: str) -> None:
        self.known |= {name: value for name, value in values.items() if value}

    def session(self, who: str, body: Any) -> None:
        self.add(**{f"{who}'s {kind}": body["session"][kind] for kind in ("access_token", "refresh_token")})

    def in_lines(self, lines: list[str]) -> list[tuple[str, str]]:
        return [(name, line) for line in lines for name, value in self.known.items() if value.lower() in line.lower()]


@pytest.mark.behaviour("all-6")
async def test_no_line_tells_a_secret_or_anything_of_a_person(
    json_logs: pytest.CaptureFixture[str], shop: Shop, marketplace_servers: Servers
) -> None:
    """Neither of ours nor of the servers that keep it."""
    logs = [server.log for server in (marketplace_servers.postgres, marketplace_servers.lasting, marketplace_servers.cache)]
    before = [path.stat().st_size for path in logs]
    secrets = Secrets()
    secrets.add(password=PASSWORD, new_password=NEW_PASSWORD, wrong_password=WRONG, email=EMAIL, guest=GUEST)
    secrets.add(**{f"address.{field}": value for field, value in PERSON.items() if field not in ("country", "postal_code")})
    buyer = shop.make("buyer")
    await _come_in(buyer, secrets)
    seller = await shop.open_seller("Kettle")
    secrets.add(seller="kettle@example.org", identity="passport X123")
    for person, name in ((seller, "erp"), (shop.courier, "depot")):
        made = await person.post("/api-keys", {"name": name}, 201)
        secrets.add(**{f"key {name}": made["key"]})
        program = shop.make(person.audience)
        program.headers["Authorization"] = f"Bearer {made['key']}"
        await program.get("/orders" if person is seller else "/shipments")
        await program.get("/me", 403)
        await person.delete(f"/api-keys/{made['id']}")
        await program.get("/api-keys", 401)
    await _buy(shop, buyer, seller, secrets)
    await _buy_as_a_guest(shop, secrets)
    await _mistakes(shop, buyer)
    await shop.admin.get(f"/accounts?email={EMAIL}")
    await shop.admin.get(f"/orders?email={EMAIL}")
    await buyer.post("/auth/logout", None, 204)
    await shop.market.settle()

    lines = json_logs.readouterr().err.splitlines()
    events = [json.loads(line) for line in lines]
    requests = [event for event in events if event["event"] == "request"]
    assert len(requests) > 60
    assert {"buyer", "seller", "logistics", "admin"} <= {event["audience"] for event in requests}
    assert {200, 201, 202, 204, 401, 403, 404, 409, 422} <= {event["status"] for event in requests}
    assert len(secrets.known) > 20
    assert secrets.in_lines(lines) == []
    for path, size in zip(logs, before, strict=True):
        with path.open(errors="replace") as file:
            file.seek(size)
            assert secrets.in_lines(file.read().splitlines()) == [], path.name


async def _come_in(buyer: Client, secrets: Secrets) -> None:
    """Every flow of a login, also those that fail."""
    body = {"email": EMAIL, "password": PASSWORD, "name": PERSON["name"]}
    secrets.session("registered", await buyer.post("/auth/register", body, 201))
    await buyer.post("/auth/register", body, 409)
    await buyer.post("/auth/login", {"email": EMAIL, "password": WRONG}, 401)
    await buyer.post("/auth/login", {"email": EMAIL, "password": PASSWORD, "hint": WRONG}, 422)
    signed = await buyer.log_in(EMAIL, PASSWORD)
    secrets.session("first", signed)
    rotated = await buyer.post("/auth/refresh", {"refresh_token": signed["session"]["refresh_token"]})
    secrets.session("refreshed", {"session": rotated})
    await buyer.post("/auth/refresh", {"refresh_token": signed["session"]["refresh_token"]}, 401)
    secrets.session("second", await buyer.log_in(EMAIL, PASSWORD))
    await buyer.post("/auth/password", {"password": PASSWORD, "new_password": NEW_PASSWORD}, 204)
    await buyer.get("/auth/sessions", 401)
    secrets.session("third", await buyer.log_in(EMAIL, NEW_PASSWORD))


async def _buy(shop: Shop, buyer: Client, seller: Client, secrets: Secrets) -> None:
    product = await shop.list_product(seller, "Tea Pot", 2495)
    address = await buyer.post("/me/addresses", PERSON, 201)
    await buyer.post("/cart/items", {"variant_id": product["variants"][0]["id"], "quantity": 1})
    quote = await buyer.post("/checkout/quote", {"address_id": address["id"]})
    body = {**shop.order_body(quote, "tok_ok"), "address": PERSON}
    order = await shop.ended(buyer, (await buyer.post("/orders", body, 202, Idempotency_Key="order-key-1"))["id"])
    assert order["status"] == "confirmed"
    [package] = (await seller.get("/orders"))["items"]
    shipment = await seller.post(f"/orders/{package['id']}/ship", None, 202)
    ready = await seller.until(f"/shipments/{shipment['id']}", lambda one: one["status"] == "label_created")
    secrets.add(tracking=ready["tracking_token"])
    tracking = f"/tracking/{ready['tracking_token']}"
    await shop.make("buyer").get(tracking)
    for method, wrong in (("POST", tracking), ("GET", f"{tracking}/"), ("GET", f"{tracking}/events"), ("GET", f"/{tracking}")):
        answer = await shop.make("buyer").send(method, wrong)
        assert answer.status in (404, 405), wrong
    assert (await buyer.send("GET", f"/orders/{EMAIL}")).status == 404
    database = shop.market.process.resources.database("main")
    with pytest.raises(UniqueViolation):  # whatever statement brings it
        await database.execute("UPDATE auth.accounts SET email_normal = $1", EMAIL)
    await shop.carriers.call("POST", f"/shipments/{ready['tracking_number']}/advance", {"code": "delivered"})
    await buyer.until(f"/orders/{order['id']}", lambda one: one["status"] == "delivered")


async def _buy_as_a_guest(shop: Shop, secrets: Secrets) -> None:
    guest = shop.make("buyer")
    cart = await guest.get("/cart")
    guest.headers["X-Cart-Token"] = cart["token"]
    product = (await guest.get("/products"))["items"][0]
    variant = (await guest.get(f"/products/{product['id']}"))["variants"][0]["id"]
    await guest.post("/cart/items", {"variant_id": variant, "quantity": 1})
    quote = await guest.post("/checkout/quote", {"address": PERSON})
    body = {**shop.order_body(quote, "tok_declined"), "address": PERSON, "email": GUEST}
    placed = await guest.post("/orders", body, 202, Idempotency_Key="guest-key-1")
    secrets.add(cart=cart["token"], order=placed["token"])
    path = f"/orders/{placed['id']}"
    await guest.until(path, lambda order: order["status"] == "failed", X_Order_Token=placed["token"])
    await guest.get(path, 404, X_Order_Token=placed["token"][:-2])


async def _mistakes(shop: Shop, buyer: Client) -> None:
    stranger = shop.make("buyer")
    stranger.headers["Authorization"] = buyer.headers["Authorization"][:-3]
    await stranger.get("/me", 401)
    stranger.headers["Authorization"] = "Bearer " + WRONG.replace(" ", "")
    await stranger.get("/me", 401)
    await buyer.post("/me/addresses", {**PERSON, "country": PERSON["phone"]}, 422)
    answer = await buyer.send("POST", "/me/addresses", raw=json.dumps(PERSON)[:-1].encode())
    assert answer.status in (400, 415)
    await buyer.post("/orders", {"email": GUEST, "address": PERSON}, 400)
