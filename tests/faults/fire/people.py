"""The people of a run: sellers with stock that is known, shoppers who go through with their errands, and who operates it."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from marketplace_core.testing.shop import ADDRESS
from tests.faults.fire.client import NotAnswered, Patient, Tally
from tests.faults.fire.deployment import Standing
from tests.faults.fire.errands import Errand, Purchase

__all__ = ["Offer", "People", "Shopping", "Written", "open_shops"]

POLL_SECONDS = 0.2
STOCK, SCARCE_STOCK = 10_000, 5
#: How long a person waits for something that goes on by itself, in seconds.
PATIENCE = 300.0


@dataclass(frozen=True)
class Offer:
    """``variants`` in the order of the errands' numbers; the last is the scarce one. ``stock``: what each began with."""

    variants: tuple[str, ...]
    stock: dict[str, int]


@dataclass(frozen=True)
class Shopping:
    """What people do besides: ``reviews``, of what was delivered; ``market``, which has search and reports. ``page``: where a
    bank sends back to."""

    page: str = "https://shop.example/return"
    reviews: bool = False
    market: bool = False


@dataclass(frozen=True)
class Written:
    """A review that was accepted."""

    id: str
    product: str
    rating: int


@dataclass
class People:
    session: aiohttp.ClientSession
    standing: Standing
    admin: Patient
    tally: Tally
    sellers: dict[str, Patient] = field(default_factory=dict)
    shopping: Shopping = Shopping()
    written: list[Written] = field(default_factory=list)

    def person(self, audience: str, email: str) -> Patient:
        return Patient(self.session, self.standing.audiences[audience], self.tally, email)

    async def simulator(self, name: str, method: str, path: str, body: Any = None) -> Any:
        """Ask a simulator until it answers: what is asked of it may be asked again."""
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            try:
                async with (
                    asyncio.timeout(10),
                    self.session.request(method, self.standing.simulators[name] + path, json=body) as answer,
                ):
                    if answer.status < 500:
                        return await answer.json() if answer.content_type == "application/json" else answer.status
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(POLL_SECONDS)
        raise NotAnswered(f"the simulator of {name}: {method} {path}")

    # ── shoppers ─────────────────────────────────────────────────────────────────────────────────────────────

    async def checkout(self, buyer: Patient, errand: Errand, offer: Offer) -> Purchase:
        """From an empty cart to the end of the checkout."""
        purchase = Purchase(errand, str(buyer.email))
        for item in (await buyer.get("/cart"))["items"]:
            await buyer.expect("DELETE", f"/cart/items/{item['variant_id']}")
        for product, quantity in errand.lines:
            await buyer.expect("POST", "/cart/items", {"variant_id": offer.variants[product], "quantity": quantity})
        order = await self._place(buyer, purchase)
        if order is None:
            return purchase
        purchase.order, purchase.total = order["id"], order["total"]["amount"]
        purchase.packages = {package["id"]: package["total"]["amount"] for package in order["packages"]}
        purchase.sellers = tuple(package["seller"]["id"] for package in order["packages"])
        purchase.bought = {offer.variants[product]: quantity for product, quantity in errand.lines}
        if errand.challenge in {"succeed", "fail"}:
            order = await self.until(buyer, f"/orders/{order['id']}", _asks_or_ended)
            if order["status"] == "pending":
                challenge = order["payment"]["action"]["url"].rsplit("/", 1)[-1]
                await self.simulator("payments", "POST", f"/challenges/{challenge}", {"outcome": errand.challenge})
        if errand.challenge != "ignore":
            order = await self.until(buyer, f"/orders/{order['id']}", lambda one: one["status"] != "pending")
            if order["status"] == "confirmed":
                purchase.confirmed_at = time.monotonic()
                purchase.carts_left = len((await buyer.get("/cart"))["items"])
        return purchase

    async def _place(self, buyer: Patient, purchase: Purchase) -> Any:
        """The accepted order; None where it was refused for good."""
        errand = purchase.errand
        for attempt in range(1, 20):
            answer = await buyer.send("POST", "/checkout/quote", {"address": ADDRESS})
            quote = answer.body
            if answer.status == 200 and quote["packages"] and all(package["selected"] for package in quote["packages"]):
                purchase.asked_at = purchase.asked_at or time.monotonic()
                answer = await buyer.send(
                    "POST", "/orders", _body(quote, errand, self.shopping.page), key=f"order-{errand.number}-{attempt}"
                )
                if answer.status == 202:
                    return answer.body
            purchase.refused = f"{answer.status} {answer.body.get('code')}"
            if errand.scarce and "out_of_stock" in str(answer.body):
                return None
            await asyncio.sleep(POLL_SECONDS)
        raise AssertionError(f"errand {errand.number}: {answer.status} {answer.body}")

    async def until(self, person: Patient, path: str, good: Any) -> Any:
        until = time.monotonic() + PATIENCE
        while True:
            found = await person.get(path)
            if good(found):
                return found
            if time.monotonic() > until:
                raise NotAnswered(f"{path} after {PATIENCE:g} s: {found}")
            await asyncio.sleep(POLL_SECONDS)

    # ── afterwards ───────────────────────────────────────────────────────────────────────────────────────────

    async def afterwards(self, buyer: Patient, purchase: Purchase) -> None:
        """What becomes of a confirmed order."""
        path = f"/orders/{purchase.order}"
        if purchase.errand.afterwards == "cancel":
            await buyer.expect("POST", f"{path}/cancel", {"reason": "changed my mind"}, 202)
            purchase.cancelled = True
        elif purchase.errand.afterwards == "deliver":
            order = await buyer.get(path)
            await asyncio.gather(*(self._ship(package) for package in order["packages"]))
            purchase.shipped = tuple(package["id"] for package in order["packages"])
            await self.until(buyer, path, lambda one: one["status"] == "delivered")
            if self.shopping.reviews:
                await self._review(buyer, order["packages"][0]["items"][0], purchase.errand.number)

    async def _review(self, buyer: Patient, line: Any, number: int) -> None:
        """Once the reviews have heard of the parcel. Whoever asks again with its key is told of the same review."""
        rating = 1 + number % 5
        body = {
            "rating": rating,
            "title": f"Purchase {number}",
            "text": f"As told, number {number}.",
            "order_item_id": line["id"],
        }
        path, until = f"/products/{line['product_id']}/reviews", time.monotonic() + PATIENCE
        for attempt in itertools.count(1):
            answer = await buyer.send("POST", path, body, key=f"review-{number}-{attempt}")
            if answer.status == 202:
                self.written.append(Written(answer.body["id"], line["product_id"], rating))
                return
            if answer.body.get("code") != "reviews.not_delivered" or time.monotonic() > until:
                raise AssertionError(f"{path}: {answer.status} {answer.body}")
            await asyncio.sleep(POLL_SECONDS)

    async def _ship(self, package: Any) -> None:
        seller = self.sellers[package["seller"]["id"]]
        shipment = await seller.expect("POST", f"/orders/{package['id']}/ship", None, 202)
        path = f"/shipments/{shipment['id']}"
        ready = await self.until(seller, path, lambda one: one["status"] != "pending")
        for code in ("in_transit", "out_for_delivery", "delivered"):
            number = ready["tracking_number"]
            await self.simulator("carriers", "POST", f"/shipments/{number}/advance", {"code": code})
        await self.until(seller, path, lambda one: one["status"] == "delivered")

    # ── operators ────────────────────────────────────────────────────────────────────────────────────────────

    async def quiet(self) -> dict[str, int]:
        """Until nothing is under way any more. :raises AssertionError: something stays so; says what."""
        until = time.monotonic() + PATIENCE
        while True:
            answer = await self.admin.send("GET", "/quiesce")
            if answer.status == 200:
                counts: dict[str, int] = answer.body
                return counts
            if time.monotonic() > until:
                raise AssertionError(f"after {PATIENCE:g} s there still is {answer.body}")
            await asyncio.sleep(0.3)


def _asks_or_ended(order: Any) -> bool:
    return order["status"] != "pending" or (order["payment"] is not None and order["payment"]["action"] is not None)


def _body(quote: Any, errand: Errand, page: str) -> dict[str, Any]:
    return {
        "address": ADDRESS,
        "shipping": {package["seller_id"]: package["selected"] for package in quote["packages"]},
        "payment": {"method": "card", "token": errand.card, "return_url": page},
        "expected_total": quote["total"],
    }


async def open_shops(people: People, products: int) -> Offer:
    """Two sellers who share ``products`` among them, and a last product that is scarce."""
    variants: list[str] = []
    stock: dict[str, int] = {}
    shops = [await _open_shop(people, name) for name in ("Kettle", "Lamp")]
    for number in range(products + 1):
        seller = shops[number % 2]
        begins = SCARCE_STOCK if number == products else STOCK
        variant = {"sku": f"SKU-{number}", "price": {"amount": 1000 + 137 * number, "currency": "EUR"}, "stock": begins}
        made = await seller.expect("POST", "/products", {"title": f"Product {number}", "variants": [variant]}, 201)
        published = await seller.expect("POST", f"/products/{made['id']}/publish", None, 202)
        variants.append(published["variants"][0]["id"])
        stock[variants[-1]] = begins
    return Offer(tuple(variants), stock)


async def _open_shop(people: People, name: str) -> Patient:
    """Apply, be accepted, and be known to the catalogue."""
    email = f"{name.lower()}@example.org"
    seller = people.person("seller", email)
    await seller.register(name)
    body = {"name": name, "legal_name": f"{name} Ltd", "country": "DE", "contact_email": email}
    application = await seller.expect("POST", "/applications", body, 202)
    for requirement, value in (("terms", "accepted"), ("identity", "passport X123")):
        await seller.expect("POST", f"/applications/current/requirements/{requirement}", {"value": value}, 202)
    await people.admin.expect("POST", f"/sellers/applications/{application['id']}/accept", None, 202)
    people.sellers[(await seller.get("/shop"))["id"]] = seller
    return seller
