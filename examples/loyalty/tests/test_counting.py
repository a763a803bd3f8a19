"""Events are applied once, and an order's in their order; each is delivered twice here, as a bus may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from marketplace_loyalty.loyalty import Loyalty

from marketplace_core.capabilities.logistics import ShipmentChanged
from marketplace_core.capabilities.orders import (
    EventLine,
    OrderConfirmed,
    PackageDelivered,
    PackageShipped,
    Shipment,
    ShipmentStatus,
)
from marketplace_core.events import Event
from marketplace_core.testing.contracts.orders import ADDRESS
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money, new_id

TIERS = (
    'tiers = [{ name = "Silver", percent = 5, spent = { EUR = 2000 } }, { name = "Gold", percent = 9, spent = { EUR = 5000 } }]'
)


class Purchase:
    """An order of one package, told of step by step."""

    def __init__(self, market: Marketplace, account_id: str | None, currency: str = "EUR") -> None:
        self._market, self._account_id, self._currency = market, account_id, currency
        self.order, self.package, self.parcel = new_id(), new_id(), new_id()

    async def tell(self, event: Event) -> None:
        await self._market.deliver(Loyalty, event)

    def _line(self, amount: int) -> EventLine:
        money = Money(amount, self._currency)
        return EventLine(item_id="i", variant_id="v", product_id="p", seller_id="s", quantity=1, unit_price=money, total=money)

    async def confirmed(self, amount: int) -> None:
        event = OrderConfirmed(
            order_id=self.order,
            number="1",
            account_id=self._account_id,
            total=Money(amount + 499, self._currency),
            lines=[self._line(amount)],
        )
        await self.tell(event)

    async def shipped(self, amount: int, parcel: str | None = None) -> None:
        """With shipping, which is no goods."""
        zero = Money.zero(self._currency)
        event = PackageShipped(
            order_id=self.order,
            package_id=self.package,
            shipment_id=parcel or self.parcel,
            seller_id="s",
            lines=[self._line(amount)],
            amount=Money(amount + 499, self._currency),
            commission=zero,
            shipping=Money(499, self._currency),
            tax=zero,
            remaining=zero,
            origin_country="DE",
            carrier="own",
            service="standard",
            tracking_number=None,
            address=ADDRESS,
        )
        await self.tell(event)

    async def delivered(self) -> None:
        await self.tell(PackageDelivered(order_id=self.order, package_id=self.package, seller_id="s"))

    async def tracked(self, status: ShipmentStatus) -> None:
        shipment = Shipment(
            id=self.parcel,
            package_id=self.package,
            carrier="own",
            service="standard",
            status=status,
            tracking_number=None,
            tracking_token="t",
            items=[],
            estimated_delivery=None,
            events=[],
        )
        event = ShipmentChanged(shipment_id=self.parcel, order_id=self.order, package_id=self.package, shipment=shipment)
        await self.tell(event)


@pytest.fixture
async def market(marketplace: Callable[..., Awaitable[Marketplace]]) -> Marketplace:
    plugins = ["catalog", "orders", "orchestrator", "loyalty"]
    return await marketplace(plugins, settings={"loyalty": TIERS}, worker=False)


async def _standing(market: Marketplace, account_id: str) -> dict[str, tuple[int, str | None]]:
    """What was spent, and the tier, by currency."""
    items = (await market.port(Loyalty).get_loyalty(account_id)).items
    return {one.spent.currency: (one.spent.amount, one.tier and one.tier.name) for one in items}


async def test_goods_that_have_arrived_count_once(market: Marketplace) -> None:
    account = new_id()
    first, second = Purchase(market, account), Purchase(market, account)
    for purchase, amount in ((first, 2000), (second, 3000)):
        await purchase.confirmed(amount)
        await purchase.shipped(amount)
        await purchase.tracked("delivered")
    assert await _standing(market, account) == {"EUR": (0, None)}
    await first.delivered()
    assert await _standing(market, account) == {"EUR": (2000, "Silver")}
    await second.delivered()
    assert await _standing(market, account) == {"EUR": (5000, "Gold")}
    await first.tracked("returned")
    assert await _standing(market, account) == {"EUR": (3000, "Silver")}


async def test_a_parcel_that_is_said_to_be_back_before_it_went_out(market: Marketplace) -> None:
    account = new_id()
    purchase = Purchase(market, account)
    await purchase.tracked("returned")
    await purchase.confirmed(900)
    await purchase.shipped(700)
    await purchase.shipped(200, parcel=new_id())
    await purchase.delivered()
    assert await _standing(market, account) == {"EUR": (200, None)}


async def test_currencies_are_apart_and_guests_have_no_account(market: Marketplace) -> None:
    account = new_id()
    for purchase in (Purchase(market, account, "USD"), Purchase(market, None)):
        await purchase.confirmed(8000)
        await purchase.shipped(8000)
        await purchase.delivered()
    assert await _standing(market, account) == {"EUR": (0, None), "USD": (8000, None)}
    database: Any = market.process.resources.database("main")
    assert await database.value("SELECT count(*) FROM loyalty.purchases") == 1


async def test_an_order_that_was_confirmed_before_the_plugin_came_does_not_count(market: Marketplace) -> None:
    account = new_id()
    purchase = Purchase(market, account)
    await purchase.shipped(3000)
    await purchase.delivered()
    assert await _standing(market, account) == {"EUR": (0, None)}
