"""A purchase from its option to its completion, with everybody who takes part."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.cart import CartOwner
from marketplace_core.capabilities.catalog import Catalog, LineRequest, MoneyInput, ProductDraft, SellerRef, VariantDraft
from marketplace_core.capabilities.logistics import Logistics, Place, RateOption, RateRequest
from marketplace_core.capabilities.orders import CancelItem, Order, Orders, PlaceOrder, ShipRequest
from marketplace_core.errors import Conflict, NotFound
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator
from marketplace_core.values import Address, Money, new_id

PLUGINS = ["auth", "catalog", "orders", "orchestrator", "logistics", "carriers_simulator"]
ADDRESS = Address(name="Ada", line1="1 Test Street", city="Berlin", postal_code="10115", country="DE")
DAY = 86400.0


class Purchase:
    """A seller with a product, and what is bought of it."""

    def __init__(self, market: Marketplace) -> None:
        self.market = market
        self._catalog, self._orders, self.logistics = market.port(Catalog), market.port(Orders), market.port(Logistics)
        self.seller = SellerRef(new_id(), "Kettle & Sons")
        self.id = ""

    async def options(self, units: int) -> list[RateOption]:
        """As a quote has them."""
        question = RateRequest(
            seller_id=self.seller.id,
            origin=Place("XX", ""),
            destination=Place(ADDRESS.country, ADDRESS.postal_code),
            weight_g=500 * units,
            currency="EUR",
        )
        return (await self.logistics.get_rates([question]))[0]

    async def place(self, units: int, service: str) -> Order:
        await self._catalog.set_seller(self.seller, True, 1)
        draft = ProductDraft(title="Tea pot", variants=(VariantDraft(sku="pot", price=MoneyInput(1000, "EUR"), stock=10),))
        product = await self._catalog.create_product(self.seller.id, draft)
        await self._catalog.publish_product(self.seller.id, product.id)
        option = next(option for option in await self.options(units) if option.service == service)
        request = PlaceOrder(
            owner=CartOwner(),
            address=ADDRESS,
            email="ada@example.org",
            payment=None,
            expected_total=Money(1000 * units, "EUR") + option.price,
            shipping={self.seller.id: option.id},
            lines=(LineRequest(product.variants[0].id, units),),
        )
        with calls.scope(calls.Call(key="purchase")):
            self.id = (await self._orders.place(request)).id
        await self.market.settle()
        return await self.order()

    async def order(self) -> Order:
        [order] = await self._orders.get_orders([self.id])
        return order

    async def ship(self, order: Order, units: int | None = None) -> str:
        """The shipment's id."""
        package = order.packages[0]
        items = None if units is None else (CancelItem(package.items[0].id, units),)
        return (await self._orders.ship(self.seller.id, package.id, ShipRequest(items=items))).id


Begin = Callable[..., Awaitable[Purchase]]


@pytest.fixture
def begin(marketplace: Any, carriers_simulator: Simulator) -> Begin:
    async def make(**options: Any) -> Purchase:
        market = await marketplace(
            PLUGINS, http=True, settings={"carriers_simulator": carriers_simulator.settings()}, **options
        )
        await carriers_simulator.start_for(market)
        return Purchase(market)

    return make


@pytest.mark.behaviour("logistics-1", "logistics-2")
@pytest.mark.parametrize("runner", ["wire"])
async def test_from_an_option_to_completion(begin: Begin, carriers_simulator: Simulator, runner: str) -> None:
    purchase = await begin(runner=runner)
    market, logistics = purchase.market, purchase.logistics
    order = await purchase.place(2, "express")
    option = order.packages[0].option
    assert order.status == "confirmed"
    assert option is not None
    assert (option.carrier, option.service, order.shipping) == ("simulator", "express", (await purchase.options(2))[2].price)

    shipment_id = await purchase.ship(order)
    await market.settle()
    shipped = (await purchase.order()).packages[0].shipments[0]
    [parcel] = await carriers_simulator.items(f"/shipments?reference={shipment_id}")
    assert (shipped.status, shipped.tracking_number) == ("label_created", parcel["tracking_number"])
    assert (parcel["service"], parcel["weight_g"]) == ("express", 1000)
    assert [(item.item_id, item.quantity) for item in shipped.items] == [(order.packages[0].items[0].id, 2)]
    assert (await logistics.get_label(purchase.seller.id, shipment_id)).content.startswith(b"%PDF")
    assert (await logistics.get_tracking(shipped.tracking_token)).status == "label_created"

    for code in ("in_transit", "out_for_delivery", "delivered"):
        await carriers_simulator.advance(parcel["tracking_number"], code)
    await market.settle()
    order = await purchase.order()
    assert (order.status, order.packages[0].status, order.packages[0].shipments[0].status) == ("delivered",) * 3
    told = [(entry.type, entry.actor) for entry in order.timeline if entry.type.startswith("shipment.")]
    assert told[-3:] == [(f"shipment.{code}", "carrier") for code in ("in_transit", "out_for_delivery", "delivered")]

    await market.clock.advance(15 * DAY)
    await carriers_simulator.set_clock(market.clock.offset)
    await market.settle()
    assert (await purchase.order()).status == "completed"


@pytest.mark.behaviour("logistics-1")
async def test_a_package_in_two_parcels_has_arrived_with_the_second(begin: Begin, carriers_simulator: Simulator) -> None:
    purchase = await begin()
    order = await purchase.place(3, "economy")
    shipments = [await purchase.ship(order, 1), await purchase.ship(order)]
    await purchase.market.settle()
    numbers = [(await carriers_simulator.items(f"/shipments?reference={id_}"))[0]["tracking_number"] for id_ in shipments]
    for number, status in zip(numbers, ("shipped", "delivered"), strict=True):
        await carriers_simulator.advance(number, "delivered")
        await purchase.market.settle()
        assert (await purchase.order()).status == status
    units = [sum(item.quantity for item in shipment.items) for shipment in (await purchase.order()).packages[0].shipments]
    assert units == [1, 2]


@pytest.mark.parametrize("runner", ["wire"])
async def test_a_label_is_pending_before_logistics_has_heard_of_it(begin: Begin, runner: str) -> None:
    purchase = await begin(runner=runner)
    order = await purchase.place(1, "economy")
    await purchase.market.stop_worker()
    shipment_id = await purchase.ship(order)
    with pytest.raises(Conflict, match="label_pending"):
        await purchase.logistics.get_label(purchase.seller.id, shipment_id)
    for stranger in ((new_id(), shipment_id), (purchase.seller.id, new_id())):
        with pytest.raises(NotFound):
            await purchase.logistics.get_label(*stranger)
