"""cart: what a shopper means to buy. Prices and stock are always those of now; trouble is reported, not raised."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from marketplace_core.capabilities.catalog import LineRequest, Options
from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, PersonId, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, query
from marketplace_core.values import Money

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────


class CartOwner(Struct, frozen=True):
    """Whose cart: an account's, else that of a guest who holds ``token``; neither: a new guest's."""

    account_id: str | None = None
    token: str | None = None


class CartItem(Struct, frozen=True, kw_only=True):
    """``unit_price`` is the price now; ``available``: units that can be bought now."""

    variant_id: str
    product_id: str
    seller_id: str
    sku: str
    title: str
    options: Options
    image: str | None
    quantity: int
    unit_price: Money
    line_total: Money
    available: int


class CartProblem(Struct, frozen=True):
    code: Literal["out_of_stock", "price_changed", "unavailable"]
    variant_id: str
    detail: str


class CartView(Struct, frozen=True, kw_only=True):
    """A whole cart; ``token`` is a guest's key to it. ``subtotal`` is of what can be bought at all."""

    id: str
    token: str | None
    items: list[CartItem]
    quantity: int
    subtotal: Money
    problems: list[CartProblem]


class CartLines(Struct, frozen=True):
    """What an order is made of: the cart's id and its lines in the order in which they were added."""

    cart_id: str
    lines: list[LineRequest]


Units = Annotated[int, Meta(ge=0, le=1_000_000)]


class AddItem(Struct, frozen=True, forbid_unknown_fields=True):
    variant_id: Annotated[str, Meta(min_length=1, max_length=64)]
    quantity: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class SetQuantity(Struct, frozen=True, forbid_unknown_fields=True):
    """0 removes the item."""

    quantity: Units


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("cart.item_added", key="cart_id")
class CartItemAdded(Event, frozen=True, kw_only=True):
    """A line has ``quantity`` units more, and ``total`` now. A guest's cart is known by its id alone, which opens nothing."""

    cart_id: PersonId
    variant_id: str
    quantity: int
    total: int


@event("cart.item_removed", key="cart_id")
class CartItemRemoved(Event, frozen=True, kw_only=True):
    """A line has ``quantity`` units fewer, and ``total`` now; with 0 it has gone."""

    cart_id: PersonId
    variant_id: str
    quantity: int
    total: int


@event("cart.merged", key="cart_id")
class CartMerged(Event, frozen=True, kw_only=True):
    """An account's cart took a guest's, which is no more. ``lines``: what it has more for that."""

    cart_id: PersonId
    guest_cart_id: PersonId
    lines: tuple[LineRequest, ...] = ()


@event("cart.ordered", key="cart_id")
class CartOrdered(Event, frozen=True, kw_only=True):
    """``lines`` left the cart for an order. Those of an order that fails come back, each by a ``cart.item_added``."""

    cart_id: PersonId
    order_id: str
    lines: tuple[LineRequest, ...] = ()


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

declare_codes(422, "cart.currency_mismatch", "cart.line_limit", "cart.quantity_limit")


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Cart(ABC):
    """Carts of guests and of accounts."""

    @abstractmethod
    @mutation(retriable=False)
    async def get_cart(self, owner: CartOwner) -> CartView:
        """The owner's cart; of a guest without one, or with a dead token, a new one with its ``token``."""

    @abstractmethod
    @mutation(retriable=True)
    async def add_item(self, owner: CartOwner, item: AddItem) -> CartView:
        """Adds to what the cart has of the variant.

        :raises Invalid: there is no such variant. :raises Refused: ``cart.currency_mismatch``, ``cart.line_limit``,
            ``cart.quantity_limit``.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def set_quantity(self, owner: CartOwner, variant_id: str, quantity: int, if_match: str | None = None) -> CartView:
        """0 removes the item. ``if_match`` is the entity tag of the whole cart.

        :raises NotFound: the cart has no such item. :raises Refused: ``cart.quantity_limit``. :raises PreconditionFailed:
        """

    @abstractmethod
    @mutation(retriable=True)
    async def merge(self, token: str, account_id: str) -> None:
        """At login: add the guest's cart to the account's, within the limits; the token is dead afterwards."""

    @abstractmethod
    @query
    async def get_lines(self, owner: CartOwner) -> CartLines | None:
        """What the owner would order, or None if there is no cart."""

    @abstractmethod
    @mutation(retriable=True)
    async def remove_bought(self, cart_id: str, order_id: str, lines: list[LineRequest]) -> None:
        """Take bought units out of the cart, once per order; what was added since stays."""

    @abstractmethod
    @mutation(retriable=True)
    async def put_back(self, cart_id: str, order_id: str, lines: list[LineRequest]) -> None:
        """Undo :meth:`remove_bought`, whose arguments these are: what it took out is in the cart again, once.

        It adds up with what was added since, within the limits; nothing of another currency is put in.
        """


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class CartHooks:
    @hookspec
    def provide_cart(self, context: PluginContext) -> Cart:  # type: ignore[empty-body]
        """The capability's provider."""
