"""Use cases of wishlists."""

from __future__ import annotations

from marketplace_core.capabilities.catalog import Catalog, ProductChanged, ProductPage
from marketplace_core.errors import Conflict, NotFound
from marketplace_core.ports import UnitOfWork, Units, command, command_after, handler
from marketplace_wishlist.domain import Rules, Wish
from marketplace_wishlist.store import WishlistStore
from marketplace_wishlist.wishlist import WishAdded, Wishlist, WishlistView, WishView

__all__ = ["WishlistService"]


class WishlistService(Wishlist):
    def __init__(self, units: Units, store: WishlistStore, catalog: Catalog, rules: Rules) -> None:
        self.units = units
        self._store = store
        self._catalog = catalog
        self._rules = rules

    async def get_wishlist(self, account_id: str) -> WishlistView:
        return WishlistView([_view(wish) for wish in await self._store.wishes(account_id)])

    async def get_wish(self, account_id: str, product_id: str) -> WishView:
        wish = await self._store.find(account_id, product_id)
        if wish is None:
            raise NotFound("There is no such wish.")
        return _view(wish)

    async def _product(self, account_id: str, product_id: str) -> ProductPage:
        found = await self._catalog.get_product(product_id)
        if found.page is None or found.page.id != product_id:
            raise NotFound("There is no such product.")
        return found.page

    @command_after(_product)
    async def add_wish(self, uow: UnitOfWork, product: ProductPage, account_id: str, product_id: str) -> WishView:
        wishes = await self._store.lock(uow, account_id)
        known = next((wish for wish in wishes if wish.product_id == product_id), None)
        if known is not None:
            return _view(known)
        if self._rules.full(len(wishes)):
            raise Conflict("wishlist.full", f"There is room for {self._rules.limit} wishes.")
        wish = Wish(product_id, product.title, uow.now)
        await self._store.add(uow, account_id, wish)
        uow.emit(WishAdded(account_id=account_id, product_id=product_id))
        return _view(wish)

    @command
    async def remove_wish(self, uow: UnitOfWork, account_id: str, product_id: str) -> None:
        await self._store.remove(uow, account_id, product_id)

    @handler(ProductChanged)
    async def on_product_changed(self, uow: UnitOfWork, event: ProductChanged) -> None:
        """What shoppers do not see any more is wished for in vain. What was before it came is late."""
        if event.page is None and event.status in ("archived", "rejected"):
            await self._store.forget_product(uow, event.product_id)


def _view(wish: Wish) -> WishView:
    return WishView(wish.product_id, wish.title, wish.added_at)
