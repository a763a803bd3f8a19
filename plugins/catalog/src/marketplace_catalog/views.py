"""How records leave the service: as the seller sees them, and as shoppers do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from marketplace_catalog.domain import CategoryNode
from marketplace_catalog.store import Frame, ProductRecord, Short, VariantRecord
from marketplace_core.capabilities.catalog import (
    Category,
    Image,
    ProductPage,
    Rating,
    SellerImage,
    SellerProduct,
    SellerVariant,
    Stock,
    Variant,
)
from marketplace_core.errors import Conflict, Problem
from marketplace_core.values import Money

__all__ = ["categories", "out_of_stock", "page", "seller_product", "with_urls"]

Url = Callable[[str], str]


def seller_product(record: ProductRecord, url: Url) -> SellerProduct:
    return SellerProduct(
        id=record.id,
        slug=record.slug,
        title=record.title,
        description=record.description,
        category_id=record.category_id,
        attributes=record.attributes,
        images=[
            SellerImage(image.id, url(image.key) if image.status == "ready" else None, image.status) for image in record.images
        ],
        status=record.status,
        reason_code=record.reason_code,
        updated_at=record.updated_at,
        variants=[
            SellerVariant(
                id=variant.id,
                sku=variant.sku,
                title=variant.title,
                options=variant.options,
                price=_money(variant.price, variant.currency),
                compare_at=_money(variant.compare_at, variant.currency),
                stock=Stock(variant.on_hand, variant.reserved + variant.allocated, variant.available),
            )
            for variant in record.variants
        ],
    )


def page(record: ProductRecord, frame: Frame, url: Url) -> ProductPage | None:
    """What shoppers see; None if they do not see it."""
    if record.status != "published" or not frame.active:
        return None
    return ProductPage(
        id=record.id,
        slug=record.slug,
        title=record.title,
        description=record.description,
        category=frame.category,
        attributes=record.attributes,
        images=[Image(url(image.key), image.width, image.height) for image in record.images if image.status == "ready"],
        seller=frame.seller,
        rating=_rating(record),
        variants=[_variant(variant) for variant in record.variants],
    )


def _rating(record: ProductRecord) -> Rating:
    average = record.rating_average
    return Rating(None if average is None else round(average, 2), record.rating_count)


def _variant(variant: VariantRecord) -> Variant:
    return Variant(
        id=variant.id,
        sku=variant.sku,
        title=variant.title,
        options=variant.options,
        price=Money(variant.price or 0, variant.currency or "XXX"),
        compare_at=_money(variant.compare_at, variant.currency),
        available=variant.available,
    )


def with_urls(images: Sequence[Image], url: Url) -> list[Image]:
    """A store knows pictures by the keys of their blobs."""
    return [replace(image, url=url(image.url)) for image in images]


def categories(nodes: Sequence[CategoryNode]) -> list[Category]:
    """These and all below them. Without recursion, and the deepest first: what is made does not change any more."""
    every = list(nodes)
    for node in every:  # which grows by them
        every.extend(node.children)
    made: dict[str, Category] = {}
    for node in reversed(every):
        made[node.id] = Category(node.id, node.slug, node.name, node.count, [made[child.id] for child in node.children])
    return [made[node.id] for node in nodes]


def _money(amount: int | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else Money(amount, currency)


def out_of_stock(short: Sequence[Short]) -> Conflict:
    return Conflict(
        "orders.out_of_stock",
        "Not everything can be had in that number.",
        errors=[Problem(f"/lines/{line.index}", "range", f"{line.available} can be had.") for line in short],
    )
