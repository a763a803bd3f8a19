"""Values of catalog."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace_core.values import LARGEST_AMOUNT, NOT_BLANK, Currency, Id, Money, PageQuery, tidy_fields

Title = Annotated[str, Meta(min_length=1, max_length=300, pattern=NOT_BLANK)]
Sku = Annotated[str, Meta(min_length=1, max_length=100, pattern=NOT_BLANK)]
Quantity = Annotated[int, Meta(ge=1, le=1_000_000)]
OnHand = Annotated[int, Meta(ge=0, le=2_000_000_000)]
Price = Annotated[int, Meta(ge=1, le=LARGEST_AMOUNT)]
Options = dict[str, str]
OptionsInput = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=100)], Annotated[str, Meta(min_length=1, max_length=200)]],
    Meta(max_length=20),
]
Attributes = dict[str, Any]
AttributesInput = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=100)], Any], Meta(max_length=200)]
CategoryName = Annotated[str, Meta(min_length=1, max_length=200, pattern=NOT_BLANK)]
#: Of what a list is asked for by: an id, a slug.
Handle = Annotated[str, Meta(max_length=300)]

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

    def card(self) -> Card:
        """As lists show it. It has variants."""
        cheapest = min(self.variants, key=lambda variant: variant.price.amount)
        return Card(
            id=self.id,
            slug=self.slug,
            title=self.title,
            seller=self.seller,
            price=cheapest.price,
            compare_at=cheapest.compare_at,
            image=self.images[0] if self.images else None,
            rating=self.rating,
            in_stock=any(variant.available > 0 for variant in self.variants),
        )


class ProductFound(Struct, frozen=True):
    """A product page, or the slug that it moved to."""

    page: ProductPage | None = None
    moved_to: str | None = None


class Category(Struct, frozen=True, gc=False):
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
    parent_id: Id | None = None

    def __post_init__(self) -> None:
        tidy_fields(self, "name")


class CategoryPatch(Struct, frozen=True, forbid_unknown_fields=True):
    """``parent_id`` null makes it a root. Its address stays."""

    name: CategoryName | UnsetType = UNSET
    parent_id: Id | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        tidy_fields(self, "name")


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

    def __post_init__(self) -> None:
        tidy_fields(self, "sku", "title")


class ProductDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Title
    description: Annotated[str, Meta(max_length=20_000)] = ""
    category_id: Id | None = None
    attributes: AttributesInput = {}
    variants: Annotated[tuple[VariantDraft, ...], Meta(max_length=200)] = ()

    def __post_init__(self) -> None:
        tidy_fields(self, "title")


class VariantPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Matched by ``sku``; a new sku makes a new variant. Absent fields are kept."""

    sku: Sku
    title: Annotated[str, Meta(max_length=300)] | UnsetType = UNSET
    options: OptionsInput | UnsetType = UNSET
    price: MoneyInput | UnsetType | None = UNSET
    compare_at: MoneyInput | UnsetType | None = UNSET
    stock: OnHand | UnsetType = UNSET

    def __post_init__(self) -> None:
        tidy_fields(self, "sku", "title")


class ProductPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Title | UnsetType = UNSET
    description: Annotated[str, Meta(max_length=20_000)] | UnsetType = UNSET
    category_id: Id | UnsetType | None = UNSET
    attributes: AttributesInput | UnsetType = UNSET
    variants: Annotated[tuple[VariantPatch, ...], Meta(max_length=200)] | UnsetType = UNSET

    def __post_init__(self) -> None:
        tidy_fields(self, "title")


class ProductQuery(PageQuery, frozen=True, kw_only=True):
    """``category``: id or slug, with all below it. Prices in minor units."""

    category: Handle | None = None
    seller: Handle | None = None
    sort: Literal["newest", "price", "-price", "rating"] = "newest"
    min_price: int | None = None
    max_price: int | None = None


class SellerProductQuery(PageQuery, frozen=True, kw_only=True):
    status: ProductStatus | None = None
    sku: Annotated[str, Meta(max_length=100)] | None = None
    updated_after: datetime | None = None

    def __post_init__(self) -> None:
        tidy_fields(self, "sku")


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

    sku: Annotated[str, Meta(max_length=100)]
    quantity: OnHand | None = None
    delta: int | None = None

    def __post_init__(self) -> None:
        tidy_fields(self, "sku")


class PriceRow(Struct, frozen=True, forbid_unknown_fields=True):
    sku: Annotated[str, Meta(max_length=100)]
    price: MoneyInput
    compare_at: MoneyInput | None = None

    def __post_init__(self) -> None:
        tidy_fields(self, "sku")


class RowResult(Struct, frozen=True):
    sku: str
    status: Literal["updated", "unchanged", "rejected"]
    code: str | None = None
    detail: str | None = None


class RowResults(Struct, frozen=True):
    items: list[RowResult]


class ImportVariant(Struct, frozen=True, kw_only=True):
    """``price``: None for one that is not sold yet; then its product is a draft. ``stock_unsaid``: it stays as it was; it is
    ``stock`` only of a new one. ``compare_at`` stays likewise if it is ``UNSET``; None takes it away.
    """

    sku: str
    price: Money | None
    stock: int
    options: Options = {}
    id: str | None = None
    compare_at: Money | UnsetType | None = UNSET
    stock_unsaid: bool = False


class ImportImage(Struct, frozen=True):
    """``key`` of a blob; size in pixels."""

    key: str
    width: int
    height: int


class ImportProduct(Struct, frozen=True, kw_only=True):
    """One product of an import file; ``key`` is the seller's own, unique per seller.

    Where it has an ``id`` (and its variants theirs), it is found by that, and may have gone to another seller.
    A ``status`` that is ``UNSET`` stays as it was, and so do pictures where there is none; a new product is published.

    :param addresses: URLs of further pictures, which are fetched after it is written.
    :param facts: attributes that are set beside those that stay.
    :param unsaid: what the file does not say, and stays as it was.
    :param keeps: skus that the file names in rows that are not good: these variants stay as they are.
    :param takes: skus that another product of the seller has, which the file names too and gives others: they move, with
        what is promised of them.
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
    images: tuple[ImportImage, ...] = ()
    addresses: tuple[str, ...] = ()
    facts: Attributes = {}
    status: Literal["draft", "published", "archived"] | UnsetType = UNSET
    unsaid: tuple[Literal["description", "category", "attributes"], ...] = ()
    keeps: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()


class ImportProblem(Struct, frozen=True):
    """Why a variant is not written. ``holder``: the key of the seller's other product that has its sku."""

    code: str
    detail: str
    holder: str | None = None


class ImportResult(Struct, frozen=True):
    """Per product, in the same order: what happened; ``variants`` likewise per variant, by sku, and why for the rejected.

    A product is rejected if none of its variants can be written; ``code`` and ``detail`` say why.
    """

    status: Literal["written", "unchanged", "rejected"]
    variants: dict[str, Literal["written", "unchanged", "rejected"]]
    code: str | None = None
    detail: str | None = None
    problems: dict[str, ImportProblem] = {}
