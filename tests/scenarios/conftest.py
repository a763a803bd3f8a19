"""One whole marketplace per test, over HTTP and with both simulators: everything that a purchase needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.client import Client, clients
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator

PLUGINS = [
    "auth",
    "users",
    "sellers",
    "catalog",
    "cart",
    "orders",
    "payments",
    "logistics",
    "orchestrator",
    "payments_simulator",
    "carriers_simulator",
]
PASSWORD = "correct horse battery"
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


@dataclass
class Shop:
    """The marketplace as people meet it: a client for each audience, and the simulators."""

    market: Marketplace
    make: Callable[[str], Client]
    payments: Simulator
    carriers: Simulator
    admin: Client
    courier: Client
    sellers: dict[str, Client] = field(default_factory=dict)

    async def open_seller(self, name: str) -> Client:
        """Apply, be accepted, and be known to the catalogue."""
        seller = self.make("seller")
        await seller.register(f"{name.lower()}@example.org", name=name)
        application = await seller.post(
            "/applications",
            {"name": name, "legal_name": f"{name} Ltd", "country": "DE", "contact_email": f"{name.lower()}@example.org"},
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

    async def order(self, buyer: Client, products: list[tuple[Any, int]], token: str = "tok_ok", key: str = "order-1") -> Any:
        """Fill the cart, ask what it costs, order; gives the order as it is answered."""
        for product, quantity in products:
            await buyer.post("/cart/items", {"variant_id": product["variants"][0]["id"], "quantity": quantity})
        quote = await buyer.post("/checkout/quote", {"address": ADDRESS})
        return await buyer.post("/orders", self.order_body(quote, token), 202, Idempotency_Key=key)

    @staticmethod
    def order_body(quote: Any, token: str) -> dict[str, Any]:
        return {
            "address": ADDRESS,
            "shipping": {package["seller_id"]: package["selected"] for package in quote["packages"]},
            "payment": {"method": "card", "token": token, "return_url": "https://shop.example/return"},
            "expected_total": quote["total"],
        }

    async def ended(self, buyer: Client, order_id: str) -> Any:
        """The order once its checkout has ended."""
        return await buyer.until(f"/orders/{order_id}", lambda order: order["status"] != "pending")

    async def ledger(self, order_id: str) -> list[tuple[str, int]]:
        """What really happened at the gateway: kinds and amounts, in order."""
        return [(row["kind"], row["amount"]["amount"]) for row in await self.payments.ledger(order_id)]


@pytest.fixture(params=["local", "wire"])
def runner(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest_asyncio.fixture
async def shop(runner: str, marketplace: Callable[..., Awaitable[Marketplace]], tmp_path: Path) -> AsyncIterator[Shop]:
    payments, carriers = Simulator("payments", tmp_path), Simulator("carriers", tmp_path)
    market = await marketplace(
        PLUGINS,
        runner=runner,
        http=True,
        settings={"payments_simulator": payments.settings(), "carriers_simulator": carriers.settings()},
    )
    auth = market.port(Auth)
    for name, role in (("admin", "admin"), ("courier", "courier:simulator")):
        await auth.ensure_account(Registration(f"{name}@example.org", PASSWORD, name.title()), (role,))
    try:
        for simulator in (payments, carriers):
            await simulator.start_for(market)
        async with clients(market.url) as make:
            admin, courier = make("admin"), make("logistics")
            await admin.log_in("admin@example.org")
            await courier.log_in("courier@example.org")
            yield Shop(market, make, payments, carriers, admin, courier)
    finally:
        for simulator in (payments, carriers):
            await simulator.stop()
