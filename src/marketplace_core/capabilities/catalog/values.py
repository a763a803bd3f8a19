"""Values of catalog."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace_core.pictures.values import PictureSize, PictureStatus
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
    """``url`` is public and cached for ever; width and height in pixels, None until they are known. ``sizes``: smaller ones by
    name, ``card`` and ``thumb``.

    In an event, and in what is read to be kept, it is the key of a blob: :func:`marketplace_core.pictures.address` says where
    that is shown.
    """

    url: str
    width: int | None = None
    height: int | None = None
    sizes: dict[str, PictureSize] = {}

    def sized(self, name: str) -> Image:
        """In that size alone, where there is one."""
        size = self.sizes.get(name)
        return Image(self.url, self.width, self.height) if size is None else Image(size.url, size.width, size.height)

    def at(self, url: Callable[[str], str]) -> Image:
        """As it is shown: with addresses for keys."""
        sizes = {name: PictureSize(url(size.url), size.width, size.height) for name, size in self.sizes.items()}
        return Image(url(self.url), self.width, self.height, sizes)


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
            image=self.images[0].sized("card") if self.images else None,
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
    """``code``: why it is rejected."""

    id: str
    url: str | None
    status: PictureStatus
    code: str | None = None


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
    """What a cart or an order needs to know of a variant now. ``buyable``: published, its seller active, priced.

    ``weight_g``: of a unit, None where its product does not say; ``digital``: there is nothing to send.
    """

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
    weight_g: int | None = None
    digital: bool = False


class LineRequest(Struct, frozen=True, forbid_unknown_fields=True):
    variant_id: str
    quantity: Quantity


class ReservedLine(Struct, frozen=True, kw_only=True):
    """Frozen at the moment of reservation: these are the price, title and seller of the order, and what it weighs."""

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
    weight_g: int | None = None
    digital: bool = False


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
