"""What sellers write, turned into records."""

from __future__ import annotations

from typing import Any, TypeVar

from msgspec import UnsetType

from marketplace_catalog.store import ProductRecord, VariantRecord
from marketplace_core.capabilities.catalog import ProductPatch, VariantDraft, VariantPatch
from marketplace_core.errors import Invalid, Problem
from marketplace_core.values import new_id

__all__ = ["apply_patch", "check_variants", "new_variant"]

T = TypeVar("T")


def new_variant(draft: VariantDraft) -> VariantRecord:
    return VariantRecord(
        id=new_id(),
        sku=draft.sku,
        title=draft.title,
        options=draft.options,
        price=draft.price.amount if draft.price else None,
        compare_at=draft.compare_at.amount if draft.compare_at else None,
        currency=draft.price.currency if draft.price else None,
        on_hand=draft.stock,
    )


def apply_patch(record: ProductRecord, patch: ProductPatch) -> None:
    """Change what the patch names; variants are matched by sku, a new sku makes a new one, those not named stay.

    :raises Invalid: a sku twice, stock below what is sold and not yet shipped, two currencies.
    """
    record.title = _given(patch.title, record.title)
    record.description = _given(patch.description, record.description)
    record.category_id = _given(patch.category_id, record.category_id)
    record.attributes = _given(patch.attributes, record.attributes)
    if isinstance(patch.variants, UnsetType):
        return
    known = {variant.sku: variant for variant in record.variants}
    for index, change in enumerate(patch.variants):
        if change.sku not in known:
            known[change.sku] = new_variant(VariantDraft(sku=change.sku))
            record.variants.append(known[change.sku])
        _apply_variant(known[change.sku], change, f"/variants/{index}")
    check_variants(record)


def _apply_variant(variant: VariantRecord, change: VariantPatch, pointer: str) -> None:
    variant.title = _given(change.title, variant.title)
    variant.options = _given(change.options, variant.options)
    if not isinstance(change.price, UnsetType):
        variant.price = change.price.amount if change.price else None
        variant.currency = change.price.currency if change.price else None
    if not isinstance(change.compare_at, UnsetType):
        variant.compare_at = change.compare_at.amount if change.compare_at else None
    if not isinstance(change.stock, UnsetType):
        promised = variant.reserved + variant.allocated
        if change.stock < promised:
            raise Invalid([Problem(f"{pointer}/stock", "range", f"{promised} units are reserved or sold.")])
        variant.on_hand = change.stock


def check_variants(record: ProductRecord) -> None:
    """:raises Invalid: a sku twice, or more than one currency in a product."""
    skus: set[str] = set()
    problems = []
    for index, variant in enumerate(record.variants):
        if variant.sku in skus:
            problems.append(Problem(f"/variants/{index}/sku", "duplicate", "Another variant has this SKU."))
        skus.add(variant.sku)
    currencies = {variant.currency for variant in record.variants if variant.currency}
    if len(currencies) > 1:
        problems.append(Problem("/variants", "unknown_value", "All prices of a product are in one currency."))
    if problems:
        raise Invalid(problems)


def _given(value: T | UnsetType, kept: Any) -> T:
    return kept if isinstance(value, UnsetType) else value
