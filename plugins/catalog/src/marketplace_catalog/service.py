"""Use cases of the catalogue. One command is one unit of work; what shoppers see is dropped from the cache after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec.structs import replace

from marketplace_catalog import views
from marketplace_catalog.config import CatalogConfig
from marketplace_catalog.domain import (
    MAX_DEPTH,
    CategoryNode,
    StockLine,
    can_publish,
    category_slug,
    product_slug,
)
from marketplace_catalog.drafts import add_variants, apply_category, apply_patch, check_publishable
from marketplace_catalog.imports import read_batch
from marketplace_catalog.pictures import PictureUseCases
from marketplace_catalog.publishing import PublishingUseCases, judged_parts
from marketplace_catalog.reservations import ReservationUseCases
from marketplace_catalog.rows import change_prices, change_stock
from marketplace_catalog.shelf import stock_changed
from marketplace_catalog.store import CatalogStore, ProductRecord, StockStore
from marketplace_core.capabilities.catalog import (
    Card,
    Category,
    CategoryDraft,
    CategoryPatch,
    CategoryTree,
    ImportProduct,
    ImportResult,
    PriceRow,
    ProductChanged,
    ProductDraft,
    ProductFound,
    ProductPage,
    ProductPatch,
    ProductQuery,
    RowResults,
    SellerProduct,
    SellerProductQuery,
    SellerRef,
    SellerState,
    StockRow,
    VariantView,
)
from marketplace_core.capabilities.orders import ItemsCancelled, PackageShipped
from marketplace_core.capabilities.reviews import ProductRated
from marketplace_core.capabilities.sellers import SellerChanged
from marketplace_core.errors import Conflict, NotFound, PreconditionFailed, Unavailable
from marketplace_core.pictures import Pictures
from marketplace_core.ports import Cache, UnitOfWork, Units, command, handler, natural
from marketplace_core.values import Page, etag, new_id, require

__all__ = ["CatalogService"]

SCAN_BATCH = 1000


class CatalogService(PublishingUseCases, ReservationUseCases, PictureUseCases):
    def __init__(
        self,
        units: Units,
        store: CatalogStore,
        stock: StockStore,
        cache: Cache,
        pictures: Pictures,
        config: CatalogConfig,
        *,
        moderated: bool = False,
    ) -> None:
        """``moderated``: whether somebody judges what people show."""
        self.units = units
        self._store = store
        self._stock = stock
        self._cache = cache
        self._pictures = pictures
        self._config = config
        self._moderated = moderated

    # ── for shoppers ─────────────────────────────────────────────────────────────────────────────────────────

    async def list_products(self, query: ProductQuery) -> Page[Card]:
        key = {"newest": datetime, "rating": float}.get(query.sort, int)
        rows = await self._store.list_cards(query, query.position(key, str))
        found = query.page(rows, lambda row: row[1])
        return Page([self._with_url(card) for card, _ in found.items], found.next)

    def _with_url(self, card: Card) -> Card:
        return card if card.image is None else replace(card, image=card.image.at(self._pictures.url))

    async def get_product(self, id_or_slug: str) -> ProductFound:
        page = await self._store.find_page(id_or_slug)
        if page is not None:
            return ProductFound(replace(page, images=[image.at(self._pictures.url) for image in page.images]))
        moved = await self._store.find_moved(id_or_slug)
        if moved is None:
            raise NotFound("There is no such product.")
        return ProductFound(moved_to=moved)

    async def get_categories(self, depth: int | None = None) -> CategoryTree:
        return CategoryTree(views.category_tree(await self._store.list_categories(), depth or MAX_DEPTH))

    async def scan_pages(self, after: str, limit: int) -> list[ProductPage]:
        return await self._store.scan_pages(after, max(1, min(limit, SCAN_BATCH)))

    async def get_pages(self, ids: list[str]) -> list[ProductPage]:
        require(len(ids) <= SCAN_BATCH, "/ids", "range", f"Ask for {SCAN_BATCH} at most.")
        return await self._store.get_pages(ids)

    # ── for carts and orders ─────────────────────────────────────────────────────────────────────────────────

    async def get_variants(self, ids: list[str]) -> list[VariantView]:
        return await self._store.get_variants(ids)

    # ── for sellers ──────────────────────────────────────────────────────────────────────────────────────────

    @command
    async def create_product(self, uow: UnitOfWork, seller_id: str, draft: ProductDraft) -> SellerProduct:
        id_ = new_id()
        record = ProductRecord(
            id=id_,
            seller_id=seller_id,
            slug=self._slug(draft.title, id_),
            title=draft.title,
            description=draft.description,
            category_id=draft.category_id,
            attributes=draft.attributes,
            images=[],
            status="draft",
            reason_code=None,
            created_at=uow.now,
            updated_at=uow.now,
            variants=[],
        )
        add_variants(record, draft.variants)
        await self._save(uow, [record])
        return views.seller_product(record, self._pictures.url)

    @command
    async def update_product(
        self, uow: UnitOfWork, seller_id: str, product_id: str, patch: ProductPatch, if_match: str | None
    ) -> SellerProduct:
        record = await self._locked(uow, seller_id, product_id, if_match)
        title, slug, before = record.title, record.slug, judged_parts(record)
        pointers = apply_patch(record, patch)
        if record.title != title:
            record.slug = self._slug(record.title, record.id)
            uow.after_commit(lambda: self._forget([slug], recounted=False))
        if record.status in {"published", "in_review"}:
            check_publishable(record, pointers)
        if judged_parts(record) != before:
            self._judge_again(uow, record)
        return await self._changed(uow, record)

    @command
    async def publish_product(self, uow: UnitOfWork, seller_id: str, product_id: str) -> SellerProduct:
        record = await self._locked(uow, seller_id, product_id)
        if record.status == "published":
            return views.seller_product(record, self._pictures.url)
        if not can_publish(record.status):
            raise Conflict("catalog.wrong_state", f"A product that is {record.status} cannot be published.")
        check_publishable(record, {})
        self._show(uow, record)
        return await self._changed(uow, record)

    @command
    async def archive_product(self, uow: UnitOfWork, seller_id: str, product_id: str) -> SellerProduct:
        record = await self._locked(uow, seller_id, product_id)
        if record.status == "archived":
            return views.seller_product(record, self._pictures.url)
        record.status = "archived"
        return await self._changed(uow, record)

    @command
    async def delete_product(self, uow: UnitOfWork, seller_id: str, product_id: str, if_match: str | None) -> None:
        record = await self._locked(uow, seller_id, product_id, if_match)
        if record.status == "published":
            raise Conflict("catalog.wrong_state", "A published product cannot be deleted; archive it first.")
        if any(variant.promised for variant in record.variants):
            raise Conflict("catalog.wrong_state", "Units of it are held, or sold and not yet shipped.")
        await self._store.delete_product(uow, product_id)

    async def get_seller_product(self, seller_id: str, product_id: str) -> SellerProduct:
        record = await self._store.get_product(seller_id, product_id)
        if record is None:
            raise NotFound("There is no such product.")
        return views.seller_product(record, self._pictures.url)

    async def list_seller_products(self, seller_id: str, query: SellerProductQuery) -> Page[SellerProduct]:
        rows = await self._store.list_products(seller_id, query, query.position(datetime, str))
        found = query.page(rows, lambda row: row[1])
        return Page([views.seller_product(record, self._pictures.url) for record, _ in found.items], found.next)

    @command
    async def set_stock(self, uow: UnitOfWork, seller_id: str, rows: list[StockRow]) -> RowResults:
        results, changes = await change_stock(uow, self._stock, seller_id, rows)
        stock_changed(uow, self._cache, changes)
        return RowResults(results)

    @command
    async def set_prices(self, uow: UnitOfWork, seller_id: str, rows: list[PriceRow]) -> RowResults:
        records = await self._store.lock_products_of(uow, seller_id, sorted({row.sku for row in rows}))
        results, changed = change_prices(records, rows)
        for record in changed:
            record.updated_at = uow.now
        await self._save(uow, changed)
        return RowResults(results)

    @command
    async def import_products(self, uow: UnitOfWork, products: list[ImportProduct]) -> list[ImportResult]:
        results, records = await read_batch(uow, self._store, products, self._slug)
        await self._save(uow, records, forget=False)
        self._fetch_later(uow, records)
        if records:
            uow.after_commit(self._cache.drop_all)  # former slugs too
        return results

    # ── for operators ────────────────────────────────────────────────────────────────────────────────────────

    @command
    async def create_category(self, uow: UnitOfWork, draft: CategoryDraft) -> Category:
        id_ = new_id()
        node = CategoryNode(id_, draft.parent_id, category_slug(draft.name, id_), draft.name, 0)
        require(await self._store.add_category(uow, node), "/parent_id", "not_found", "There is no such category.")
        uow.after_commit(lambda: self._cache.drop(["categories"]))
        return views.category_of(node.id, [node])

    @command
    async def update_category(self, uow: UnitOfWork, category_id: str, patch: CategoryPatch) -> Category:
        nodes = {node.id: node for node in await self._store.lock_categories(uow)}
        node = nodes.get(category_id)
        if node is None:
            raise NotFound("There is no such category.")
        node = apply_category(node, nodes, patch)
        await self._store.save_category(uow, node)
        uow.after_commit(self._cache.drop_all)  # pages show the path
        return views.category_of(node.id, await self._store.lock_categories(uow))

    @command
    async def delete_category(self, uow: UnitOfWork, category_id: str) -> None:
        if category_id not in {node.id for node in await self._store.lock_categories(uow)}:
            raise NotFound("There is no such category.")
        if not await self._store.delete_category(uow, category_id):
            raise Conflict("catalog.category_in_use", "Products or categories are in it; move them first.")
        uow.after_commit(lambda: self._cache.drop(["categories"]))

    @natural
    async def set_seller(self, uow: UnitOfWork, seller: SellerRef, active: bool, version: int) -> None:
        await self._store.save_sellers(uow, [SellerState(seller, active, version)])
        uow.after_commit(self._cache.drop_all)

    @natural
    async def set_sellers(self, uow: UnitOfWork, states: list[SellerState]) -> None:
        await self._store.save_sellers(uow, states)
        uow.after_commit(self._cache.drop_all)

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────

    @handler(ProductChanged)
    async def on_product_changed(self, uow: UnitOfWork, event: ProductChanged) -> None:
        """What the command dropped is dropped again: it may have died between its commit and that."""
        names = [event.product_id, *await self._store.slugs(uow, event.product_id)]
        await self._forget(names, recounted=event.recounted)

    @handler(SellerChanged)
    async def on_seller_changed(self, uow: UnitOfWork, event: SellerChanged) -> None:
        """What ``set_seller`` was told by the command, which may have died before."""
        seller = SellerRef(event.seller_id, event.name)
        await self._store.save_sellers(uow, [SellerState(seller, event.status == "active", event.version_number)])
        uow.after_commit(self._cache.drop_all)

    @handler(ProductRated)
    async def on_product_rated(self, uow: UnitOfWork, event: ProductRated) -> None:
        record = await self._store.lock_product(uow, event.seller_id, event.product_id)
        if record is not None:
            record.rating_average, record.rating_count = event.rating.average, event.rating.count
            record.rating_score = event.score if event.rating.count else None
            await self._save(uow, [record])

    @handler(PackageShipped, imports=False)
    async def on_package_shipped(self, uow: UnitOfWork, event: PackageShipped) -> None:
        lines = [StockLine(line.variant_id, line.quantity) for line in event.lines]
        stock_changed(uow, self._cache, await self._stock.deallocate(uow, lines, shipped=True))

    @handler(ItemsCancelled, imports=False)
    async def on_items_cancelled(self, uow: UnitOfWork, event: ItemsCancelled) -> None:
        lines = [StockLine(line.variant_id, line.quantity) for line in event.lines]
        stock_changed(uow, self._cache, await self._stock.deallocate(uow, lines, shipped=False))

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    def _slug(self, title: str, id_: str) -> str:
        return product_slug(title, self._config.slug_length, id_)

    async def _locked(self, uow: UnitOfWork, seller_id: str, product_id: str, if_match: str | None = None) -> ProductRecord:
        record = await self._store.lock_product(uow, seller_id, product_id)
        if record is None:
            raise NotFound("There is no such product.")
        if if_match not in {None, "*"}:
            tag = etag(views.seller_product(record, self._pictures.url))
            if tag not in {part.strip() for part in (if_match or "").split(",")}:
                raise PreconditionFailed
        return record

    async def _changed(self, uow: UnitOfWork, record: ProductRecord) -> SellerProduct:
        record.updated_at = uow.now
        await self._save(uow, [record])
        return views.seller_product(record, self._pictures.url)

    async def _save(self, uow: UnitOfWork, records: Sequence[ProductRecord], *, forget: bool = True) -> None:
        if not records:
            return
        frames = await self._store.frames(uow, {(record.seller_id, record.category_id) for record in records})
        for record in records:
            frame = frames.get((record.seller_id, record.category_id))
            if frame is None:
                raise Unavailable("The catalogue does not know this seller yet; come again.")
            known = record.category_id is None or frame.category is not None
            require(known, "/category_id", "not_found", "There is no such category.")
            uow.emit(
                ProductChanged(
                    product_id=record.id,
                    seller_id=record.seller_id,
                    status=record.status,
                    page=views.page(record, frame),
                    recounted=record.recounted,
                )
            )
        await self._store.save_products(uow, records)
        if forget:
            names = [name for record in records for name in (record.id, record.slug)]
            recounted = any(record.recounted for record in records)
            uow.after_commit(lambda: self._forget(names, recounted=recounted))

    async def _forget(self, ids_and_slugs: Iterable[str], *, recounted: bool) -> None:
        """``recounted``: the tree tells other numbers; it is asked for at every page, and most edits change none."""
        tree = ["categories"] if recounted else []
        await self._cache.drop(["lists", *tree, *(f"product:{name}" for name in ids_and_slugs)])
