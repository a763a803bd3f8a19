"""A catalogue with things to put into carts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from marketplace_core.capabilities.cart import AddItem, Cart, CartOwner, CartView
from marketplace_core.capabilities.catalog import Catalog, MoneyInput, PriceRow, ProductDraft, SellerRef, StockRow, VariantDraft
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id


class Shop:
    """A marketplace with a seller, and what a test asks of its carts over and over."""

    def __init__(self, market: Marketplace) -> None:
        self.market = market
        self.cart = market.port(Cart)
        self.catalog = market.port(Catalog)
        self.seller = SellerRef(new_id(), "Kettle & Sons")
        self.products: dict[str, str] = {}

    async def stock(self, count: int = 1, *, price: int = 1000, stock: int = 100_000, currency: str = "EUR") -> list[str]:
        """The ids of so many new variants of a new product."""
        await self.catalog.set_seller(self.seller, True, 1)
        prefix = new_id()[-6:]
        drafts = tuple(
            VariantDraft(sku=f"{prefix}-{n}", price=MoneyInput(price, currency), stock=stock, options={"size": str(n)})
            for n in range(count)
        )
        product = await self.catalog.create_product(self.seller.id, ProductDraft(title="Tea pot", variants=drafts))
        await self.catalog.publish_product(self.seller.id, product.id)
        for variant in product.variants:
            self.products[variant.id] = product.id
        return [variant.id for variant in product.variants]

    async def sku(self, variant_id: str) -> str:
        product = await self.catalog.get_seller_product(self.seller.id, self.products[variant_id])
        return next(variant.sku for variant in product.variants if variant.id == variant_id)

    async def set_price(self, variant_id: str, amount: int, currency: str = "EUR") -> None:
        await self.catalog.set_prices(self.seller.id, [PriceRow(await self.sku(variant_id), MoneyInput(amount, currency))])

    async def set_stock(self, variant_id: str, count: int) -> None:
        await self.catalog.set_stock(self.seller.id, [StockRow(await self.sku(variant_id), quantity=count)])

    async def add(self, owner: CartOwner, variant_id: str, quantity: int = 1) -> CartView:
        return await self.cart.add_item(owner, AddItem(variant_id, quantity))

    @property
    def redis(self) -> Any:
        return self.market.process.resources.redis("lasting")


@pytest.fixture
def shop(marketplace: Callable[..., Awaitable[Marketplace]]) -> Callable[..., Awaitable[Shop]]:
    """``await shop(runner=…)``: catalog and cart, without a worker."""

    async def make(plugins: tuple[str, ...] = ("catalog", "cart"), worker: bool = False, **options: Any) -> Shop:
        return Shop(await marketplace(list(plugins), worker=worker, **options))

    return make
