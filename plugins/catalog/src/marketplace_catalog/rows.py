"""Bulk changes by sku, each row for itself, results in the order of the rows."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_catalog.store import StockChange, StockRecord, StockStore
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
        return RowResult(row.sku, "rejected", "not_found", "There is no such SKU.")
    count = row.quantity if row.quantity is not None else record.on_hand + (row.delta or 0)
    promised = record.reserved + record.allocated
    if not promised <= count <= _LARGEST:
        return RowResult(row.sku, "rejected", "range", f"{promised} units are reserved or sold.")
    if count == record.on_hand:
        return RowResult(row.sku, "unchanged")
    record.on_hand = count
    return RowResult(row.sku, "updated")


async def change_prices(
    uow: UnitOfWork, store: StockStore, seller_id: str, rows: Sequence[PriceRow]
) -> tuple[list[RowResult], list[str]]:
    """Set prices; gives the products that changed. The last of several rows for one sku counts."""
    wanted: dict[str, tuple[int, int | None, str]] = {}
    wrong: dict[int, RowResult] = {}
    for index, row in enumerate(rows):
        if row.compare_at is not None and row.compare_at.currency != row.price.currency:
            wrong[index] = RowResult(row.sku, "rejected", "unknown_value", "Both prices are in one currency.")
        else:
            wanted[row.sku] = (row.price.amount, row.compare_at.amount if row.compare_at else None, row.price.currency)
    found = await store.save_prices(uow, seller_id, wanted) if wanted else {}
    results = []
    for index, row in enumerate(rows):
        if index in wrong:
            results.append(wrong[index])
        elif row.sku not in found:
            results.append(RowResult(row.sku, "rejected", "not_found", "There is no such SKU."))
        else:
            results.append(RowResult(row.sku, "updated" if found[row.sku][1] else "unchanged"))
    return results, sorted({product_id for product_id, changed in found.values() if changed})
