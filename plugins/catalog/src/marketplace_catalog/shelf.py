"""What follows from units that came or went."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from marketplace_catalog.store import StockChange
from marketplace_core.capabilities.catalog import StockChanged
from marketplace_core.errors import Unavailable
from marketplace_core.ports import Cache, UnitOfWork

__all__ = ["stock_changed"]


def stock_changed(uow: UnitOfWork, cache: Cache, changes: Sequence[StockChange]) -> None:
    """Pages show how many there are; lists only whether there are any. One event per product."""
    changed = [change for change in changes if change.available != change.before]
    by_product: dict[str, dict[str, int]] = {}
    for change in changed:
        by_product.setdefault(change.product_id, {})[change.variant_id] = change.available
    for product_id, available in by_product.items():
        uow.emit(StockChanged(product_id=product_id, available=available))
    tags = [f"product:{name}" for change in changed for name in (change.product_id, change.slug)]
    if any((change.available > 0) != (change.before > 0) for change in changed):
        tags.append("lists")
    if tags:
        uow.after_commit(lambda: _forget(cache, tags))


async def _forget(cache: Cache, tags: list[str]) -> None:
    # A sale does not fail for a cache that is away: nobody reads from it, and it comes back empty. One that was only silent
    # comes back with pages that tell the former number, for as long as it keeps an entry.
    with contextlib.suppress(Unavailable):
        await cache.drop(tags)
