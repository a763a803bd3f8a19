"""catalog: products of all sellers with variants, prices, stock and reservations, in a tree of categories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, patient, query
from marketplace_core.scopes import declare_scopes
from marketplace_core.values import Currency, Money, Page, PageQuery

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

Title = Annotated[str, Meta(min_length=1, max_length=300)]
Sku = Annotated[str, Meta(min_length=1, max_length=100)]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]
OnHand = Annotated[int, Meta(ge=0, le=2_000_000_000)]
Price = Annotated[int, Meta(ge=1, le=9_999_999_999)]
Options = dict[str, str]
OptionsInput = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=100)], Annotated[str, Meta(min_length=1, max_length=200)]],
    Meta(max_length=20),
]
Attributes = dict[str, Any]
CategoryName = Annotated[str, Meta(min_length=1, max_length=200)]

ProductStatus = Literal["draft", "in_review", "published", "rejected", "archived"]


class Image(Struct, frozen=True):
    """``url`` is public and cached for ever; sizes in pixels, None until they are known."""

    url: str
    width: int | None = None
    height: int | None = None


class SellerRef(Struct, frozen=True):
    id: str
    name: str


class Rating(Struct, frozen=True):
    average: float | None = None
    count: int = 0


class Card(Struct, frozen=True):
    """A product in a list; ``price`` is the lowest of its variants."""

    id: str
    slug: str
    title: str
    seller: SellerRef
    price: Money
    compare_at: Money | None
    image: Image | None
    rating: Rating
    in_stock: bool


class Variant(Struct, frozen=True):
    """``available``: whole units that can be bought now."""

    id: str
    sku: str
    title: str
    options: Options
    price: Money
    compare_at: Money | None
    available: int


class CategoryRef(Struct, frozen=True):
    id: str
    slug: str
    name: str
    path: list[str]


class ProductPage(Struct, frozen=True):
    id: str
    slug: str
    title: str
    description: str
    category: CategoryRef | None
    attributes: Attributes
    images: list[Image]
    seller: SellerRef
    rating: Rating
    variants: list[Variant]


class ProductFound(Struct, frozen=True):
    """A product page, or the slug that it moved to."""

    page: ProductPage | None = None
    moved_to: str | None = None


class Category(Struct, frozen=True):
    """A node of the tree; ``count`` is of published products in it and below."""

    id: str
    slug: str
    name: str
    count: int
    items: list[Category]


class CategoryTree(Struct, frozen=True):
    items: list[Category]


class CategoryDraft(Struct, frozen=True, forbid_unknown_fields=True):
    name: CategoryName
    parent_id: str | None = None


class CategoryPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """``parent_id`` null makes it a root. Its address stays."""

    name: CategoryName | UnsetType = UNSET
    parent_id: str | UnsetType | None = UNSET


class Stock(Struct, frozen=True):
    on_hand: int
    reserved: int
    available: int


class SellerVariant(Struct, frozen=True):
    id: str
    sku: str
    title: str
    options: Options
    price: Money | None
    compare_at: Money | None
    stock: Stock


class SellerImage(Struct, frozen=True):
    id: str
    url: str | None
    status: Literal["pending", "ready", "rejected"]


class SellerProduct(Struct, frozen=True):
    """A product as its seller sees it, in any state."""

    id: str
    slug: str
    title: str
    description: str
    category_id: str | None
    attributes: Attributes
    images: list[SellerImage]
    status: ProductStatus
    reason_code: str | None
    updated_at: datetime
    variants: list[SellerVariant]


class MoneyInput(Struct, frozen=True, forbid_unknown_fields=True):
    amount: Price
    currency: Currency


class VariantDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    sku: Sku
    title: Annotated[str, Meta(max_length=300)] = ""
    options: OptionsInput = {}
    price: MoneyInput | None = None
    compare_at: MoneyInput | None = None
    stock: OnHand = 0


class ProductDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Title
    description: Annotated[str, Meta(max_length=20_000)] = ""
    category_id: str | None = None
    attributes: Attributes = {}
    variants: Annotated[tuple[VariantDraft, ...], Meta(max_length=200)] = ()


class VariantPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Matched by ``sku``; a new sku makes a new variant. Absent fields are kept."""

    sku: Sku
    title: Annotated[str, Meta(max_length=300)] | UnsetType = UNSET
    options: OptionsInput | UnsetType = UNSET
    price: MoneyInput | UnsetType | None = UNSET
    compare_at: MoneyInput | UnsetType | None = UNSET
    stock: OnHand | UnsetType = UNSET


class ProductPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Title | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=20_000)] | UnsetType = UNSET
    category_id: str | UnsetType | None = UNSET
    attributes: Attributes | UnsetType = UNSET
    variants: Annotated[tuple[VariantPatch, ...], Meta(max_length=200)] | UnsetType = UNSET


class ProductQuery(PageQuery, frozen=True, kw_only=True):
    """``category``: id or slug, with all below it. Prices in minor units."""

    category: str | None = None
    seller: str | None = None
    sort: Literal["newest", "price", "-price", "rating"] = "newest"
    min_price: int | None = None
    max_price: int | None = None


class SellerProductQuery(PageQuery, frozen=True, kw_only=True):
    status: ProductStatus | None = None
    sku: str | None = None
    updated_after: datetime | None = None


class VariantView(Struct, frozen=True, kw_only=True):
    """What a cart or an order needs to know of a variant now. ``buyable``: published, its seller active, priced."""

    id: str
    product_id: str
    seller: SellerRef
    sku: str
    title: str
    options: Options
    image: str | None
    price: Money | None
    available: int
    buyable: bool
    category_id: str | None
    tax_class: str


class LineRequest(Struct, frozen=True, forbid_unknown_fields=True):
    variant_id: str
    quantity: Quantity


class ReservedLine(Struct, frozen=True, kw_only=True):
    """Frozen at the moment of reservation: these are the price, title and seller of the order."""

    variant_id: str
    product_id: str
    seller: SellerRef
    sku: str
    title: str
    options: Options
    image: str | None
    quantity: int
    unit_price: Money
    category_id: str | None
    tax_class: str


class Reservation(Struct, frozen=True):
    key: str
    lines: list[ReservedLine]
    expires_at: datetime


class SellerState(Struct, frozen=True):
    """What the catalogue knows of a seller; ``version`` counts the seller's changes."""

    seller: SellerRef
    active: bool
    version: int


class StockRow(Struct, frozen=True, forbid_unknown_fields=True):
    """``quantity``: the new count on hand; ``delta``: change it by so much. Exactly one of them."""

    sku: str
    quantity: OnHand | None = None
    delta: int | None = None


class PriceRow(Struct, frozen=True, forbid_unknown_fields=True):
    sku: str
    price: MoneyInput
    compare_at: MoneyInput | None = None


class RowResult(Struct, frozen=True):
    sku: str
    status: Literal["updated", "unchanged", "rejected"]
    code: str | None = None
    detail: str | None = None


class RowResults(Struct, frozen=True):
    items: list[RowResult]


class ImportVariant(Struct, frozen=True, kw_only=True):
    """``price``: None for one that is not sold yet; then its product is a draft."""

    sku: str
    price: Money | None
    stock: int
    options: Options = {}
    id: str | None = None


class ImportImage(Struct, frozen=True):
    """``key`` of a blob; size in pixels."""

    key: str
    width: int
    height: int


class ImportProduct(Struct, frozen=True, kw_only=True):
    """One product of an import file; ``key`` is the seller's own, unique per seller.

    Where it has an ``id`` (and its variants theirs), it is found by that, and may have gone to another seller.
    """

    key: str
    seller_id: str
    title: str
    description: str
    category: tuple[str, ...]
    attributes: Attributes
    image: ImportImage | None
    variants: tuple[ImportVariant, ...]
    id: str | None = None


class ImportResult(Struct, frozen=True):
    """Per product, in the same order: what happened; ``variants`` likewise per variant, by sku."""

    status: Literal["written", "unchanged", "rejected"]
    variants: dict[str, Literal["written", "unchanged", "rejected"]]
    code: str | None = None
    detail: str | None = None


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("catalog.product_changed", key="product_id")
class ProductChanged(Event, frozen=True, kw_only=True):
    """A product as shoppers see it after the change; ``page`` is None when they do not see it (any more)."""

    product_id: str
    seller_id: str
    status: ProductStatus
    page: ProductPage | None = None


@event("catalog.stock_changed", key="product_id")
class StockChanged(Event, frozen=True, kw_only=True):
    """``available`` by variant id, after the change."""

    product_id: str
    available: dict[str, int]


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

declare_codes(409, "orders.out_of_stock", "catalog.sku_taken", "catalog.wrong_state", "catalog.category_in_use")
declare_scopes("seller", "products")
declare_scopes("admin", "categories")


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Catalog(ABC):
    """Products for shoppers, for their sellers, and for carts and orders."""

    # for shoppers

    @abstractmethod
    @query
    async def list_products(self, query: ProductQuery) -> Page[Card]: ...

    @abstractmethod
    @query
    async def get_product(self, id_or_slug: str) -> ProductFound:
        """:raises NotFound: there is none, or shoppers may not see it."""

    @abstractmethod
    @query
    async def get_categories(self) -> CategoryTree: ...

    # for carts and orders

    @abstractmethod
    @query
    async def get_variants(self, ids: list[str]) -> list[VariantView]:
        """Those that exist, in any state, in no particular order."""

    @abstractmethod
    @mutation(retriable=True)
    async def reserve(self, key: str, lines: list[LineRequest], seconds: int) -> Reservation:
        """Hold stock for an order: all lines or none; equal variants add up; the same ``key`` gives the same answer.

        What was extended is told with its later end. After a release of an unknown ``key`` nothing is held under it.

        :raises Conflict: ``orders.out_of_stock`` with a problem per line (``/lines/<n>``) that cannot be had.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def extend(self, key: str, until: datetime) -> None:
        """Let a held reservation live until then at least. What is not held any more stays so."""

    @abstractmethod
    @mutation(retriable=True)
    async def release(self, key: str) -> None:
        """Give held stock back. A committed reservation stays; an unknown key is remembered as released."""

    @abstractmethod
    @mutation(retriable=True)
    async def commit(self, key: str) -> None:
        """The order goes through: what is held becomes allocated. An expired reservation takes stock anew.

        :raises Conflict: ``orders.out_of_stock``: what had expired cannot be had any more, or nothing is held under ``key``.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def restock(self, key: str) -> None:
        """Undo a commit: nothing is allocated or held under ``key`` from now on, whatever comes late."""

    # for sellers

    @abstractmethod
    @mutation(retriable=True)
    async def create_product(self, seller_id: str, draft: ProductDraft) -> SellerProduct:
        """:raises Conflict: ``catalog.sku_taken``."""

    @abstractmethod
    @mutation(retriable=True)
    async def update_product(self, seller_id: str, product_id: str, patch: ProductPatch, if_match: str | None) -> SellerProduct:
        """:raises PreconditionFailed: ``if_match`` is not the entity tag of what :meth:`get_seller_product` gives."""

    @abstractmethod
    @mutation(retriable=True)
    async def publish_product(self, seller_id: str, product_id: str) -> SellerProduct:
        """Show a draft or an archived product.

        :raises Invalid: what a published product needs is missing. :raises Conflict: ``catalog.wrong_state``.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def archive_product(self, seller_id: str, product_id: str) -> SellerProduct:
        """Once this has returned, no shopper sees it, and nobody can reserve it."""

    @abstractmethod
    @mutation(retriable=True)
    async def delete_product(self, seller_id: str, product_id: str, if_match: str | None) -> None:
        """:raises Conflict: ``catalog.wrong_state``: it is published, or units of it are held, or sold and not shipped."""

    @abstractmethod
    @query
    async def get_seller_product(self, seller_id: str, product_id: str) -> SellerProduct: ...

    @abstractmethod
    @query
    async def list_seller_products(self, seller_id: str, query: SellerProductQuery) -> Page[SellerProduct]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def set_stock(self, seller_id: str, rows: list[StockRow]) -> RowResults:
        """Each row for itself, results in the same order; at most 1,000."""

    @abstractmethod
    @mutation(retriable=True)
    async def set_prices(self, seller_id: str, rows: list[PriceRow]) -> RowResults:
        """Each row for itself; one that would give a product two currencies is rejected."""

    @abstractmethod
    @patient(seconds=60.0)
    @mutation(retriable=True)
    async def import_products(self, products: list[ImportProduct]) -> list[ImportResult]:
        """Write a batch of an import file, published; an equal product is unchanged.

        A variant that the file has no more goes, unless units of it are held or sold: then it stays without any to buy.
        """

    # for operators

    @abstractmethod
    @mutation(retriable=True)
    async def create_category(self, draft: CategoryDraft) -> Category: ...

    @abstractmethod
    @mutation(retriable=True)
    async def update_category(self, category_id: str, patch: CategoryPatch) -> Category:
        """Rename it or hang it elsewhere, with all below it. :raises Invalid: below itself, or a name twice."""

    @abstractmethod
    @mutation(retriable=True)
    async def delete_category(self, category_id: str) -> None:
        """:raises Conflict: ``catalog.category_in_use``: a product or a category is in it."""

    @abstractmethod
    @mutation(retriable=True)
    async def set_seller(self, seller: SellerRef, active: bool, version: int) -> None:
        """Know a seller; of one that is not active nothing can be seen or bought once this has returned.

        ``version`` counts the seller's changes: an earlier one that comes late changes nothing.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def set_sellers(self, states: list[SellerState]) -> None:
        """:meth:`set_seller` for many at once."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class CatalogHooks:
    @hookspec
    def provide_catalog(self, context: PluginContext) -> Catalog:  # type: ignore[empty-body]
        """The capability's provider."""
