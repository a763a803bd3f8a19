"""Building the base feed: read what can be bought, put lists together, write them as one generation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import structlog
from msgspec.structs import asdict

from marketplace_core.capabilities.catalog import Catalog, Category
from marketplace_core.capabilities.recommendations import Reason, RecommendedCard
from marketplace_core.errors import Unavailable
from marketplace_core.feed import feed_entry, feed_name
from marketplace_core.ports import FeedEntry, FeedLost, FeedStore, Pool, UnitOfWork, Units
from marketplace_core.values import Clock
from marketplace_recommendations.config import RecommendationsConfig
from marketplace_recommendations.domain import Mix, compose
from marketplace_recommendations.following import fact_of
from marketplace_recommendations.store import Changes, RecommendationsStore, Shelf

__all__ = ["FeedBuilder", "recommended"]

log = structlog.get_logger("marketplace.recommendations")

#: Cards that are read at a time.
CARDS = 2000
#: Products that are asked of the catalogue at a time.
SCAN = 500
TRIES = 3


class FeedBuilder:
    """One at a time in this process; of two processes' the one begun last is read, whichever ends first."""

    def __init__(
        self,
        store: RecommendationsStore,
        feeds: FeedStore,
        catalog: Catalog,
        pool: Pool,
        clock: Clock,
        config: RecommendationsConfig,
    ) -> None:
        self._store, self._feeds, self._catalog, self._pool = store, feeds, catalog, pool
        self._clock, self._config = clock, config
        self._lock = asyncio.Lock()
        self._changed = asyncio.Event()

    async def build(self) -> int:
        """Gives how many entries all feeds have. :raises Unavailable: a store is away, or the feeds' forgets all the time."""
        async with self._lock:
            for _ in range(TRIES):
                try:
                    return await self._build()
                except FeedLost:
                    continue
        raise Unavailable("The feed's server forgets what is written to it.")

    async def _build(self) -> int:
        # Begun before anything is read: what is sold out from here on is taken out of this generation, too.
        generation = await self._feeds.begin()
        built_at = self._clock.now()
        ancestors, slugs = await self._categories()
        products = await self._store.placed()
        mix = Mix(self._config.per_seller, self._config.per_category)
        lists = await self._pool.run(compose, products, ancestors, self._config.feed_length, mix)
        shelves = await self._shelves({id_ for entries in lists.values() for id_, _ in entries})
        count = 0
        for category, entries in lists.items():
            written = list(_entries(entries, shelves))
            count += len(written)
            for name in (category, slugs[category]) if category is not None else (None,):
                await self._feeds.write(generation, feed_name(name), written)
        await self._feeds.publish(generation, built_at)
        return count

    async def _categories(self) -> tuple[dict[str, list[str]], dict[str, str]]:
        """Of each category itself with all above it, and its slug. Without a catalogue at hand there is one feed."""
        tree = await self._catalog.get_categories()
        ancestors: dict[str, list[str]] = {}
        slugs: dict[str, str] = {}
        _walk(tree.items, [], ancestors, slugs)
        return ancestors, slugs

    async def _shelves(self, ids: Iterable[str]) -> dict[str, Shelf]:
        wanted, found = sorted(ids), dict[str, Shelf]()
        for first in range(0, len(wanted), CARDS):
            found |= await self._store.shelves(wanted[first : first + CARDS])
        return found

    async def catch_up(self, units: Units, report: Callable[[int], None]) -> None:
        """Write down every product that events have not told of, as where this plugin came later than they did."""
        after, count = "", 0
        while True:
            pages = await self._catalog.scan_pages(after, SCAN)
            changes = Changes([fact_of(page, self._clock.now()) for page in pages if page.variants])

            async def write(uow: UnitOfWork, changes: Changes = changes) -> None:
                await self._store.follow(uow, changes)

            await units.run(write)
            count += len(pages)
            report(count)
            if len(pages) < SCAN:
                return
            after = pages[-1].id

    # ── when ─────────────────────────────────────────────────────────────────────────────────────────────────

    def changed(self) -> None:
        """What is in the feed, or should be, has changed."""
        self._changed.set()

    async def follow(self) -> None:
        """A loop: builds after changes, and rests for ten times as long as it took, ``feed_pause`` at least."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            began = time.monotonic()
            try:
                await self.build()
            except (Unavailable, OSError) as error:
                log.warning("recommendations.feed_not_built", cause=f"{type(error).__name__}: {error}")
                self._changed.set()
            await asyncio.sleep(max(self._config.feed_pause, 10 * (time.monotonic() - began)))

    async def keep(self) -> None:
        """A schedule: builds one where there is none, or where it has become old."""
        found = await self._feeds.read(feed_name(None), 1)
        if found is None or (self._clock.now() - found.built_at).total_seconds() >= self._config.feed_seconds:
            await self.build()


def recommended(shelf: Shelf, reason: Reason) -> RecommendedCard:
    return RecommendedCard(**asdict(shelf.card), reason=reason)


def _entries(entries: Sequence[tuple[str, str]], shelves: Mapping[str, Shelf]) -> Iterator[FeedEntry]:
    for id_, code in entries:
        if id_ in shelves:
            yield feed_entry(recommended(shelves[id_], Reason(code)))  # type: ignore[arg-type]


def _walk(items: Sequence[Category], above: list[str], ancestors: dict[str, list[str]], slugs: dict[str, str]) -> None:
    for item in items:
        path = [*above, item.id]
        ancestors[item.id], slugs[item.id] = path, item.slug
        _walk(item.items, path, ancestors, slugs)
