"""A marketplace as people meet it: what scenarios say in one line each, over public HTTP only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from marketplace_core.testing.client import Client
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator

__all__ = ["ADDRESS", "PASSWORD", "PLUGINS", "People", "Shop"]

PLUGINS = [
    "auth",
    "users",
    "sellers",
    "catalog",
    "search",
    "recommendations",
    "cart",
    "orders",
    "payments",
    "logistics",
    "reviews",
    "moderation",
    "orchestrator",
    "payments_simulator",
    "carriers_simulator",
]
PASSWORD = "correct horse battery"  # noqa: S105 - of a test
ADDRESS = {
    "name": "Bea Buyer",
    "line1": "1 Test Street",
    "line2": "",
    "city": "Berlin",
    "region": "",
    "postal_code": "10115",
    "country": "DE",
    "phone": "",
}


@dataclass(kw_only=True)
class People:
    """Who meets a marketplace: a client for each audience.

    ``mark`` is in the names of its shops, where others are on the marketplace too; ``page`` is where a bank sends back to.
    """

    make: Callable[[str], Client]
    admin: Client
    courier: Client
    mark: str = ""
    page: str = "https://shop.example/return"
    sellers: dict[str, Client] = field(default_factory=dict)

    async def open_seller(self, name: str) -> Client:
        """Apply, be accepted, and be known to the catalogue."""
        seller = self.make("seller")
        await seller.register(f"{name.lower()}@example.org", name=name)
        application = await seller.post(
            "/applications",
            {
                "name": name + self.mark,
                "legal_name": f"{name} Ltd",
                "country": "DE",
                "contact_email": f"{name.lower()}@example.org",
            },
            202,
        )
        await seller.post("/applications/current/requirements/terms", {"value": "accepted"}, 202)
        await seller.post("/applications/current/requirements/identity", {"value": "passport X123"}, 202)
        await self.admin.post(f"/sellers/applications/{application['id']}/accept", None, 202)
        self.sellers[name] = seller
        return seller

    async def list_product(self, seller: Client, title: str, price: int, stock: int = 20) -> Any:
        """A published product with one variant; as its seller sees it."""
        sku = title.upper().replace(" ", "-")
        variant = {"sku": sku, "price": {"amount": price, "currency": "EUR"}, "stock": stock}
        product = await seller.post("/products", {"title": title, "variants": [variant]}, 201)
        return await seller.post(f"/products/{product['id']}/publish", None, 202)

    async def buyer(self, email: str = "bea@example.org") -> Client:
        buyer = self.make("buyer")
        await buyer.register(email, name="Bea Buyer")
        return buyer

    async def order(self, buyer: Client, products: list[tuple[Any, int]], card: str = "tok_ok", key: str = "order-1") -> Any:
        """Fill the cart, ask what it costs, order; gives the order as it is answered."""
        for product, quantity in products:
            await buyer.post("/cart/items", {"variant_id": product["variants"][0]["id"], "quantity": quantity})
        quote = await buyer.post("/checkout/quote", {"address": ADDRESS})
        return await buyer.post("/orders", self.order_body(quote, card), 202, Idempotency_Key=key)

    def order_body(self, quote: Any, card: str) -> dict[str, Any]:
        return {
            "address": ADDRESS,
            "shipping": {package["seller_id"]: package["selected"] for package in quote["packages"]},
            "payment": {"method": "card", "token": card, "return_url": self.page},
            "expected_total": quote["total"],
        }

    async def ended(self, buyer: Client, order_id: str) -> Any:
        """The order once its checkout has ended."""
        return await buyer.until(f"/orders/{order_id}", lambda order: order["status"] != "pending")

    async def send(self, seller: Client) -> Any:
        """The seller's one package leaves; gives its shipment once that has a label."""
        [package] = (await seller.get("/orders"))["items"]
        shipment = await seller.post(f"/orders/{package['id']}/ship", None, 202)
        return await seller.until(f"/shipments/{shipment['id']}", lambda one: one["status"] == "label_created")


@dataclass(kw_only=True)
class Shop(People):
    """They and the marketplace that they meet, with its simulators, in the hands of a test."""

    market: Marketplace
    payments: Simulator
    carriers: Simulator

    async def ledger(self, order_id: str) -> list[tuple[str, int]]:
        """What really happened at the gateway: kinds and amounts, in order."""
        return [(row["kind"], row["amount"]["amount"]) for row in await self.payments.ledger(order_id)]
