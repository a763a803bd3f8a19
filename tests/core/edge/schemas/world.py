"""A marketplace in which things have happened, so that ids exist; and everybody who may call."""

from __future__ import annotations

import itertools
import time
from typing import Any

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.client import Client
from marketplace_core.testing.shop import ADDRESS, PASSWORD, Shop

__all__ = ["RIGHT", "World"]

#: Who is right on each audience, by name: see :attr:`World.tokens`. The others are what a route has to refuse.
RIGHT = {
    "buyer": ("buyer",),
    "seller": ("seller", "key of the shop"),
    "logistics": ("courier", "key of the carrier"),
    "admin": ("admin", "key of the admin"),
}
ROLES = {"logistics": "courier:simulator", "admin": "admin"}
RENEWED_AFTER = 240.0  # an access token lives 600 s


class World:
    """``tokens`` are the values of ``Authorization`` by name; ``people`` the same accounts as clients, by audience."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.tokens: dict[str, str | None] = {"nobody": None, "nonsense": "Bearer nonsense"}
        self.people: dict[str, Client] = {"logistics": shop.courier, "admin": shop.admin}
        self.emails = {"logistics": "courier@example.org", "admin": "admin@example.org"}
        self.product: Any = None
        self.order: Any = None
        self.package: Any = None
        self.shipment: Any = None
        self.category: Any = None
        self.review: str | None = None
        self.addresses: dict[str, Any] = {}
        self._numbers = itertools.count(1)
        self._renewed = time.monotonic()

    @classmethod
    async def made(cls, shop: Shop) -> World:
        world = cls(shop)
        await world._open()
        await world._purchase()
        for audience, person in world.people.items():
            world.addresses[audience] = await person.post("/me/addresses", ADDRESS, 201)
        return world

    def number(self) -> int:
        return next(self._numbers)

    def email(self) -> str:
        return f"extra{self.number()}@example.org"

    async def _open(self) -> None:
        seller = await self.shop.open_seller("Kettle")
        self.people |= {"seller": seller, "buyer": await self.shop.buyer()}
        self.emails |= {"seller": "kettle@example.org", "buyer": "bea@example.org"}
        newcomer = await self.somebody("seller")
        self.tokens["without a shop"] = newcomer.headers["Authorization"]
        self._take_tokens()
        admin = {"name": "all", "audience": "admin"}
        for name, audience, body in (
            ("key of the shop", "seller", {"name": "erp"}),
            ("key of the carrier", "logistics", {"name": "depot"}),
            ("key of the admin", "admin", admin),
        ):
            made = await self.people[audience].post("/api-keys", body, 201)
            self.tokens[name] = f"Bearer {made['key']}"
        self.category = await self.shop.admin.post("/categories", {"name": "Kitchen"}, 201)

    async def _purchase(self) -> None:
        """A product, an order of it, its shipment with a label, and a cart with something in it."""
        self.product = await self.shop.list_product(self.people["seller"], "Tea Pot", 2495, stock=100_000)
        self.order = await self.confirmed()
        self.package = await self.package_of(self.order)
        made = await self.people["seller"].post(f"/orders/{self.package['id']}/ship", None, 202)
        path = f"/shipments/{made['id']}"
        self.shipment = await self.people["seller"].until(path, lambda one: one["status"] == "label_created")
        await self.people["buyer"].post("/cart/items", self.line())

    def _take_tokens(self) -> None:
        for name, audience in (("buyer", "buyer"), ("seller", "seller"), ("courier", "logistics"), ("admin", "admin")):
            self.tokens[name] = self.people[audience].headers["Authorization"]

    async def renew(self) -> None:
        """Log in again before the tokens run out."""
        if time.monotonic() - self._renewed > RENEWED_AFTER:
            for audience, person in self.people.items():
                await person.log_in(self.emails[audience])
            self._take_tokens()
            self._renewed = time.monotonic()

    # ── what samples are made of ─────────────────────────────────────────────────────────────────────────────

    async def somebody(self, audience: str) -> Client:
        """An account that a test may use up, logged in."""
        client = self.shop.make(audience)
        email = self.email()
        if audience in ROLES:
            auth = self.shop.market.port(Auth)
            await auth.ensure_account(Registration(email, PASSWORD, "Somebody"), (ROLES[audience],))
            await client.log_in(email)
        else:
            await client.register(email, name="Somebody")
        return client

    async def again(self, audience: str) -> Any:
        """Another session of the person of that audience: what a login answers."""
        return await self.shop.make(audience).log_in(self.emails[audience])

    def line(self, quantity: int = 1) -> dict[str, Any]:
        return {"variant_id": self.product["variants"][0]["id"], "quantity": quantity}

    async def guest(self) -> Client:
        """Somebody without an account and with a cart that holds one unit."""
        client = self.shop.make("buyer")
        client.headers["X-Cart-Token"] = (await client.post("/cart/items", self.line()))["token"]
        return client

    async def order_body(self, client: Client, card: str = "tok_ok") -> dict[str, Any]:
        quote = await client.post("/checkout/quote", {"address": ADDRESS})
        return self.shop.order_body(quote, card)

    async def placed(self, card: str = "tok_ok") -> Any:
        """A new order of the buyer's."""
        buyer = self.people["buyer"]
        await buyer.post("/cart/items", self.line())
        body = await self.order_body(buyer, card)
        return await buyer.post("/orders", body, 202, Idempotency_Key=f"order-{self.number()}")

    async def confirmed(self) -> Any:
        return await self.shop.ended(self.people["buyer"], (await self.placed())["id"])

    async def package_of(self, order: Any) -> Any:
        packages = (await self.people["seller"].get("/orders"))["items"]
        return next(package for package in packages if package["order_id"] == order["id"])

    async def applied(self, submitted: bool = True) -> tuple[Client, Any]:
        """Somebody who applies for a shop, and the application."""
        client = await self.somebody("seller")
        draft = {"name": f"Shop {self.number()}", "legal_name": "Shop Ltd", "country": "DE", "contact_email": "a@example.org"}
        application = await client.post("/applications", draft, 202)
        if submitted:
            await client.post("/applications/current/requirements/terms", {"value": "accepted"}, 202)
            await client.post("/applications/current/requirements/identity", {"value": "passport"}, 202)
        return client, application

    async def other_shop(self) -> str:
        """The id of a shop that may be suspended."""
        client, application = await self.applied()
        await self.shop.admin.post(f"/sellers/applications/{application['id']}/accept", None, 202)
        return str((await client.get("/shop"))["id"])

    def draft(self) -> dict[str, Any]:
        sku = f"POT-{self.number()}"
        return {"title": "Pot", "variants": [{"sku": sku, "price": {"amount": 100, "currency": "EUR"}, "stock": 1}]}
