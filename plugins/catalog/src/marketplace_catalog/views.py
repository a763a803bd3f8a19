"""How records leave the service: as the seller sees them, and as shoppers do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter

from marketplace_catalog.domain import MAX_DEPTH, CategoryNode
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
from marketplace_core.pictures import PictureRecord
from marketplace_core.values import Money

__all__ = ["category_of", "category_tree", "out_of_stock", "page", "seller_product"]

Url = Callable[[str], str]


def seller_product(record: ProductRecord, url: Url) -> SellerProduct:
    return SellerProduct(
        id=record.id,
        slug=record.slug,
        title=record.title,
        description=record.description,
        category_id=record.category_id,
        attributes=record.attributes,
        images=[_seller_image(image, url) for image in record.images],
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


def _seller_image(image: PictureRecord, url: Url) -> SellerImage:
    """Also one that waits for a decision: it is the seller's own."""
    shown = url(image.key_of("card")) if image.key and image.status != "rejected" else None
    return SellerImage(image.id, shown, image.status, image.code)


def image_of(image: PictureRecord) -> Image:
    return Image(image.key, image.width, image.height, image.sizes)


def page(record: ProductRecord, frame: Frame) -> ProductPage | None:
    """What shoppers see; None if they do not see it. Pictures are keys, and made into addresses where it is shown."""
    if record.status != "published" or not frame.active:
        return None
    return ProductPage(
        id=record.id,
        slug=record.slug,
        title=record.title,
        description=record.description,
        category=frame.category,
        attributes=record.attributes,
        images=[image_of(image) for image in record.images if image.status == "ready"],
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


def category_tree(nodes: Iterable[CategoryNode], depth: int = MAX_DEPTH) -> list[Category]:
    """The nodes below their parents, by name; a count is of what is below, too. What is deeper is counted and not shown.

    In one pass and without recursion, the deepest first: ten thousand are asked for at every page.
    """
    rows = sorted(nodes, key=itemgetter(3, 0))
    rows.sort(key=itemgetter(5), reverse=True)
    below: dict[str | None, list[Category]] = {}
    for id_, parent_id, slug, name, count, level in rows:
        items = below.pop(id_, [])
        for item in items:
            count += item.count  # noqa: PLW2901
        found = Category(id_, slug, name, count, items if level + 1 < depth else [])
        below.setdefault(parent_id, []).append(found)
    return below.get(None, [])


def category_of(id_: str, nodes: Sequence[CategoryNode]) -> Category:
    """One of them with all below it, as the root that it is not."""
    by_parent: dict[str | None, list[CategoryNode]] = {}
    for node in nodes:
        by_parent.setdefault(node.parent_id, []).append(node)
    found = [next(node for node in nodes if node.id == id_)._replace(parent_id=None)]
    for node in found:  # which grows by what is below
        found.extend(by_parent.get(node.id, ()))
    return category_tree(found)[0]


def _money(amount: int | None, currency: str | None) -> Money | None:
    return None if amount is None or currency is None else Money(amount, currency)


def out_of_stock(short: Sequence[Short]) -> Conflict:
    return Conflict(
        "orders.out_of_stock",
        "Not everything can be had in that number.",
        errors=[Problem(f"/lines/{line.index}", "range", f"{line.available} can be had.") for line in short],
    )
