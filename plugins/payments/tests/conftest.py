"""payments on real servers beside the real simulator of a gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
import pytest_asyncio

from marketplace_core import calls
from marketplace_core.adapters.postgres import Database
from marketplace_core.capabilities.cart import CartOwner
from marketplace_core.capabilities.catalog import Catalog, LineRequest, MoneyInput, ProductDraft, SellerRef, VariantDraft
from marketplace_core.capabilities.orders import (
    CancelItem,
    Order,
    Orders,
    PaymentMethod,
    PaymentView,
    PlaceOrder,
    ShipRequest,
)
from marketplace_core.capabilities.payments import AdminPayment, Authorize, Payments
from marketplace_core.errors import Unavailable
from marketplace_core.events import Envelope, Event, encode_data
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator, launched
from marketplace_core.values import Address, Money, new_id, utc_text

TOKEN = "tok_ok"
TIMEOUT = 0.6


class Desk:
    """Payments and their gateway, and what a test asks of them over and over."""

    def __init__(self, market: Marketplace, gateway: Simulator) -> None:
        self.market = market
        self.gateway = gateway
        self._sequences: dict[tuple[str, str], int] = {}

    @property
    def payments(self) -> Payments:
        return self.market.port(Payments)

    @property
    def service(self) -> Any:
        return self.market.process.service("payments")

    @property
    def database(self) -> Database:
        return self.market.process.resources.database("main")

    def request(self, order_id: str, token: str = TOKEN, amount: int = 1000) -> Authorize:
        return Authorize(
            order_id=order_id,
            account_id=None,
            amount=Money(amount, "EUR"),
            method=PaymentMethod("card", token),
            expires_at=self.market.clock.now() + timedelta(seconds=900),
        )

    async def authorize(self, order_id: str, token: str = TOKEN, amount: int = 1000) -> PaymentView:
        """As a saga does: what is unknown is asked again."""
        return await self.known(lambda: self.payments.authorize(self.request(order_id, token, amount)))

    async def known(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(20):
            while True:
                try:
                    return await ask()
                except Unavailable:
                    await asyncio.sleep(0.05)

    async def payment(self, order_id: str) -> AdminPayment:
        return await self.payments.get_payment(order_id)

    async def gateway_id(self, order_id: str) -> str:
        found: str = await self.database.value("SELECT gateway_id FROM payments.payments WHERE order_id = $1", order_id)
        return found

    async def really(self, order_id: str) -> list[tuple[str, int]]:
        """What happened at the gateway: kind and amount, in order."""
        return [(row["kind"], row["amount"]["amount"]) for row in await self.gateway.ledger(order_id)]

    async def events(self, type_: str, order_id: str) -> list[dict[str, Any]]:
        rows = await self.database.fetch(
            "SELECT payload FROM marketplace.outbox WHERE type = $1 AND key = $2 ORDER BY id", type_, order_id
        )
        return [msgspec.json.decode(row["payload"])["data"] for row in rows]

    async def tell(self, handler: Any, event: Event) -> bool:
        """Give the service an event of another plugin, the next of its aggregate."""
        place = (event.topic, event.key)
        self._sequences[place] = self._sequences.get(place, 0) + 1
        envelope = Envelope(
            id=new_id(),
            type=event.type,
            version=1,
            key=event.key,
            occurred_at=utc_text(self.market.clock.now()),
            data=msgspec.Raw(encode_data(event)),
            sequence=self._sequences[place],
        )
        applied: bool = await handler(self.service, envelope)
        return applied

    async def advance(self, seconds: float) -> None:
        """Move the marketplace's clock, and the gateway's with it."""
        await self.market.clock.advance(seconds)
        await self.gateway.set_clock(self.market.clock.offset)


ADDRESS = Address(name="Ada", line1="1 Test Street", city="Berlin", postal_code="10115", country="DE")


class Purchase:
    """A seller with a product, and orders of it."""

    STOCK = 1000

    def __init__(self, desk: Any) -> None:
        self.desk = desk
        self.market, self.gateway = desk.market, desk.gateway
        self.orders: Orders = self.market.port(Orders)
        self.seller = SellerRef(new_id(), "Kettle & Sons")
        self.variant = ""

    async def stock(self) -> None:
        catalog: Catalog = self.market.port(Catalog)
        await catalog.set_seller(self.seller, True, 1)
        draft = ProductDraft(
            title="Tea pot", variants=(VariantDraft(sku="pot", price=MoneyInput(1000, "EUR"), stock=self.STOCK),)
        )
        product = await catalog.create_product(self.seller.id, draft)
        await catalog.publish_product(self.seller.id, product.id)
        self.variant = product.variants[0].id

    async def place(self, token: str, units: int = 2) -> str:
        """The order's id; what follows goes on by itself."""
        request = PlaceOrder(
            owner=CartOwner(),
            address=ADDRESS,
            email="ada@example.org",
            payment=PaymentMethod("card", token, return_url="https://shop.example/done"),
            expected_total=Money(1000 * units, "EUR"),
            lines=(LineRequest(self.variant, units),),
        )
        with calls.scope(calls.Call(key=new_id())):
            return (await self.orders.place(request)).id

    async def settled(self, order_id: str) -> Order:
        await self.market.settle()
        [order] = await self.orders.get_orders([order_id])
        return order

    async def ship(self, order: Order, units: int | None = None) -> None:
        items = None if units is None else (CancelItem(order.packages[0].items[0].id, units),)
        await self.orders.ship(self.seller.id, order.packages[0].id, ShipRequest(items=items))

    async def free(self) -> int:
        row = await self.desk.database.row("SELECT on_hand, reserved, allocated FROM catalog.variants")
        return int(row["on_hand"] - row["reserved"] - row["allocated"])


Open = Callable[..., Awaitable[Desk]]


@pytest_asyncio.fixture
async def open_desk(marketplace: Callable[..., Awaitable[Marketplace]], payments_simulator: Simulator) -> Open:
    """``await open_desk("catalog", …)``: a whole marketplace on HTTP beside a gateway whose webhooks come."""

    async def make(*more: str, **options: Any) -> Desk:
        market = await _market(marketplace, payments_simulator, *more, "auth", http=True, **options)
        await payments_simulator.start_for(market)
        return Desk(market, payments_simulator)

    return make


@pytest.fixture(scope="session")
def silent_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    """A gateway without webhooks, for the whole run: orders have ids of their own."""
    with launched("payments", tmp_path_factory.mktemp("gateway")) as simulator:
        yield simulator


@pytest_asyncio.fixture(params=["wire"])
async def desk(
    request: pytest.FixtureRequest,
    marketplace: Callable[..., Awaitable[Marketplace]],
    silent_gateway: Simulator,
) -> Desk:
    """Without webhooks and without a worker; as another process reaches it."""
    assert await silent_gateway.faults() == []
    await silent_gateway.set_clock(timedelta())
    return Desk(await _market(marketplace, silent_gateway, runner=request.param, worker=False), silent_gateway)


async def _market(
    marketplace: Callable[..., Awaitable[Marketplace]], gateway: Simulator, *more: str, **options: Any
) -> Marketplace:
    settings = {"payments_simulator": gateway.settings(f"timeout = {TIMEOUT}"), **options.pop("settings", {})}
    return await marketplace([*more, "payments", "payments_simulator"], settings=settings, **options)


@pytest_asyncio.fixture
async def begin(open_desk: Open) -> Callable[..., Awaitable[Purchase]]:
    """``await begin(runner=…)``: a shop with something in stock."""

    async def make(**options: Any) -> Purchase:
        made = Purchase(await open_desk("catalog", "orders", "orchestrator", **options))
        await made.stock()
        return made

    return make
