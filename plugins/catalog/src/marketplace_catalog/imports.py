"""A batch of an import file, judged by what it leaves. An equal product is unchanged, so that a second run does nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec
from msgspec.structs import replace

from marketplace_catalog.domain import MAX_DEPTH, MAX_NAME
from marketplace_catalog.drafts import MAX_VARIANTS, ONE_CURRENCY, oversized
from marketplace_catalog.import_records import STATUS_WAS, left_by, new_record, says, variant_record
from marketplace_catalog.store import CatalogStore, ProductRecord, VariantRecord
from marketplace_core.capabilities.catalog import ImportProblem, ImportProduct, ImportResult, ImportVariant
from marketplace_core.ports import UnitOfWork

__all__ = ["read_batch"]

Key = tuple[str, str]
"""Seller id, and a product's key or a sku."""
Status = Literal["written", "unchanged", "rejected"]


@dataclass
class _Item:
    """A product of the batch that says something new, and what becomes of it."""

    product: ImportProduct
    digest: str
    old: ProductRecord | None = None
    problem: ImportProblem | None = None
    variants: list[tuple[ImportVariant, VariantRecord | None]] = field(default_factory=list)
    kept: list[VariantRecord] = field(default_factory=list)
    problems: dict[str, ImportProblem] = field(default_factory=dict)

    @property
    def key(self) -> Key:
        return self.product.seller_id, self.product.key


async def read_batch(
    uow: UnitOfWork, store: CatalogStore, products: Sequence[ImportProduct], slug: Callable[[str, str], str]
) -> tuple[list[ImportResult], list[ProductRecord]]:
    """What differs from what the last import of the same product wrote, as records to save."""
    keys = [(product.seller_id, product.key) for product in products]
    known = await store.digests(uow, keys)
    said = [_digest(product) for product in products]
    first = {key: n for n, key in reversed(list(enumerate(keys)))}
    fresh = [n for n, key in enumerate(keys) if known.get(key) != said[n] or first[key] != n]
    if not fresh:
        return [_result(product, "unchanged") for product in products], []
    batch = _Batch([_Item(products[n], said[n]) for n in fresh])
    await batch.read(uow, store)
    batch.judge()
    paths = dict.fromkeys(item.product.category for item in batch.items if item.problem is None and item.product.category)
    categories = await store.ensure_categories(uow, [path for path in paths if path])
    results = [_result(product, "unchanged") for product in products]
    records: dict[str, ProductRecord] = {}
    for n, item in zip(fresh, batch.items, strict=True):
        results[n] = batch.write(item, categories, slug, uow, records)
    return results, [*records.values(), *batch.left(records, uow)]


def _digest(product: ImportProduct) -> str:
    """Of what the file says of it: an id is made from its key, and what it takes is there afterwards."""
    variants = tuple(replace(variant, id=None) if variant.id else variant for variant in product.variants)
    raw = msgspec.json.encode(replace(product, id=None, takes=(), variants=variants), order="deterministic")
    return hashlib.blake2b(raw, digest_size=16).hexdigest()


def _result(product: ImportProduct, status: Status, problem: ImportProblem | None = None) -> ImportResult:
    code, detail = (problem.code, problem.detail) if problem else (None, None)
    variants = {variant.sku: status for variant in product.variants}
    problems = dict.fromkeys(variants, problem) if problem else {}
    return ImportResult(status, variants, code, detail, problems)


class _Batch:
    def __init__(self, items: Sequence[_Item]) -> None:
        self.items = items
        self._holders: dict[Key, ProductRecord] = {}  # locked products by the skus that they have
        self._elsewhere: dict[Key, str | None] = {}  # keys of the products that have the others
        self._sellers: set[str] = set()

    async def read(self, uow: UnitOfWork, store: CatalogStore) -> None:
        products = [item.product for item in self.items]
        skus = {(product.seller_id, sku) for product in products for sku in _named(product)}
        taken = await store.taken_skus(uow, sorted(skus))
        takes = {(product.seller_id, sku) for product in products for sku in product.takes}
        ids = {id_ for sku, (id_, _) in taken.items() if sku in takes} | {product.id for product in products if product.id}
        locked = await store.lock_imported(uow, [item.key for item in self.items], sorted(ids))
        records = {record.id: record for record in locked}
        by_key = {(record.seller_id, record.import_key): record for record in locked}
        for item in self.items:
            item.old = by_key.get(item.key) or records.get(item.product.id or "")
        self._holders = {(record.seller_id, variant.sku): record for record in locked for variant in record.variants}
        self._elsewhere = {sku: key for sku, (id_, key) in taken.items() if id_ not in records}
        self._sellers = {id_ for id_, _ in await store.frames(uow, {(product.seller_id, None) for product in products})}

    def judge(self) -> None:
        """Who gets which variant. A product that is refused keeps what it has, which may refuse another: until it stands."""
        seen: set[Key] = set()
        for item in self.items:
            item.problem = _unwritable(item.product, item.key in seen, item.product.seller_id in self._sellers)
            seen.add(item.key)
        while True:
            refused = [item for item in self.items if item.problem]
            claimed: dict[Key, str] = {}
            for item in self.items:
                if item.problem is None:
                    self._share_out(item, claimed)
            if refused == [item for item in self.items if item.problem]:
                return

    def _share_out(self, item: _Item, claimed: dict[Key, str]) -> None:
        product = item.product
        given = {variant.sku for variant in product.variants}
        own = item.old.variants if item.old else []
        rest = [variant for variant in own if variant.sku not in given and not self._goes(item, variant)]
        item.kept = [variant for variant in rest if variant.promised or variant.sku in product.keeps]
        item.variants, item.problems = [], {}
        options = [variant.options for variant in item.kept]
        currency = next((variant.currency for variant in item.kept if variant.currency and variant.sku in product.keeps), None)
        for variant in product.variants:
            holder = self._holders.get((product.seller_id, variant.sku))
            problem = _impossible(variant) or self._clash(item, variant, holder, claimed)
            if problem is None and len(item.kept) + len(item.variants) >= MAX_VARIANTS:
                problem = ImportProblem("length", f"A product has at most {MAX_VARIANTS} variants.")
            if problem is None and variant.options in options:
                problem = ImportProblem("duplicate", "Another variant of the product has the same options.")
            if problem is None and variant.price and currency not in {None, variant.price.currency}:
                problem = ImportProblem("unknown_value", f"{ONE_CURRENCY[:-1]}, here {currency}.")
            if problem is not None:
                item.problems[variant.sku] = problem
                item.kept += [v for v in own if v.sku == variant.sku and v not in item.kept]
                continue
            before = next((v for v in holder.variants if v.sku == variant.sku), None) if holder else None
            currency = variant.price.currency if variant.price else currency
            options.append(variant.options)
            claimed[product.seller_id, variant.sku] = product.key
            item.variants.append((variant, before))
        if product.variants and not item.variants:
            item.problem = item.problems[product.variants[0].sku]

    def _goes(self, item: _Item, variant: VariantRecord) -> bool:
        """Whether another product of the batch gets a variant of this one."""
        sku = variant.sku
        return sku not in item.product.keeps and any(
            other is not item
            and other.problem is None
            and other.product.seller_id == item.product.seller_id
            and any(each.sku == sku for each in other.product.variants)
            for other in self._naming(sku)
        )

    def _naming(self, sku: str) -> list[_Item]:
        if not hasattr(self, "_by_sku"):
            self._by_sku: dict[str, list[_Item]] = {}
            for item in self.items:
                for variant in item.product.variants:
                    self._by_sku.setdefault(variant.sku, []).append(item)
        return self._by_sku.get(sku, [])

    def _clash(
        self, item: _Item, variant: ImportVariant, holder: ProductRecord | None, claimed: Mapping[Key, str]
    ) -> ImportProblem | None:
        sku = (item.product.seller_id, variant.sku)
        detail = f"The SKU {variant.sku!r} belongs to another product of this seller"
        if sku in claimed:
            return ImportProblem("catalog.sku_taken", f"{detail}, {claimed[sku]!r}.", claimed[sku])
        if sku in self._elsewhere:
            return ImportProblem("catalog.sku_taken", f"{detail}.", self._elsewhere[sku])
        if holder is None or holder is item.old or variant.sku in item.product.takes:
            return None
        holding = next((other for other in self.items if other.old is holder and other.problem is None), None)
        if holding is None or variant.sku in _named(holding.product):
            return ImportProblem("catalog.sku_taken", f"{detail}, {holder.import_key or holder.title!r}.", holder.import_key)
        return None

    def write(
        self,
        item: _Item,
        categories: Mapping[tuple[str, ...], str],
        slug: Callable[[str, str], str],
        uow: UnitOfWork,
        records: dict[str, ProductRecord],
    ) -> ImportResult:
        product = item.product
        if item.problem is not None:
            return ImportResult(
                "rejected",
                {variant.sku: "rejected" for variant in product.variants},
                item.problem.code,
                item.problem.detail,
                {variant.sku: item.problems.get(variant.sku, item.problem) for variant in product.variants},
            )
        # What could not be written is no part of what was said: it is looked at, and told, again.
        digest = item.digest
        if item.problems:
            digest = _digest(replace(product, variants=tuple(variant for variant, _ in item.variants)))
        same = item.old is not None and item.old.digest == digest
        status: Status = "unchanged" if same else "written"
        if not same:
            record = new_record(product, item.old, categories, slug, uow.now)
            for variant in item.kept:  # covered by the shelf, and no more, unless its row is only bad
                if variant.sku not in product.keeps and variant.sku not in item.problems:
                    variant.on_hand = variant.promised
            untracked = product.facts.get("untracked")
            written = [variant_record(new, before, untracked=says(untracked, new.sku)) for new, before in item.variants]
            record.variants = written + item.kept
            left_by(record, item.old, product.status)
            record.digest = digest
            records[record.id] = record
        variants: dict[str, Status] = dict.fromkeys((variant.sku for variant in product.variants), status)
        return ImportResult(status, {**variants, **dict.fromkeys(item.problems, "rejected")}, problems=item.problems)

    def left(self, records: Mapping[str, ProductRecord], uow: UnitOfWork) -> list[ProductRecord]:
        """Products of which a variant was taken before the file came to them: their own rows say what they are."""
        moved = {variant.id for record in records.values() for variant in record.variants}
        rest: dict[str, ProductRecord] = {}
        for record in self._holders.values():
            if record.id in records or not any(variant.id in moved for variant in record.variants):
                continue
            record.variants = [variant for variant in record.variants if variant.id not in moved]
            record.digest = f"{STATUS_WAS}{record.status}"
            if not record.variants and record.status == "published":
                record.status = "draft"
            record.updated_at = uow.now
            rest[record.id] = record
        return list(rest.values())


def _named(product: ImportProduct) -> set[str]:
    return {variant.sku for variant in product.variants} | set(product.keeps)


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────


def _unwritable(product: ImportProduct, twice: bool, known: bool) -> ImportProblem | None:
    """What refuses a product with all that it has."""
    if not known:
        return ImportProblem("not_found", "There is no such seller.")
    if twice:
        return ImportProblem("duplicate", f"The product {product.key!r} stands in the batch twice.")
    path = product.category
    if len(path) > MAX_DEPTH or any(not 0 < len(name.strip()) <= MAX_NAME for name in path):
        detail = f"A category has at most {MAX_DEPTH} levels, each of 1 to {MAX_NAME} characters."
        return ImportProblem("length", detail)
    found = oversized(product.attributes, "/attributes")
    return ImportProblem(found[0].code, found[0].detail) if found else None


def _impossible(variant: ImportVariant) -> ImportProblem | None:
    if variant.stock < 0 or (variant.price is not None and variant.price.amount <= 0):
        return ImportProblem("range", f"The SKU {variant.sku!r} has a price or stock below what there can be.")
    before = variant.compare_at
    if before and variant.price and (before.currency != variant.price.currency or before.amount <= variant.price.amount):
        return ImportProblem("range", f"The SKU {variant.sku!r} has a compare_at that is not above its price.")
    return None
