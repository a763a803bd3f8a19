"""Use cases of the search. What it knows it has from events, and from the catalogue when the index is built anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import date, timedelta

import structlog
from msgspec.structs import replace

from marketplace_core.capabilities.catalog import Catalog, ProductChanged, ProductPage, Rating, StockChanged
from marketplace_core.capabilities.recommendations import FeedQuery, RecommendedCard
from marketplace_core.capabilities.reviews import ProductRated
from marketplace_core.capabilities.search import (
    Click,
    Ranking,
    Rebuilt,
    Search,
    SearchPage,
    SearchQuery,
    SearchReport,
    Suggestion,
    Suggestions,
)
from marketplace_core.capabilities.sellers import SellerChanged, SellerQuery, Sellers
from marketplace_core.errors import BadCursor, MarketplaceError
from marketplace_core.events import Event
from marketplace_core.extensions import ExtensionError, Extensions
from marketplace_core.feed import read_feed, with_address
from marketplace_core.ports import FeedStore, ProjectionUnits, UnitOfWork, handler, handler_after
from marketplace_core.values import Clock, require
from marketplace_core.values import Page as CardPage
from marketplace_search import views
from marketplace_search.config import SearchConfig
from marketplace_search.domain import fold, words_of
from marketplace_search.signals import Gathering, normal
from marketplace_search.store import Found, Hit, Page, SearchStore, Seller, SignalStore, Stamp, Stars, StockCounts, Wanted

__all__ = ["SearchService"]

log = structlog.get_logger("marketplace.search")

SCAN = 500
MARK_BYTES = 5
#: Plugins that rank are shown so many of the best.
RANKED = 60
#: How long the categories are believed.
TREE_SECONDS = 30.0
SUGGESTED = {"query": 5, "product": 5, "category": 3, "seller": 2}
REPORTED = 20
Progress = Callable[[int, int | None], None]


class SearchService(Search):
    def __init__(
        self,
        units: ProjectionUnits,
        store: SearchStore,
        signals: SignalStore,
        catalog: Catalog,
        sellers: Sellers | None,
        feeds: FeedStore,
        extensions: Extensions,
        clock: Clock,
        key: bytes,
        config: SearchConfig,
        tell: Callable[[Sequence[Event]], Awaitable[None]],
        url: Callable[[str], str],
    ) -> None:
        """``key`` makes marks of people; see :class:`~marketplace_search.signals.Gathering`.

        ``url``: where a picture is shown."""
        self._url = url
        self.units = units
        self._store, self._signals, self._catalog, self._sellers = store, signals, catalog, sellers
        self._feeds = feeds
        self._extensions, self._clock, self._config = extensions, clock, config
        self._gathering = Gathering(signals, clock, key, config.signal_seconds, config.people, tell)
        self._tree = views.Tree(())
        self._tree_until = 0.0

    async def close(self) -> None:
        await self._gathering.close()

    # ── for shoppers ─────────────────────────────────────────────────────────────────────────────────────────

    async def search(self, query: SearchQuery) -> SearchPage:
        shown = _marks(query)
        tree = await self._categories()
        nodes = [tree.find(name) for name in query.category]
        ranks = query.sort == "relevance" and bool(words_of(query.q)) and query.kind == "products"
        ranks = ranks and self._extensions.implemented("search_ranking")
        wanted = Wanted(
            kind=query.kind,
            words=query.q,
            categories=frozenset().union(*(node.below for node in nodes if node)) if query.category else None,
            sellers=tuple(query.seller),
            options=query.option,
            attributes=query.attr,
            min_price=query.min_price,
            max_price=query.max_price,
            in_stock=query.in_stock,
            sort=query.sort,
            size=max(query.size, RANKED) if ranks else query.size,
            shown=frozenset(shown),
        )
        found = await self._store.search(wanted)
        hits = (await self._boosted(query.q, found.hits) if ranks else found.hits)[: query.size]
        if query.q and not shown:
            self._gathering.searched(query.q, 0 if found.dropped else found.total)
        selected = frozenset(node.category.id for node in nodes if node)
        return SearchPage(
            items=[views.hit(each, self._url) for each in hits],
            next=self._next(query, shown, hits, found),
            total=found.total,
            facets=views.facets(found.counts, tree, selected, self._config.facet_values),
            corrected=found.corrected,
            fallback=views.fallback(found),
        )

    async def get_feed(self, query: FeedQuery) -> CardPage[RecommendedCard]:
        found = await read_feed(self._feeds, query)
        return CardPage([with_address(card, self._url) for card in found.items], found.next)

    def _next(self, query: SearchQuery, shown: Sequence[int], hits: Sequence[Hit], found: Found) -> str | None:
        """A cursor is what has been shown: the next page is the best of the rest, whatever has changed its place."""
        marks = [*shown, *(each.mark for each in hits)]
        more = found.more or len(found.hits) > len(hits)
        if not more or not hits or len(marks) >= self._config.depth:
            return None
        packed = b"".join(mark.to_bytes(MARK_BYTES, "big") for mark in marks)
        rows = [None] * (query.size + 1)
        return query.page(rows, lambda _: (packed,)).next

    async def _boosted(self, q: str, hits: list[Hit]) -> list[Hit]:
        """As plugins rank them; one that fails, or is slow, is as none."""
        best = max((each.score for each in hits), default=0.0)
        shown = [ranked for each in hits if (ranked := views.ranked(each, best)) is not None]
        limit = asyncio.timeout(self._config.ranking_seconds)
        try:
            async with limit:
                given = await self._extensions.contribute("search_ranking", ranking=Ranking(q, shown, self._clock.now()))
        except (ExtensionError, TimeoutError) as error:
            log.warning("search.not_ranked", error=str(error) or "too slow")
            return hits
        boosts: dict[str, float] = {}
        for values in given.values():
            for id_, boost in values.items():
                boosts[id_] = boosts.get(id_, 1.0) * max(0.0, boost)
        return sorted(hits, key=lambda each: -each.score * boosts.get(each.record.id, 1.0))

    async def _categories(self) -> views.Tree:
        """Those of a moment ago: they change seldom, and the catalogue may be away."""
        now = time.monotonic()
        if now >= self._tree_until:
            self._tree_until = now + TREE_SECONDS  # one asks, and the others go on with what there is
            try:
                self._tree = views.Tree((await self._catalog.get_categories()).items)
            except MarketplaceError as error:
                self._tree_until = 0.0
                log.warning("search.no_categories", error=error.code)
        return self._tree

    async def suggest(self, q: str) -> Suggestions:
        words, prefix = words_of(q), normal(q)
        if not words:
            return Suggestions([])
        popular, products, sellers, tree = await asyncio.gather(
            self._popular(prefix),
            self._store.suggest(q, "products", SUGGESTED["product"]),
            self._store.suggest(q, "sellers", SUGGESTED["seller"]),
            self._categories(),
        )
        found = [Suggestion(text, "query") for text in popular]
        found += [Suggestion(title, "product", id_) for id_, title in products]
        categories = tree.named(" ".join(words), fold, SUGGESTED["category"])
        found += [Suggestion(category.name, "category", category.id) for category in categories]
        found += [Suggestion(name, "seller", id_) for id_, name in sellers]
        return Suggestions(found)

    async def _popular(self, prefix: str) -> list[str]:
        try:
            return await self._signals.popular(prefix, SUGGESTED["query"])
        except MarketplaceError:  # without them there are fewer suggestions, and not none
            return []

    async def clicked(self, click: Click) -> None:
        self._gathering.clicked(click.q, click.position)

    async def report(self, since: date, until: date) -> SearchReport:
        require(since <= until, "?from", "range", "The first day comes before the last.")
        await self._gathering.flush()
        searches, without_result, clicks = await self._signals.totals(since, until)
        return SearchReport(
            searches=searches,
            without_result=without_result,
            click_through=round(clicks / searches, 4) if searches else None,
            top=await self._signals.top(since, until, REPORTED, "all"),
            nothing_found=await self._signals.top(since, until, REPORTED, "nothing"),
        )

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────

    @handler(ProductChanged)
    async def on_product_changed(self, uow: UnitOfWork, event: ProductChanged) -> None:
        await self._store.put([Page(event.product_id, event.seller_id, event.status, event.page, _stamp(uow))])

    @handler(StockChanged)
    async def on_stock_changed(self, uow: UnitOfWork, event: StockChanged) -> None:
        await self._store.put([StockCounts(event.product_id, event.available, _stamp(uow))])

    @handler(ProductRated)
    async def on_product_rated(self, uow: UnitOfWork, event: ProductRated) -> None:
        await self._store.put([Stars(event.product_id, Rating(event.rating.average, event.rating.count), _stamp(uow))])

    async def _hidden_before(self, event: SellerChanged) -> list[ProductPage]:
        """What was told of while its seller was not active had no page; it is seen again."""
        if event.status != "active":
            return []
        return [page async for ids in self._store.hidden(event.seller_id) for page in await self._catalog.get_pages(ids)]

    @handler_after(_hidden_before, SellerChanged)
    async def on_seller_changed(self, uow: UnitOfWork, pages: list[ProductPage], event: SellerChanged) -> None:
        seller = Seller(event.seller_id, event.name, event.status == "active", _stamp(uow))
        shown = [Page(page.id, page.seller.id, "published", page, Stamp(0, f"seen:{event.version_number}")) for page in pages]
        await self._store.put([seller, *shown])

    # ── building the index anew ──────────────────────────────────────────────────────────────────────────────

    async def keep_index(self) -> None:
        """A task: where there is no index, or one of other settings, it is built while the former is read."""
        while True:
            try:
                if not await self._store.stale():
                    break
                await self.rebuild()
            except MarketplaceError as error:  # the catalogue, the index's server, or a command that builds it
                log.warning("search.not_built", error=error.code, detail=error.detail)
                await asyncio.sleep(2.0)
        await asyncio.Event().wait()

    async def rebuild(self, progress: Progress = lambda done, total: None) -> Rebuilt:
        """From the catalogue's port, beside the index that is read. ``progress`` is told products done, and of how many."""
        began = time.monotonic()
        async with self._store.building() as building:
            sellers = await self._all_sellers()
            await building.add(sellers)
            total = sum(category.count for category in (await self._catalog.get_categories()).items) or None
            done, pages = 0, await self._catalog.scan_pages("", SCAN)
            while pages:
                done += len(pages)
                # the next are read while these are written
                _, pages = await asyncio.gather(building.add(pages), self._after(pages))
                progress(done, total)
            caught_up = await building.publish()
        return Rebuilt(done, len(sellers), caught_up, round(time.monotonic() - began, 3))

    async def _after(self, pages: Sequence[ProductPage]) -> list[ProductPage]:
        return [] if len(pages) < SCAN else await self._catalog.scan_pages(pages[-1].id, SCAN)

    async def _all_sellers(self) -> list[Seller]:
        found: list[Seller] = []
        query: SellerQuery | None = SellerQuery(limit=100)
        while query is not None and self._sellers is not None:
            page = await self._sellers.list_sellers(query)
            found += [Seller(each.id, each.name, each.status == "active", Stamp(0)) for each in page.items]
            query = replace(query, cursor=page.next) if page.next else None
        return found

    async def forget(self) -> None:
        """A schedule: counts of long ago go."""
        await self._signals.forget(self._clock.now().date() - timedelta(days=self._config.signal_days))


def _stamp(uow: UnitOfWork) -> Stamp:
    unit = ProjectionUnits.on(uow)
    return Stamp(unit.sequence, unit.source.writer)


def _marks(query: SearchQuery) -> list[int]:
    """What the pages before have shown. :raises BadCursor: it is none of this search."""
    position = query.position(bytes)
    if position is None:
        return []
    packed: bytes = position[0]
    if len(packed) % MARK_BYTES or len(packed) > 2000 * MARK_BYTES:
        raise BadCursor()
    return [int.from_bytes(packed[at : at + MARK_BYTES], "big") for at in range(0, len(packed), MARK_BYTES)]
