"""A batch of an import file. An equal product is unchanged, so that a second run does nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec
from msgspec.structs import replace

from marketplace_catalog.drafts import inconsistent, oversized
from marketplace_catalog.store import CatalogStore, ImageRecord, ProductRecord, VariantRecord
from marketplace_core.capabilities.catalog import ImportImage, ImportProduct, ImportResult, ImportVariant
from marketplace_core.errors import Problem
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import new_id

__all__ = ["read_batch"]

Key = tuple[str, str]
"""Seller id, and a product's key or a sku."""
Status = Literal["written", "unchanged", "rejected"]


async def read_batch(
    uow: UnitOfWork, store: CatalogStore, products: Sequence[ImportProduct], slug: Callable[[str, str], str]
) -> tuple[list[ImportResult], list[ProductRecord]]:
    """What differs from what the last import of the same product wrote, as records to save."""
    keys = [(product.seller_id, product.key) for product in products]
    ids = [product.id for product in products if product.id is not None]
    locked = await store.lock_imported(uow, keys, ids)
    known = {(record.seller_id, record.import_key or ""): record for record in locked}
    by_id = {record.id: record for record in locked}
    taken = await store.taken_skus(uow, [(p.seller_id, v.sku) for p in products for v in p.variants])
    categories = await store.ensure_categories(uow, sorted({p.category for p in products if p.category}))
    sellers = {id_ for id_, _ in await store.frames(uow, {(product.seller_id, None) for product in products})}
    results: list[ImportResult] = []
    records: dict[Key, ProductRecord] = {}
    for product, key in zip(products, keys, strict=True):
        old = known.get(key) or by_id.get(product.id or "")
        digest = _digest(product)
        if old is not None and old.digest == digest and key not in records:
            results.append(_result(product, "unchanged"))
            continue
        record = _record(product, old, categories.get(product.category), slug, uow.now)
        record.digest = digest
        problem = _known(product, key in records, sellers) or _clash(product, old, taken) or _problem(product, record)
        if problem is not None:
            results.append(_result(product, "rejected", problem))
            continue
        records[key] = record
        results.append(_result(product, "written"))
        taken |= {(product.seller_id, variant.sku): record.id for variant in product.variants}
    return results, list(records.values())


def _result(product: ImportProduct, status: Status, problem: Problem | None = None) -> ImportResult:
    code, detail = (problem.code, problem.detail) if problem else (None, None)
    return ImportResult(status, {variant.sku: status for variant in product.variants}, code, detail)


def _digest(product: ImportProduct) -> str:
    """Of what the file says of it: an id is made from its key."""
    variants = tuple(replace(variant, id=None) for variant in product.variants)
    raw = msgspec.json.encode(replace(product, id=None, variants=variants), order="deterministic")
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────


def _known(product: ImportProduct, twice: bool, sellers: set[str]) -> Problem | None:
    if product.seller_id not in sellers:
        return Problem("/seller_id", "not_found", "There is no such seller.")
    return Problem("/key", "duplicate", f"The product {product.key!r} stands in the batch twice.") if twice else None


def _clash(product: ImportProduct, old: ProductRecord | None, taken: Mapping[Key, str]) -> Problem | None:
    own = old.id if old else None
    for variant in product.variants:
        if taken.get((product.seller_id, variant.sku), own) != own:
            detail = f"The SKU {variant.sku!r} belongs to another product of this seller."
            return Problem("/variants", "catalog.sku_taken", detail)
    return None


def _problem(product: ImportProduct, record: ProductRecord) -> Problem | None:
    """The first thing that keeps a product from being saved."""
    for variant in product.variants:
        if variant.stock < 0 or (variant.price is not None and variant.price.amount <= 0):
            return Problem("/variants", "range", f"The SKU {variant.sku!r} has a price or stock below what there can be.")
    pointers = [f"/variants/{index}" for index in range(len(record.variants))]
    problems = oversized(product.attributes, "/attributes") + inconsistent(record.variants, pointers)
    return problems[0] if problems else None


# ── records ──────────────────────────────────────────────────────────────────────────────────────────────────


def _record(
    product: ImportProduct,
    old: ProductRecord | None,
    category_id: str | None,
    slug: Callable[[str, str], str],
    now: datetime,
) -> ProductRecord:
    id_ = old.id if old else product.id or new_id()
    variants = _variants(product.variants, old.variants if old else [])
    return ProductRecord(
        id=id_,
        seller_id=product.seller_id,
        import_key=product.key,
        slug=old.slug if old and old.title == product.title else slug(product.title, id_),
        title=product.title,
        description=product.description,
        category_id=category_id,
        attributes=product.attributes,
        images=_images(product.image, old.images if old else []),
        status="published" if variants and all(variant.price for variant in variants) else "draft",
        reason_code=None,
        rating_average=old.rating_average if old else None,
        rating_count=old.rating_count if old else 0,
        created_at=old.created_at if old else now,
        updated_at=now,
        variants=variants,
    )


def _variants(given: Sequence[ImportVariant], old: Sequence[VariantRecord]) -> list[VariantRecord]:
    """What is reserved or sold stays, covered by the shelf, also of a variant that the file has no more."""
    known = {variant.sku: variant for variant in old}
    kept = [variant for variant in old if variant.promised and variant.sku not in {one.sku for one in given}]
    for variant in kept:
        variant.on_hand = variant.promised
    return [_variant(variant, known.get(variant.sku)) for variant in given] + kept


def _variant(given: ImportVariant, old: VariantRecord | None) -> VariantRecord:
    return VariantRecord(
        id=old.id if old else given.id or new_id(),
        sku=given.sku,
        title=" / ".join(given.options.values()),
        options=given.options,
        price=given.price.amount if given.price else None,
        compare_at=None,
        currency=given.price.currency if given.price else None,
        on_hand=max(given.stock, old.promised) if old else given.stock,
        reserved=old.reserved if old else 0,
        allocated=old.allocated if old else 0,
    )


def _images(image: ImportImage | None, old: Sequence[ImageRecord]) -> list[ImageRecord]:
    if image is None:
        return []
    same = next((record.id for record in old if record.key == image.key), None)
    return [ImageRecord(same or new_id(), image.key, "ready", image.width, image.height)]
