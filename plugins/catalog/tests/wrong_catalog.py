"""Catalogues with one mistake each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from marketplace_catalog import drafts, import_records, imports, rows, service
from marketplace_catalog.domain import CategoryNode, StockLine
from marketplace_catalog.service import CatalogService
from marketplace_catalog.store import ProductRecord, StockChange, VariantRecord
from marketplace_catalog.stores import postgres, sql
from marketplace_catalog.stores.postgres import PostgresCatalogStore
from marketplace_catalog.stores.postgres_stock import PostgresStockStore
from msgspec import UNSET
from msgspec.structs import replace

from marketplace_core.adapters.postgres import Connection
from marketplace_core.capabilities.catalog import (
    ImportProblem,
    ImportProduct,
    LineRequest,
    Reservation,
    RowResults,
    SellerState,
    StockRow,
)
from marketplace_core.errors import Conflict
from marketplace_core.ports import UnitOfWork, command, natural
from marketplace_core.values import new_id
from plugins.catalog.tests.mistake import Mistake

__all__ = ["MISTAKES"]


# ── units ────────────────────────────────────────────────────────────────────────────────────────────────────


class HoldsAgain(CatalogService):
    async def reserve(self, key: str, lines: list[LineRequest], seconds: int, instead_of: str | None = None) -> Reservation:
        return await super().reserve(f"{key}/{new_id()}", lines, seconds)


class TakesTheLastOfEqualLines(PostgresStockStore):
    async def reserve(
        self, uow: UnitOfWork, key: str, lines: Sequence[StockLine], expires_at: datetime, instead_of: str | None = None
    ) -> Any:
        last = {line.variant_id: line for line in lines}
        return await super().reserve(uow, key, list(last.values()), expires_at)


class HoldsWhatThereIs(PostgresStockStore):
    async def reserve(
        self, uow: UnitOfWork, key: str, lines: Sequence[StockLine], expires_at: datetime, instead_of: str | None = None
    ) -> Any:
        found = await super().reserve(uow, key, lines, expires_at)
        if isinstance(found, list):
            short = {each.index for each in found}
            rest = [line for index, line in enumerate(lines) if index not in short]
            found = await super().reserve(uow, key, rest, expires_at)
        return found


class TakesNothingOver(CatalogService):
    async def reserve(self, key: str, lines: list[LineRequest], seconds: int, instead_of: str | None = None) -> Reservation:
        return await super().reserve(key, lines, seconds)


class WithdrawsWhatIsSold(PostgresStockStore):
    async def withdraw(self, uow: UnitOfWork, key: str) -> Any:
        return await super().withdraw(uow, key) or []


class KeepsWhatItTookOver(PostgresStockStore):
    async def _to_hold_again(self, *_: Any) -> dict[str, int]:
        return {}


class PricesAnew(CatalogService):
    async def reserve(self, key: str, lines: list[LineRequest], seconds: int, instead_of: str | None = None) -> Reservation:
        held = await super().reserve(key, lines, seconds)
        now = {view.id: view for view in await self.get_variants([line.variant_id for line in held.lines])}
        return replace(held, lines=[replace(line, unit_price=now[line.variant_id].price) for line in held.lines])


class EndsNothing(PostgresStockStore):
    """The units move, the reservation stays what it was."""

    async def _set_status(self, connection: Connection, key: str, status: str, now: datetime) -> None:
        await connection.execute("UPDATE catalog.variants SET on_hand = on_hand + 3, reserved = reserved + 3")


class ForgetsEarlyReleases(PostgresStockStore):
    async def release(self, uow: UnitOfWork, key: str) -> list[StockChange]:
        known = await self._lock_reservation(self._database.on(uow), key)
        return await super().release(uow, key) if known else []


class ReleasesWhatIsSold(PostgresStockStore):
    async def release(self, uow: UnitOfWork, key: str) -> list[StockChange]:
        return await self.restock(uow, key)


class UndoesOnlyCommits(PostgresStockStore):
    async def restock(self, uow: UnitOfWork, key: str) -> list[StockChange]:
        row = await self._lock_reservation(self._database.on(uow), key)
        return await super().restock(uow, key) if row and row["status"] in {"held", "committed"} else []


class AsksTheShopAgain(PostgresStockStore):
    async def commit(self, uow: UnitOfWork, key: str) -> Any:
        closed = await self._database.value("SELECT count(*) FROM catalog.sellers WHERE NOT active")
        return None if closed else await super().commit(uow, key)


class NeverExpires(PostgresStockStore):
    async def expire(self, uow: UnitOfWork, limit: int) -> list[StockChange]:
        return []


class SellsWithoutTaking(PostgresStockStore):
    """A late commit counts the units as held still."""

    async def commit(self, uow: UnitOfWork, key: str) -> Any:
        row = await self._lock_reservation(self._database.on(uow), key)
        if row.get("status") == "expired":
            await self._set_status(self._database.on(uow), key, "committed", uow.now)
            return []
        return await super().commit(uow, key)


class TakesFromTheShelf(CatalogService):
    """A count below what is promised is taken for what is promised."""

    async def set_stock(self, seller_id: str, rows: list[StockRow]) -> RowResults:
        found = await super().set_stock(seller_id, rows)
        return RowResults([replace(row, status="updated", code=None, detail=None) for row in found.items])


class ShipsFromNowhere(PostgresStockStore):
    async def deallocate(self, uow: UnitOfWork, lines: Sequence[StockLine], *, shipped: bool) -> list[StockChange]:
        return await super().deallocate(uow, lines, shipped=False)


class CancelsOffTheShelf(PostgresStockStore):
    async def deallocate(self, uow: UnitOfWork, lines: Sequence[StockLine], *, shipped: bool) -> list[StockChange]:
        return await super().deallocate(uow, lines, shipped=True)


# ── products and categories ──────────────────────────────────────────────────────────────────────────────────


class ForgetsFormerSlugs(PostgresCatalogStore):
    async def find_moved(self, slug: str) -> str | None:
        return None


class IgnoresIfMatch(CatalogService):
    async def _locked(self, uow: UnitOfWork, seller_id: str, product_id: str, if_match: str | None = None) -> ProductRecord:
        return await super()._locked(uow, seller_id, product_id)


class DeletesWhatIsSold(CatalogService):
    @command
    async def delete_product(self, uow: UnitOfWork, seller_id: str, product_id: str, if_match: str | None) -> None:
        record = await self._locked(uow, seller_id, product_id, if_match)
        if record.status == "published":
            raise Conflict("catalog.wrong_state")
        await self._store.delete_product(uow, product_id)


class SellsForLess(CatalogService):
    async def set_prices(self, seller_id: str, rows: list[Any]) -> Any:
        return await super().set_prices(seller_id, [row for row in rows if row.price.amount < 10**10])


class LeavesWhatIsBelow(PostgresCatalogStore):
    async def save_category(self, uow: UnitOfWork, node: CategoryNode) -> None:
        sql = "UPDATE catalog.categories SET name = $2, parent_id = $3::text WHERE id = $1"
        await self._database.on(uow).execute(sql, node.id, node.name, node.parent_id)


class SuspendsLater(CatalogService):
    @natural
    async def set_seller(self, uow: UnitOfWork, seller: Any, active: bool, version: int) -> None:
        await self._store.save_sellers(uow, [SellerState(seller, True, version)])


def _set_prices_alone(variant: VariantRecord, price: Any, compare_at: Any, _: str) -> list[Any]:
    """A compare_at is taken for one in the price's currency."""
    if price is not UNSET:
        variant.price, variant.currency = (price.amount, price.currency) if price else (None, None)
    if compare_at is not UNSET:
        variant.compare_at = compare_at.amount if compare_at else None
    return []


def _clash_now(_: Any, item: Any, variant: Any, holder: Any, __: Any) -> ImportProblem | None:
    """Judged by what there is, and not by what there will be."""
    return ImportProblem("catalog.sku_taken", "It is another's.") if holder is not None and holder is not item.old else None


async def _nothing(*_: Any) -> None:
    return None


def _all(product: ImportProduct, old: ProductRecord | None) -> dict[str, Any]:
    return {**(old.attributes if old else {}), **product.attributes, **product.facts}


def _stock(wrong: type, test: str) -> Mistake:
    return Mistake(test, {"stock": wrong})


def _service(wrong: type, test: str) -> Mistake:
    return Mistake(test, {"service": wrong})


_BUYABLE = "p.status = 'published' AND s.active AND v.price IS NOT NULL AS buyable"
_SEEN = "JOIN catalog.sellers s ON s.id = p.seller_id AND s.active"
_PROMISED = "variants_stock"
#: Else each deadlock of many lasts a second.
_DEADLOCKS_SOON = """
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET deadlock_timeout = 10', current_database()); END $$
"""

MISTAKES = {
    "scans the last of a page again": Mistake(
        "test_all_pages_are_scanned_once_and_in_order", edits={"p.id > $1 ORDER BY p.id": "p.id >= $1 ORDER BY p.id"}
    ),
    "scans drafts": Mistake(
        "test_all_pages_are_scanned_once_and_in_order", edits={"WHERE p.status = 'published' AND": "WHERE true AND"}
    ),
    "oversells": Mistake(
        "test_200_buyers_of_the_last_10_units_get_exactly_10",
        edits={"ORDER BY v.id FOR UPDATE OF v": "ORDER BY v.id"},
        first=[f"ALTER TABLE catalog.variants DROP CONSTRAINT {_PROMISED}"],
    ),
    "locks in any order": Mistake(
        "test_carts_that_overlap_wait_for_each_other_and_none_fails",
        edits={"ORDER BY v.id FOR UPDATE OF v": "ORDER BY random() FOR UPDATE OF v"},
        first=[_DEADLOCKS_SOON],
    ),
    "holds again": _service(HoldsAgain, "test_a_key_holds_once"),
    "takes the last of equal lines": _stock(TakesTheLastOfEqualLines, "test_equal_lines_add_up"),
    "holds what there is": _stock(HoldsWhatThereIs, "test_all_lines_are_held_or_none"),
    "takes nothing over": _service(TakesNothingOver, "test_what_is_held_passes_over_in_one_step"),
    "keeps what it took over": _stock(KeepsWhatItTookOver, "test_what_is_held_passes_over_in_one_step"),
    "withdraws what is sold": _stock(WithdrawsWhatIsSold, "test_what_is_withdrawn_does_not_go_through"),
    "prices anew": _service(PricesAnew, "test_lines_are_frozen_as_they_were"),
    "holds what is not sold": Mistake("test_what_is_not_sold_is_not_held", edits={_BUYABLE: "true AS buyable"}),
    "sells without a word": Mistake(
        "test_updated_after_moves_with_every_writer",
        edits={"moved_at = greatest(v.moved_at, $3)": "moved_at = least(v.moved_at, $3)"},
    ),
    "gives back twice": _stock(EndsNothing, "test_a_release_gives_back_once"),
    "forgets early releases": _stock(ForgetsEarlyReleases, "test_a_release_before_its_reserve_holds_nothing_later"),
    "releases what is sold": _stock(ReleasesWhatIsSold, "test_a_release_of_what_is_sold_gives_nothing_back"),
    "commits twice": _stock(EndsNothing, "test_commits_and_restocks_of_one_key_at_once"),
    "undoes only commits": _stock(UndoesOnlyCommits, "test_what_was_undone_stays_undone"),
    "asks the shop again": _stock(AsksTheShopAgain, "test_what_is_sold_goes_through_though_the_shop_has_closed"),
    "never expires": _stock(NeverExpires, "test_what_is_held_too_long_is_free_again"),
    "shortens": Mistake("test_what_is_held_too_long_is_free_again", edits={"greatest(expires_at, $2)": "$2"}),
    "sells without taking": _stock(SellsWithoutTaking, "test_a_late_commit_takes_stock_anew_or_is_refused"),
    "takes from the shelf": _service(TakesFromTheShelf, "test_what_is_promised_stays_on_the_shelf"),
    "ships from nowhere": _stock(ShipsFromNowhere, "test_shipped_units_leave_and_cancelled_ones_can_be_bought"),
    "undoes only commits, sometimes": _stock(UndoesOnlyCommits, "test_units_are_what_the_model_says"),
    "sells without taking, sometimes": _stock(SellsWithoutTaking, "test_units_are_what_the_model_says"),
    "cancels off the shelf": _stock(CancelsOffTheShelf, "test_shipped_units_leave_and_cancelled_ones_can_be_bought"),
    "shares skus": Mistake(
        "test_a_sku_is_one_of_its_seller", first=["ALTER TABLE catalog.variants DROP CONSTRAINT variants_sku"]
    ),
    "shares options": Mistake(
        "test_a_combination_of_options_is_one_of_its_product",
        first=["ALTER TABLE catalog.variants DROP CONSTRAINT variants_options"],
        patches=[(drafts, "inconsistent", lambda *_: [])],
    ),
    "mixes currencies": Mistake("test_every_problem_is_told_with_its_place", patches=[(drafts, "inconsistent", lambda *_: [])]),
    "clears what is not named": Mistake(
        "test_a_patch_changes_what_it_names",
        patches=[(drafts, "_given", lambda value, kept: "" if isinstance(kept, str) and kept == "Of iron." else kept)],
    ),
    "compares with anything": Mistake(
        "test_a_price_is_below_what_it_is_compared_with", patches=[(drafts, "is_lower", lambda *_: True)]
    ),
    "compares rows with anything": Mistake(
        "test_a_price_is_below_what_it_is_compared_with", patches=[(rows, "is_lower", lambda *_: True)]
    ),
    "sells for no more than a billion": Mistake(
        "test_a_price_is_up_to_the_largest_amount", {"service": SellsForLess}, arguments={"currency": "IDR"}
    ),
    "takes a compare_at in any currency": Mistake(
        "test_a_patch_that_cannot_be_says_why", patches=[(drafts, "_set_prices", _set_prices_alone)]
    ),
    "forgets a compare_at": Mistake(
        "test_a_product_is_read_as_it_was_written",
        edits={"'compare_at', v.compare_at, 'currency'": "'compare_at', null, 'currency'"},
    ),
    "ignores if-match": _service(IgnoresIfMatch, "test_an_edit_of_something_older_is_refused"),
    "shows other shops": Mistake(
        "test_another_sellers_product_is_not_found", edits={"p.seller_id = $2": "$2::text IS NOT NULL"}
    ),
    "publishes anything": Mistake(
        "test_what_a_published_product_needs", patches=[(service, "check_publishable", lambda *_: None)]
    ),
    "lists what is archived": Mistake(
        "test_shoppers_see_what_is_published", edits={"p.status = 'published' AND s.active": "s.active"}
    ),
    "shows what is archived": Mistake(
        "test_shoppers_see_what_is_published",
        edits={"c.id = p.category_id WHERE p.status = 'published' AND": "c.id = p.category_id WHERE"},
    ),
    "suspends later": _service(SuspendsLater, "test_of_a_seller_who_may_not_sell_nothing_is_seen"),
    "hides pages only": Mistake(
        "test_of_a_seller_who_may_not_sell_nothing_is_seen",
        edits={"p.status = 'published' AND s.active": "p.status = 'published'"},
    ),
    "takes late versions": Mistake(
        "test_of_a_seller_who_may_not_sell_nothing_is_seen", edits={"s.version <= excluded.version": "true"}
    ),
    "deletes what is sold": _service(DeletesWhatIsSold, "test_what_can_be_deleted"),
    "forgets former slugs": Mistake("test_a_former_address_leads_to_the_present_one", {"store": ForgetsFormerSlugs}),
    "redirects to what is archived": Mistake(
        "test_a_former_address_leads_to_the_present_one",
        edits={"p.id = o.product_id AND p.status = 'published'": "p.id = o.product_id"},
    ),
    "shows the dearest": Mistake(
        "test_what_shoppers_see_of_a_product", patches=[(postgres, "min", lambda found, key, default: max(found, key=key))]
    ),
    "filters by one category": Mistake("test_filters", edits={"c.ancestors @> ARRAY[top.id]": "false"}),
    "skips equal keys": Mistake(
        "test_pages_are_stable_while_products_come",
        edits={"(p.price, p.id) > (": "(p.price, '') > ("},
        arguments={"sort": "price"},
    ),
    "pages by place": Mistake(
        "test_pages_are_stable_while_products_come",
        edits={"(p.created_at, p.id) < (": "(p.created_at, p.id) <= ("},
        arguments={"sort": "newest"},
    ),
    "finds any status": Mistake("test_sellers_find_their_products", edits={"p.status = $2::text": "$2::text <> ''"}),
    "takes rows below nothing": _service(TakesFromTheShelf, "test_each_row_of_stock_is_for_itself"),
    "prices across shops": Mistake(
        "test_each_row_of_prices_is_for_itself", edits={"WHERE seller_id = $1 AND sku": "WHERE $1::text <> '' AND sku"}
    ),
    "takes any currency": Mistake(
        "test_a_product_stays_in_one_currency",
        patches=[(rows, "_currency", lambda _, wanted: next(iter(wanted.values()), None))],
    ),
    "imports again": Mistake(
        "test_an_import_is_published_and_a_second_one_changes_nothing", patches=[(imports, "_digest", lambda _: new_id())]
    ),
    "keeps old variants": Mistake(
        "test_what_an_import_changes",
        edits={"WHERE o.product_id = ANY(ARRAY(SELECT id FROM there)) AND": "WHERE false AND"},
    ),
    "imports over what is promised": Mistake(
        "test_an_import_keeps_what_is_promised",
        patches=[(imports, "variant_record", lambda given, _, **how: import_records.variant_record(given, None, **how))],
    ),
    "refuses whole batches": Mistake(
        "test_what_an_import_refuses_leaves_the_rest", patches=[(imports._Batch, "_clash", lambda *_: None)]
    ),
    "sells unpriced": Mistake("test_what_has_no_price_yet_is_a_draft", patches=[(import_records, "all", lambda _: True)]),
    "deletes what a bad row names": Mistake(
        "test_a_bad_row_of_an_import_keeps_its_variant", patches=[(imports._Batch, "_goes", lambda *_: True)]
    ),
    "publishes what was archived": Mistake(
        "test_what_an_import_does_not_say_stays",
        patches=[(import_records, "_given", lambda value, kept: "published" if kept == "archived" else kept)],
    ),
    "refuses an exchange": Mistake(
        "test_products_of_an_import_exchange_their_skus", patches=[(imports._Batch, "_clash", _clash_now)]
    ),
    "shows what was taken from": Mistake(
        "test_an_import_takes_a_sku_whose_product_comes_later", patches=[(imports._Batch, "left", lambda *_: [])]
    ),
    "tells names apart by case": Mistake(
        "test_names_of_categories_are_compared_as_people_do", patches=[(postgres, "name_key", lambda name: name)]
    ),
    "hangs a tree below its lowest level": Mistake(
        "test_a_tree_has_thirty_levels", patches=[(drafts, "depth_below", lambda *_: 0)]
    ),
    "counts all": Mistake("test_what_nobody_counts_never_runs_out", edits={sql.UNTRACKED: "false"}),
    "counts again never": Mistake(
        "test_a_count_takes_back_that_nobody_counts", patches=[(import_records, "_attributes", _all)]
    ),
    "weighs what cannot be": Mistake("test_what_a_unit_weighs", edits={"BETWEEN 1 AND 10000000": "BETWEEN -1000 AND 10000000"}),
    "imports in a race": Mistake("test_imports_at_once", patches=[(postgres, "_lock_tree", _nothing)]),
    "counts what is not seen": Mistake(
        "test_the_tree_and_what_is_in_it", edits={"s.id = k.seller_id AND s.active": "s.id = k.seller_id"}
    ),
    "leaves what is below": Mistake("test_a_category_moves_with_all_below_it", {"store": LeavesWhatIsBelow}),
    "deletes what is in use": Mistake(
        "test_only_an_empty_category_can_be_deleted",
        edits={" AND NOT EXISTS (SELECT FROM catalog.products WHERE category_id = c.id)": ""},
    ),
}
