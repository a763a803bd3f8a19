"""A batch of an import file. An equal product is unchanged, so that a second run does nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import msgspec

from marketplace_catalog import views
from marketplace_catalog.store import CatalogStore, ImageRecord, ProductRecord, VariantRecord
from marketplace_core.capabilities.catalog import ImportProduct, ImportResult, ImportVariant, ProductChanged
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import new_id

__all__ = ["import_products"]

Url = Callable[[str], str]
SkuKey = tuple[str, str]


async def import_products(
    uow: UnitOfWork,
    store: CatalogStore,
    products: Sequence[ImportProduct],
    slug: Callable[[str, str], str],
    url: Url,
) -> list[ImportResult]:
    """Write what differs from what the last import of the same product wrote; published products come out."""
    keys = [(product.seller_id, product.key) for product in products]
    known = {(record.seller_id, record.import_key): record for record in await store.lock_imported(uow, keys)}
    taken = await store.taken_skus(uow, [(p.seller_id, v.sku) for p in products for v in p.variants])
    categories = await store.ensure_categories(uow, sorted({p.category for p in products if p.category}))
    results: list[ImportResult] = []
    records: list[ProductRecord] = []
    for product in products:
        old = known.get((product.seller_id, product.key))
        if clash := _clash(product, old, taken):
            results.append(_rejected(product, clash))
            continue
        digest = _digest(product)
        if old is not None and old.digest == digest:
            results.append(ImportResult("unchanged", {variant.sku: "unchanged" for variant in product.variants}))
            continue
        record = _record(uow, product, old, categories.get(product.category), slug)
        record.digest = digest
        records.append(record)
        results.append(ImportResult("written", {variant.sku: "written" for variant in product.variants}))
        taken |= {(product.seller_id, variant.sku): record.id for variant in product.variants}
    if records:
        await store.save_products(uow, records)
        await _emit(uow, store, records, url)
    return results


def _clash(product: ImportProduct, old: ProductRecord | None, taken: dict[SkuKey, str]) -> str | None:
    own = old.id if old else None
    for variant in product.variants:
        if taken.get((product.seller_id, variant.sku), own) != own:
            return variant.sku
    return None


def _rejected(product: ImportProduct, sku: str) -> ImportResult:
    detail = f"The SKU {sku!r} belongs to another product of this seller."
    return ImportResult("rejected", {v.sku: "rejected" for v in product.variants}, "catalog.sku_taken", detail)


def _digest(product: ImportProduct) -> str:
    return hashlib.blake2b(msgspec.json.encode(product, order="deterministic"), digest_size=16).hexdigest()


def _record(
    uow: UnitOfWork,
    product: ImportProduct,
    old: ProductRecord | None,
    category_id: str | None,
    slug: Callable[[str, str], str],
) -> ProductRecord:
    id_ = old.id if old else new_id()
    image = product.image
    variants = {variant.sku: variant for variant in old.variants} if old else {}
    return ProductRecord(
        id=id_,
        seller_id=product.seller_id,
        import_key=product.key,
        slug=old.slug if old and old.title == product.title else slug(product.title, id_),
        title=product.title,
        description=product.description,
        category_id=category_id,
        attributes=product.attributes,
        images=[ImageRecord(new_id(), image.key, "ready", image.width, image.height)] if image else [],
        status="published",
        reason_code=None,
        created_at=old.created_at if old else uow.now,
        updated_at=uow.now,
        variants=[_variant(variant, variants.get(variant.sku)) for variant in product.variants],
    )


def _variant(given: ImportVariant, old: VariantRecord | None) -> VariantRecord:
    """What is reserved or sold stays covered: the shelf holds at least that."""
    promised = old.reserved + old.allocated if old else 0
    return VariantRecord(
        id=old.id if old else new_id(),
        sku=given.sku,
        title=" / ".join(given.options.values()),
        options=given.options,
        price=given.price.amount,
        compare_at=None,
        currency=given.price.currency,
        on_hand=max(given.stock, promised),
        reserved=old.reserved if old else 0,
        allocated=old.allocated if old else 0,
    )


async def _emit(uow: UnitOfWork, store: CatalogStore, records: Sequence[ProductRecord], url: Url) -> None:
    frames = {}
    for around in {(record.seller_id, record.category_id) for record in records}:
        frames[around] = await store.frame(uow, *around)
    for record in records:
        frame = frames[(record.seller_id, record.category_id)]
        page = views.page(record, frame, url) if frame else None
        uow.emit(ProductChanged(product_id=record.id, seller_id=record.seller_id, status=record.status, page=page))
