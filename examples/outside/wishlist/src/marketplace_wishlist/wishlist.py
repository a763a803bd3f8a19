"""wishlist: the products that a person wishes for. A capability of the plugin's own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from marketplace_core.capabilities import declare
from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, PersonId, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, query

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

__all__ = ["WishAdded", "WishView", "Wishlist", "WishlistHooks", "WishlistView"]

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────


class WishView(Struct, frozen=True):
    """``title`` is that of the day on which it was added."""

    product_id: str
    title: str
    added_at: datetime


class WishlistView(Struct, frozen=True):
    """The newest first."""

    items: list[WishView]


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("wishlist.added", key="account_id")
class WishAdded(Event, frozen=True, kw_only=True):
    """Somebody wishes for a product."""

    account_id: PersonId
    product_id: str


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

declare_codes(409, "wishlist.full")

# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Wishlist(ABC):
    @abstractmethod
    @query
    async def get_wishlist(self, account_id: str) -> WishlistView: ...

    @abstractmethod
    @query
    async def get_wish(self, account_id: str, product_id: str) -> WishView:
        """:raises NotFound: the account does not wish for it."""

    @abstractmethod
    @mutation(retriable=True)
    async def add_wish(self, account_id: str, product_id: str) -> WishView:
        """The wish that there is, where the account has it already.

        :raises NotFound: shoppers do not see the product. :raises Conflict: ``wishlist.full``.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def remove_wish(self, account_id: str, product_id: str) -> None:
        """Nothing happens where there is no such wish."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class WishlistHooks:
    @hookspec
    def provide_wishlist(self, context: PluginContext) -> Wishlist:  # type: ignore[empty-body]
        """The capability's provider."""


declare(__name__)
