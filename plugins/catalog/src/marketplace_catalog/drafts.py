"""What sellers write, turned into records. Every problem is found, and points into the request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from marketplace_catalog.domain import MAX_DEPTH, CategoryNode, depth_below, is_below, is_lower, unpublishable
from marketplace_catalog.store import ProductRecord, VariantRecord
from marketplace_core.capabilities.catalog import CategoryPatch, MoneyInput, ProductPatch, VariantDraft, VariantPatch
from marketplace_core.errors import Invalid, Problem
from marketplace_core.values import new_id, require

__all__ = ["add_variants", "apply_category", "apply_patch", "check_publishable", "inconsistent", "oversized"]

T = TypeVar("T")

MAX_VARIANTS = 200
ONE_CURRENCY = "All prices of a product are in one currency."
NOT_LOWER = "A compare_at is above the price; give both, or null."


def add_variants(record: ProductRecord, drafts: Iterable[VariantDraft]) -> None:
    """Give a new product its variants.

    :raises Invalid: a sku or a combination of options twice, two currencies, a number that no store holds.
    """
    problems = oversized(record.attributes, "/attributes")
    pointers = []
    for index, draft in enumerate(drafts):
        pointers.append(f"/variants/{index}")
        variant = _blank(draft.sku)
        variant.title, variant.options, variant.on_hand = draft.title, draft.options, draft.stock
        problems += _set_prices(variant, draft.price, draft.compare_at, pointers[-1])
        record.variants.append(variant)
    _raise(problems + inconsistent(record.variants, pointers))


def apply_patch(record: ProductRecord, patch: ProductPatch) -> dict[str, str]:
    """Change what the patch names; variants are matched by sku, a new sku makes a new one, those not named stay.

    :returns: by sku, where in the patch a variant stands.
    :raises Invalid: what :func:`add_variants` refuses, and stock below what is sold and not yet shipped.
    """
    record.title = _given(patch.title, record.title)
    record.description = _given(patch.description, record.description)
    record.category_id = _given(patch.category_id, record.category_id)
    record.attributes = _given(patch.attributes, record.attributes)
    problems = oversized(record.attributes, "/attributes")
    known = {variant.sku: variant for variant in record.variants}
    pointers: dict[str, str] = {}
    for index, change in enumerate(() if isinstance(patch.variants, UnsetType) else patch.variants):
        pointer = f"/variants/{index}"
        if change.sku in pointers:
            problems.append(Problem(f"{pointer}/sku", "duplicate", "Name each SKU once."))
            continue
        pointers[change.sku] = pointer
        if change.sku not in known:
            known[change.sku] = _blank(change.sku)
            record.variants.append(known[change.sku])
        problems += _change(known[change.sku], change, pointer)
    _raise(problems + inconsistent(record.variants, [pointers.get(variant.sku) for variant in record.variants]))
    return pointers


def apply_category(node: CategoryNode, nodes: Mapping[str, CategoryNode], patch: CategoryPatch) -> CategoryNode:
    """A category of the tree ``nodes``, changed. :raises Invalid: it would hang below itself, nothing, or too deep."""
    node = node._replace(name=_given(patch.name, node.name))
    if isinstance(patch.parent_id, UnsetType):
        return node
    known = patch.parent_id is None or patch.parent_id in nodes
    require(known, "/parent_id", "not_found", "There is no such category.")
    parents = {id_: other.parent_id for id_, other in nodes.items()}
    below = is_below(parents, patch.parent_id, node.id)
    require(not below, "/parent_id", "unknown_value", "A category cannot hang below itself.")
    deep = depth_below(parents, patch.parent_id, node.id) > MAX_DEPTH
    require(not deep, "/parent_id", "range", f"A tree of categories has at most {MAX_DEPTH} levels.")
    return node._replace(parent_id=patch.parent_id)


def _blank(sku: str) -> VariantRecord:
    return VariantRecord(id=new_id(), sku=sku, title="", options={}, price=None, compare_at=None, currency=None, on_hand=0)


def _change(variant: VariantRecord, change: VariantPatch, pointer: str) -> list[Problem]:
    variant.title = _given(change.title, variant.title)
    variant.options = _given(change.options, variant.options)
    problems = _set_prices(variant, change.price, change.compare_at, pointer)
    stock = _given(change.stock, variant.on_hand)
    promised = variant.reserved + variant.allocated
    if stock < promised:
        problems.append(Problem(f"{pointer}/stock", "range", f"{promised} units are reserved or sold."))
    else:
        variant.on_hand = stock
    return problems


def _set_prices(
    variant: VariantRecord,
    price: MoneyInput | UnsetType | None,
    compare_at: MoneyInput | UnsetType | None,
    pointer: str,
) -> list[Problem]:
    """A variant's two prices are in one currency, the lower one is asked for; without it there is nothing to compare."""
    before = variant.currency
    if not isinstance(price, UnsetType):
        variant.price = price.amount if price else None
        variant.currency = price.currency if price else None
        if price is None and compare_at is UNSET:
            compare_at = None
    if isinstance(compare_at, UnsetType):
        if variant.compare_at is not None and variant.currency != before:
            return [Problem(f"{pointer}/price/currency", "unknown_value", f"Its compare_at is in {before}; give both.")]
        named = None if isinstance(price, UnsetType) else "price"
    else:
        variant.compare_at, named = compare_at.amount if compare_at else None, "compare_at"
        if compare_at is not None and variant.currency is None:
            return [Problem(f"{pointer}/price", "required", "What has a compare_at needs a price.")]
        if compare_at is not None and compare_at.currency != variant.currency:
            return [Problem(f"{pointer}/compare_at/currency", "unknown_value", f"Its price is in {variant.currency}.")]
    if named is None or is_lower(variant.price, variant.compare_at):
        return []
    return [Problem(f"{pointer}/{named}", "range", NOT_LOWER)]


def inconsistent(variants: Sequence[VariantRecord], pointers: Sequence[str | None]) -> list[Problem]:
    """What the variants of one product cannot have in common or apart; ``pointers``: those that the request names."""
    problems = []
    if len(variants) > MAX_VARIANTS:
        problems.append(Problem("/variants", "length", f"A product has at most {MAX_VARIANTS} variants."))
    skus: set[str] = set()
    options: set[frozenset[tuple[str, str]]] = set()
    currency: str | None = None
    # Those that the request does not name come first: what is wrong is said of those that it names.
    for variant, place in sorted(zip(variants, pointers, strict=True), key=lambda pair: pair[1] is not None):
        pointer = place or "/variants"
        if variant.sku in skus:
            problems.append(Problem(f"{pointer}/sku", "duplicate", "Another variant has this SKU."))
        elif frozenset(variant.options.items()) in options:
            problems.append(Problem(f"{pointer}/options", "duplicate", "Another variant has the same options."))
        currency = currency or variant.currency
        if variant.currency not in {None, currency}:
            problems.append(Problem(f"{pointer}/price/currency", "unknown_value", ONE_CURRENCY))
        skus.add(variant.sku)
        options.add(frozenset(variant.options.items()))
    return problems


def oversized(value: Any, pointer: str) -> list[Problem]:
    """Numbers that JSON can say and other readers of it cannot hold: a store gives back 1e300 with all its digits."""
    if isinstance(value, float):
        return [] if abs(value) < 2**63 else [Problem(pointer, "range", "Expected a number of at most 64 bits.")]
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        parts = value.items()
    elif isinstance(value, (list, tuple)):
        parts = enumerate(value)
    return [found for name, part in parts for found in oversized(part, f"{pointer}/{_escaped(str(name))}")]


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _raise(problems: Sequence[Problem]) -> None:
    if problems:
        raise Invalid(problems)


def _given(value: T | UnsetType, kept: Any) -> T:
    return kept if isinstance(value, UnsetType) else value


def check_publishable(record: ProductRecord, named: Mapping[str, str]) -> None:
    """``named``: by sku, where in the request a variant stands."""
    places = [named.get(variant.sku, f"/variants/{index}") for index, variant in enumerate(record.variants)]
    found = unpublishable([variant.price is not None for variant in record.variants], places)
    if found:
        raise Invalid([Problem(pointer, "required", detail) for pointer, detail in found])
