"""What the suite of recommendations has on its shelves, and what its shoppers do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from marketplace_core.capabilities.cart import AddItem, Cart, CartOwner
from marketplace_core.capabilities.catalog import Catalog, SellerRef, StockRow
from marketplace_core.capabilities.orders import EventLine, OrderConfirmed
from marketplace_core.capabilities.recommendations import (
    FeedQuery,
    Recommendations,
    RecommendedCard,
    Shopper,
    SignalInput,
    SignalType,
)
from marketplace_core.feed import read_feed
from marketplace_core.testing.contracts import eventually, paged
from marketplace_core.testing.contracts.catalog_shelves import Shelf, open_seller, shelve
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money, Page, PageQuery, new_id

__all__ = ["Street", "ids_of"]

Learn = Callable[[], Awaitable[None]]
GetFeed = Callable[[FeedQuery], Awaitable[Page[RecommendedCard]]]


def ids_of(cards: Sequence[RecommendedCard]) -> list[str]:
    return [card.id for card in cards]


class Street:
    """Shops whose products the provider hears of, and shoppers; ``learn`` has it learn from all of that.

    ``get_feed``: how the feed that it builds is read, as :func:`~marketplace_core.feed.read_feed` does if not said.
    """

    def __init__(
        self, market: Marketplace, recommendations: Recommendations, learn: Learn, get_feed: GetFeed | None = None
    ) -> None:
        self.market, self.recommendations = market, recommendations
        self.get_feed: GetFeed = get_feed or partial(read_feed, market.process.feeds)
        self.catalog, self.cart = market.port(Catalog), market.port(Cart)
        self._learn = learn

    async def learn(self) -> None:
        """From everything until now."""
        await self.market.settle()
        await self._learn()

    # ── shops ────────────────────────────────────────────────────────────────────────────────────────────────

    async def open(
        self, count: int, *, seller: SellerRef | None = None, category_id: str | None = None, price: int = 1000
    ) -> list[Shelf]:
        """So many products of one seller, ten of each to be had, of which the provider has heard."""
        seller = seller or await open_seller(self.catalog)
        shelves = [
            await shelve(self.catalog, 10, seller=seller, title=f"Tea pot {n}", category_id=category_id, price=price)
            for n in range(count)
        ]
        await self.market.settle()
        return shelves

    async def sell_out(self, shelf: Shelf) -> None:
        rows = [StockRow(sku, quantity=0) for sku in shelf.skus]
        assert {row.status for row in (await self.catalog.set_stock(shelf.seller.id, rows)).items} == {"updated"}

    # ── shoppers ─────────────────────────────────────────────────────────────────────────────────────────────

    @staticmethod
    def account() -> Shopper:
        return Shopper(new_id())

    async def signal(self, shopper: Shopper, *shelves: Shelf, type: SignalType = "view") -> None:
        items = [SignalInput(type=type, product_id=shelf.product_id) for shelf in shelves]
        await self.recommendations.record(shopper, items)

    async def put_into_cart(self, shopper: Shopper, shelf: Shelf) -> None:
        await self.cart.add_item(CartOwner(shopper.account_id, shopper.token), AddItem(shelf.ids[0], 1))

    async def buy(self, shopper: Shopper, *shelves: Shelf) -> None:
        """An order of these, one after the other."""
        money = Money(1000, "EUR")
        for shelf in shelves:
            line = EventLine(
                item_id=new_id(),
                variant_id=shelf.ids[0],
                product_id=shelf.product_id,
                seller_id=shelf.seller.id,
                quantity=1,
                unit_price=money,
                total=money,
            )
            order = OrderConfirmed(order_id=new_id(), number="1", account_id=shopper.account_id, total=money, lines=[line])
            await self.market.emit(order)

    async def choose_together(self, *shelves: Shelf, people: int = 6) -> None:
        """So many people buy all of these."""
        for _ in range(people):
            await self.buy(self.account(), *shelves)

    # ── what is shown ────────────────────────────────────────────────────────────────────────────────────────

    async def feed(
        self, category: str | None = None, *, size: int = 100, between: Callable[[], Awaitable[object]] | None = None
    ) -> list[RecommendedCard]:
        """All pages of it."""
        return await paged(lambda cursor: self.get_feed(FeedQuery(limit=size, cursor=cursor, category=category)), between)

    async def shown(
        self, shopper: Shopper, *, size: int = 100, between: Callable[[], Awaitable[object]] | None = None
    ) -> list[RecommendedCard]:
        return await paged(
            lambda cursor: self.recommendations.recommend(shopper, PageQuery(limit=size, cursor=cursor)), between
        )

    async def first(self, shopper: Shopper, size: int = 5) -> list[RecommendedCard]:
        return (await self.recommendations.recommend(shopper, PageQuery(limit=size))).items

    async def similar(self, shelf: Shelf, shopper: Shopper | None = None) -> list[RecommendedCard]:
        page = await self.recommendations.list_similar(shelf.product_id, shopper or Shopper(), PageQuery(limit=100))
        return page.items

    async def in_feed(self, shelf: Shelf) -> bool:
        return shelf.product_id in ids_of(await self.feed())

    async def comes(self, shelf: Shelf) -> None:
        await eventually(lambda: self.in_feed(shelf))
