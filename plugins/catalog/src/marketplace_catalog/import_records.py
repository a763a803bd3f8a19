"""Records out of what an import file says; what it does not say stays as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar, cast

from msgspec import UnsetType

from marketplace_catalog.store import ProductRecord, VariantRecord
from marketplace_core.capabilities.catalog import ImportImage, ImportProduct, ImportVariant, ProductStatus
from marketplace_core.pictures import PictureRecord
from marketplace_core.values import new_id

__all__ = ["STATUS_WAS", "left_by", "new_record", "says", "variant_record"]

T = TypeVar("T")

#: Stands in place of a digest while a product waits for its own rows, since another took a variant of it; then its status.
STATUS_WAS = "was:"


def new_record(
    product: ImportProduct,
    old: ProductRecord | None,
    categories: Mapping[tuple[str, ...], str],
    slug: Callable[[str, str], str],
    now: datetime,
) -> ProductRecord:
    """Without its variants and what follows from them."""
    id_ = old.id if old else product.id or new_id()
    category_id = old.category_id if old else None
    if "category" not in product.unsaid:
        category_id = categories[product.category] if product.category else None
    return ProductRecord(
        id=id_,
        seller_id=product.seller_id,
        import_key=product.key,
        slug=old.slug if old and old.title == product.title else slug(product.title, id_),
        title=product.title,
        description=old.description if old and "description" in product.unsaid else product.description,
        category_id=category_id,
        attributes=_attributes(product, old),
        images=_images(product, old.images if old else []),
        status="draft",
        reason_code=old.reason_code if old else None,
        rating_average=old.rating_average if old else None,
        rating_count=old.rating_count if old else 0,
        rating_score=old.rating_score if old else None,
        created_at=old.created_at if old else now,
        updated_at=now,
        variants=[],
        counted_in=old.counted_in if old else None,
    )


def _attributes(product: ImportProduct, old: ProductRecord | None) -> dict[str, Any]:
    said = {**(old.attributes if old and "attributes" in product.unsaid else product.attributes), **product.facts}
    before, now = old.attributes.get("untracked") if old else None, product.facts.get("untracked")
    if before is None or now is True:
        return said
    # A count takes back that nobody counts.
    still = [variant.sku for variant in product.variants if variant.stock_unsaid and says(before, variant.sku)]
    still += [sku for sku in product.keeps if says(before, sku)]
    untracked = {**(now or {}), **dict.fromkeys(still, True)}
    return {**said, "untracked": untracked} if untracked else {key: said[key] for key in said if key != "untracked"}


def says(told: Any, sku: str) -> bool:
    """Whether an attribute is true of a variant: of all of its product's, or by its sku."""
    return (told.get(sku) if isinstance(told, dict) else told) is True


def left_by(record: ProductRecord, old: ProductRecord | None, wanted: ProductStatus | UnsetType) -> None:
    """The status once the variants are known. What was a draft only for want of a price is shown with one."""
    before: ProductStatus = "published"
    if old is not None:
        before = old.status
        if old.digest and old.digest.startswith(STATUS_WAS):
            before = cast(ProductStatus, old.digest.removeprefix(STATUS_WAS))
        elif before == "draft" and not _complete(old) and old.digest is not None:
            before = "published"
    record.status = _given(wanted, before)
    if before in {"in_review", "rejected"} and wanted == "published":
        record.status = before  # which is not the seller's to change
    if record.status == "published" and not _complete(record):
        record.status = "draft"


def _complete(record: ProductRecord) -> bool:
    return bool(record.variants) and all(variant.price for variant in record.variants)


def variant_record(given: ImportVariant, old: VariantRecord | None, *, untracked: bool) -> VariantRecord:
    """What is reserved or sold stays, covered by the shelf; of what nobody counts beside it."""
    currency = given.price.currency if given.price else None
    stock = old.on_hand if old and given.stock_unsaid else given.stock + (old.promised if old and untracked else 0)
    variant = VariantRecord(
        id=old.id if old else given.id or new_id(),
        sku=given.sku,
        title=" / ".join(given.options.values())[:300],
        options=given.options,
        price=given.price.amount if given.price else None,
        compare_at=None,
        currency=currency,
        on_hand=max(stock, old.promised) if old else stock,
        reserved=old.reserved if old else 0,
        allocated=old.allocated if old else 0,
    )
    before = old.compare_at if old and old.currency == currency else None
    if not isinstance(given.compare_at, UnsetType):
        before = given.compare_at.amount if given.compare_at else None
    if before is not None and variant.price is not None and before > variant.price:
        variant.compare_at = before
    return variant


def _images(product: ImportProduct, old: list[PictureRecord]) -> list[PictureRecord]:
    given = [*([product.image] if product.image else []), *product.images]
    if not given and not product.addresses:
        return old
    fetched = {image.source: image for image in old if image.source is not None}
    rest = [fetched.get(url) or PictureRecord(new_id(), "", "pending", source=url) for url in dict.fromkeys(product.addresses)]
    return [_image(image, old) for image in dict.fromkeys(given)] + rest


def _image(image: ImportImage, old: list[PictureRecord]) -> PictureRecord:
    same = next((record.id for record in old if record.key == image.key), None)
    return PictureRecord(same or new_id(), image.key, "ready", image.width, image.height, sizes=image.sizes)


def _given(value: Any | UnsetType, kept: T) -> T:
    return kept if isinstance(value, UnsetType) else cast(T, value)
