"""A marketplace over HTTP with an operator and a seller who are logged in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.capabilities.catalog import Catalog, SellerRef
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.testing.client import Client
from marketplace_core.testing.marketplace import Marketplace

PASSWORD = "correct horse battery"


POT = {
    "title": "Tea pot",
    "description": "Of iron.",
    "attributes": {"lid": True, "litres": 1.5},
    "variants": [
        {"sku": "pot-s", "options": {"size": "S"}, "price": {"amount": 1999, "currency": "EUR"}, "stock": 5},
        {
            "sku": "pot-l",
            "title": "Large",
            "options": {"size": "L"},
            "price": {"amount": 2999, "currency": "EUR"},
            "compare_at": {"amount": 3499, "currency": "EUR"},
        },
    ],
}


NOTHING_HELD = {"on_hand": 0, "reserved": 0, "available": 0}


class Street:
    """A marketplace with an operator and a seller who are logged in."""

    def __init__(self, market: Marketplace, make: Callable[[str], Client]) -> None:
        self.market, self.make = market, make
        self.catalog = market.port(Catalog)
        self.shopper, self.seller, self.admin = make("buyer"), make("seller"), make("admin")
        self.shop: SellerRef

    async def open(self) -> None:
        await self.market.port(Auth).ensure_account(Registration("root@example.org", PASSWORD, "Root"), ("admin",))
        await self.admin.log_in("root@example.org")
        self.shop = await self.shop_of(self.seller, "kettle@example.org")

    async def shop_of(self, client: Client, email: str) -> SellerRef:
        person = (await client.register(email))["user"]["id"]
        [made] = await self.market.port(Sellers).ensure_sellers([email], person)
        return SellerRef(made.id, made.name)

    async def publish(self, body: dict[str, Any] = POT) -> dict[str, Any]:
        product = await self.seller.post("/products", body, 201)
        published: dict[str, Any] = await self.seller.post(f"/products/{product['id']}/publish", None, 202)
        return published

    async def problems(self, method: str, path: str, body: Any) -> dict[str, str]:
        """The code of each bad field of a seller's request."""
        answer = await self.seller.send(method, path, body)
        assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json"), answer
        assert answer.body["code"] == "validation"
        return {error["pointer"]: error["code"] for error in answer.body["errors"]}
