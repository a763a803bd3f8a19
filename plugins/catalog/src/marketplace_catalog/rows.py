"""Bulk changes by sku, each row for itself, results in the order of the rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from marketplace_catalog.domain import is_lower
from marketplace_catalog.drafts import NOT_LOWER, ONE_CURRENCY
from marketplace_catalog.store import ProductRecord, StockChange, StockRecord, StockStore, VariantRecord
from marketplace_core.capabilities.catalog import PriceRow, RowResult, StockRow
from marketplace_core.ports import UnitOfWork

__all__ = ["change_prices", "change_stock"]

_LARGEST = 2_000_000_000


async def change_stock(
    uow: UnitOfWork, store: StockStore, seller_id: str, rows: Sequence[StockRow]
) -> tuple[list[RowResult], list[StockChange]]:
    """Set or move what is on hand. A count below what is reserved or sold is rejected."""
    records = await store.lock_skus(uow, seller_id, sorted({row.sku for row in rows}))
    before = {record.id: record.available for record in records.values()}
    on_hand = {record.id: record.on_hand for record in records.values()}
    results = [_change(records.get(row.sku), row) for row in rows]
    changed = [record for record in records.values() if record.on_hand != on_hand[record.id]]
    if changed:
        await store.save_on_hand(uow, changed)
    changes = [StockChange(r.product_id, r.slug, r.id, r.available, before[r.id]) for r in changed]
    return results, changes


def _change(record: StockRecord | None, row: StockRow) -> RowResult:
    if (row.quantity is None) == (row.delta is None):
        return RowResult(row.sku, "rejected", "required", "Give either quantity or delta.")
    if record is None:
        return _unknown(row.sku)
    count = row.quantity if row.quantity is not None else record.on_hand + (row.delta or 0)
    promised = record.reserved + record.allocated
    if count < promised:
        return RowResult(row.sku, "rejected", "range", f"{promised} units are reserved or sold.")
    if count > _LARGEST:
        return RowResult(row.sku, "rejected", "range", f"At most {_LARGEST} units can be on hand.")
    if count == record.on_hand:
        return RowResult(row.sku, "unchanged")
    record.on_hand = count
    return RowResult(row.sku, "updated")


def change_prices(records: Iterable[ProductRecord], rows: Sequence[PriceRow]) -> tuple[list[RowResult], list[ProductRecord]]:
    """Set prices in the records of the rows' products; gives those that changed.

    The rows of a product may bring it to another currency together; else one in another currency is rejected.
    """
    variants = {variant.sku: (record, variant) for record in records for variant in record.variants}
    wanted = {row.sku: row.price.currency for row in rows if _one_currency(row)}
    currencies = {record.id: _currency(record, wanted) for record, _ in variants.values()}
    results, changed = [], {}
    for row in rows:
        record, variant = variants.get(row.sku, (None, None))
        if record is None or variant is None:
            results.append(_unknown(row.sku))
        elif not _one_currency(row):
            results.append(RowResult(row.sku, "rejected", "unknown_value", "Both prices are in one currency."))
        elif not is_lower(row.price.amount, row.compare_at.amount if row.compare_at else None):
            results.append(RowResult(row.sku, "rejected", "range", NOT_LOWER))
        elif row.price.currency != currencies[record.id]:
            results.append(RowResult(row.sku, "rejected", "unknown_value", ONE_CURRENCY))
        elif _set_price(variant, row):
            results.append(RowResult(row.sku, "updated"))
            changed[record.id] = record
        else:
            results.append(RowResult(row.sku, "unchanged"))
    return results, list(changed.values())


def _one_currency(row: PriceRow) -> bool:
    return row.compare_at is None or row.compare_at.currency == row.price.currency


def _currency(record: ProductRecord, wanted: Mapping[str, str]) -> str | None:
    """The currency of a product once the rows are written; its own, or the first one, if they do not agree."""
    now = [variant.currency for variant in record.variants if variant.currency]
    new = [wanted.get(variant.sku, variant.currency) for variant in record.variants]
    agreed = [currency for currency in new if currency]
    return agreed[0] if len(set(agreed)) == 1 else next(iter(now + agreed), None)


def _set_price(variant: VariantRecord, row: PriceRow) -> bool:
    before = (variant.price, variant.compare_at, variant.currency)
    variant.price, variant.currency = row.price.amount, row.price.currency
    variant.compare_at = row.compare_at.amount if row.compare_at else None
    return before != (variant.price, variant.compare_at, variant.currency)


def _unknown(sku: str) -> RowResult:
    return RowResult(sku, "rejected", "not_found", "There is no such SKU.")
