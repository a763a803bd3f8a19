"""By whom it is sent: what nobody takes is not sold, and a number of the seller's own is of no carrier of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

import msgspec
import pytest
from marketplace_orders.shipping import Way, way

from marketplace_core import calls
from marketplace_core.capabilities.cart import AddItem, Cart, CartOwner
from marketplace_core.capabilities.catalog import Catalog, ProductPatch, SellerRef
from marketplace_core.capabilities.orders import Orders, PlaceOrder, QuoteRequest, ShipRequest
from marketplace_core.errors import Invalid
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.orders import ADDRESS, list_variants
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator, launched
from marketplace_core.values import new_id


@pytest.fixture(scope="module")
def carrier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    with launched("carriers", tmp_path_factory.mktemp("carrier")) as made:
        yield made


@pytest.mark.behaviour("logistics-4")
async def test_what_no_carrier_takes_is_a_problem_and_no_order(
    marketplace: Callable[..., Awaitable[Marketplace]], carrier: Simulator
) -> None:
    """2,001 units of half a kilogram: a tonne."""
    plugins = ["catalog", "cart", "orders", "orchestrator", "logistics", "carriers_simulator"]
    market = await marketplace(plugins, settings={"carriers_simulator": carrier.settings()}, worker=False)
    orders = market.port(Orders)
    [variant] = await list_variants(market.port(Catalog), SellerRef(new_id(), "Kettle"), 1, stock=5000)
    owner = CartOwner(token=(await market.port(Cart).get_cart(CartOwner())).token)
    await market.port(Cart).add_item(owner, AddItem(variant, 2001))
    quote = await orders.quote(QuoteRequest(owner=owner, country="DE"))
    [package] = quote.packages
    assert (package.options, package.selected) == ([], None)
    assert [(problem.code, problem.variant_id) for problem in quote.problems] == [("unavailable", variant)]
    wanted = PlaceOrder(owner=owner, address=ADDRESS, email="a@x.org", payment=None, expected_total=quote.total)
    with calls.scope(calls.Call(key=new_id())):
        error = await refused("shipping.option_expired", orders.place(wanted))
    assert [problem.pointer for problem in error.errors] == [f"/shipping/{package.seller_id}"]
    assert [view.available for view in await market.port(Catalog).get_variants([variant])] == [5000]

    await market.port(Cart).set_quantity(owner, variant, 2)
    quote = await orders.quote(QuoteRequest(owner=owner, country="DE"))
    assert quote.problems == [] and quote.packages[0].selected is not None


async def test_a_package_weighs_what_its_products_say(
    marketplace: Callable[..., Awaitable[Marketplace]], carrier: Simulator
) -> None:
    """Of what is digital nothing is sent; what nobody weighed counts half a kilogram."""
    plugins = ["catalog", "cart", "orders", "orchestrator", "logistics", "carriers_simulator"]
    market = await marketplace(plugins, settings={"carriers_simulator": carrier.settings()}, worker=False)
    catalog, orders = market.port(Catalog), market.port(Orders)
    prices: list[list[int]] = []
    for attributes in ({}, {"weight_g": 500}, {"weight_g": 9000}, {"digital": True}):
        seller = SellerRef(new_id(), "Kettle")
        [variant] = await list_variants(catalog, seller, 1)
        product = (await catalog.get_variants([variant]))[0].product_id
        await catalog.update_product(seller.id, product, ProductPatch(attributes=attributes), None)
        owner = CartOwner(token=(await market.port(Cart).get_cart(CartOwner())).token)
        await market.port(Cart).add_item(owner, AddItem(variant, 2))
        quote = await orders.quote(QuoteRequest(owner=owner, country="DE"))
        assert quote.problems == []
        prices.append([option.price.amount for option in quote.packages[0].options])
    assert prices[0] == prices[1] != prices[2] and prices[2]
    assert prices[3] == []


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (ShipRequest(), Way(None, None)),
        (ShipRequest(carrier="post", service="express"), Way("post", "express")),
        (ShipRequest(tracking_number="T1"), Way("own", "standard")),
        (ShipRequest(tracking_number="T1", carrier="my van", service="today"), Way("my van", "today")),
        (ShipRequest(tracking_number="T1", carrier="post"), None),
        (ShipRequest(tracking_number="T1", carrier=" POST"), None),
    ],
)
def test_a_number_of_its_own_is_of_no_carrier_of_ours(request_: ShipRequest, expected: Way | None) -> None:
    if expected is not None:
        assert way(request_, ["post"]) == expected
        return
    with pytest.raises(Invalid) as error:
        way(request_, ["post"])
    assert [problem.pointer for problem in error.value.errors] == ["/tracking_number"]


@pytest.mark.parametrize("field", ["carrier", "service", "tracking_number"])
def test_what_a_seller_writes_is_bounded(field: str) -> None:
    for text in ("", "x" * 101):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({field: text}, ShipRequest)
