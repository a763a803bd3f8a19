"""Use cases of recommendations: showing lists, taking signals in, following events, and what a worker does."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import TypeVar

import structlog

from marketplace_core.capabilities.recommendations import (
    FeedQuery,
    Reason,
    Recommendations,
    RecommendedCard,
    Shopper,
    Signal,
    SignalInput,
    SignalsGiven,
)
from marketplace_core.capabilities.users import ProfileChanged
from marketplace_core.errors import BadCursor, MarketplaceError, NotFound, Unavailable
from marketplace_core.events import Envelope, Event
from marketplace_core.feed import read_feed, with_address
from marketplace_core.metrics import Counter
from marketplace_core.ports import FeedStore, UnitOfWork, Units, handler, natural
from marketplace_core.values import Clock, Page, PageQuery
from marketplace_recommendations.building import FeedBuilder, recommended
from marketplace_recommendations.config import RecommendationsConfig
from marketplace_recommendations.domain import Pick, believed
from marketplace_recommendations.following import changes_of
from marketplace_recommendations.lists import Lists
from marketplace_recommendations.recents import Recents
from marketplace_recommendations.store import Changes, RecommendationsStore
from marketplace_recommendations.training import Trained, Trainer

__all__ = ["RecommendationsService"]

log = structlog.get_logger("marketplace.recommendations")

T = TypeVar("T")

#: A client's clock is believed within a day.
BELIEVED_SECONDS = 86400.0
FORGET_BATCH = 1000
DAY = 86400.0


class RecommendationsService(Recommendations):
    def __init__(
        self,
        units: Units,
        store: RecommendationsStore,
        recents: Recents,
        feeds: FeedStore,
        lists: Lists,
        builder: FeedBuilder,
        trainer: Trainer,
        tell: Callable[[Sequence[Event]], Awaitable[None]],
        clock: Clock,
        config: RecommendationsConfig,
        fallen_back: Counter,
        url: Callable[[str], str],
    ) -> None:
        """``tell`` publishes what belongs to no unit of work; ``fallen_back`` counts lists that became the feed, by cause;
        ``url``: where a picture is shown."""
        self._url = url
        self.units = units
        self._store, self._recents, self._feeds = store, recents, feeds
        self._lists, self._builder, self._trainer = lists, builder, trainer
        self._tell, self._clock, self._config = tell, clock, config
        self._fallen_back = fallen_back
        self._entrance = os.urandom(6).hex()

    # ── showing ──────────────────────────────────────────────────────────────────────────────────────────────

    async def recommend(self, shopper: Shopper, page: PageQuery) -> Page[RecommendedCard]:
        return self._shown(await self._recommend(shopper, page))

    def _shown(self, page: Page[RecommendedCard]) -> Page[RecommendedCard]:
        return Page([with_address(card, self._url) for card in page.items], page.next)

    async def _recommend(self, shopper: Shopper, page: PageQuery) -> Page[RecommendedCard]:
        person = _person(shopper)
        if page.cursor is not None:
            return await self._go_on(person, shopper, page)

        async def begin() -> Page[RecommendedCard] | None:
            picks = await self._lists.personal(person, shopper)
            return await self._first(picks, page) if picks else None

        found = await self._in_time(begin)
        return found if found is not None else await self._fallback(person, shopper, page)

    async def list_similar(self, product_id: str, shopper: Shopper, page: PageQuery) -> Page[RecommendedCard]:
        return self._shown(await self._list_similar(product_id, shopper, page))

    async def _list_similar(self, product_id: str, shopper: Shopper, page: PageQuery) -> Page[RecommendedCard]:
        person = _person(shopper)
        if page.cursor is not None:
            return await self._go_on(person, shopper, page)

        async def begin() -> Page[RecommendedCard] | None:
            if not await self._store.has_product(product_id):
                raise NotFound("There is no such product.")
            return await self._first(await self._lists.similar(product_id, person, shopper), page)

        found = await self._in_time(begin)
        return found if found is not None else await self._fallback(person, shopper, page)

    async def _in_time(self, act: Callable[[], Awaitable[T]]) -> T | None:
        """None: it took too long, or failed in a way that is not the shopper's."""
        limit = asyncio.timeout(self._config.personal_ms / 1000)
        try:
            async with limit:
                return await act()
        except NotFound:
            raise
        except Exception as error:
            cause = "slow" if limit.expired() else "failed"
            self._fallen_back.labels(cause).inc()
            if not limit.expired():
                log.warning("recommendations.fell_back", cause=f"{type(error).__name__}: {error}")
            return None

    async def _first(self, picks: Sequence[Pick], page: PageQuery) -> Page[RecommendedCard]:
        name = await self._recents.keep_list(picks) if len(picks) > page.size else ""
        return await self._page(name, picks, 0, page, frozenset())

    async def _page(
        self, name: str, picks: Sequence[Pick], start: int, page: PageQuery, without: frozenset[str]
    ) -> Page[RecommendedCard]:
        """From place ``start`` of a list that is kept. What cannot be bought any more is left out, and pages stay full."""
        shelves = await self._store.shelves([pick.id for pick in picks[start:]])
        cards: list[RecommendedCard] = []
        for place, pick in enumerate(picks[start:], start):
            if pick.id not in shelves or pick.id in without:
                continue
            if len(cards) == page.size:
                return Page(cards, page.cursor_after((name, place)) if name else None)
            cards.append(recommended(shelves[pick.id], Reason(pick.code, pick.because)))  # type: ignore[arg-type]
        return Page(cards)

    async def _go_on(self, person: str | None, shopper: Shopper, page: PageQuery) -> Page[RecommendedCard]:
        """A list that began as the feed goes on as the feed."""
        try:
            position = page.position(str, int)
        except BadCursor:
            return await self._feed_page(await self._closed(person, shopper), page)
        name, start = position or ("", 0)
        picks = await self._recents.read_list(name)
        if picks is None or not 0 <= start <= len(picks):
            raise BadCursor()
        return await self._page(name, picks, start, page, await self._closed(person, shopper))

    async def _fallback(self, person: str | None, shopper: Shopper, page: PageQuery) -> Page[RecommendedCard]:
        closed = await self._closed(person, shopper)
        try:
            found = await self._feed_page(closed, page)
        except Unavailable:
            found = Page([])
        if found.items or found.next:
            return found
        shelves = await self._store.popular(page.size)
        return Page([recommended(shelf, Reason("popular")) for shelf in shelves if shelf.card.id not in closed])

    async def _feed_page(self, closed: frozenset[str], page: PageQuery) -> Page[RecommendedCard]:
        found = await read_feed(self._feeds, FeedQuery(limit=page.limit, cursor=page.cursor))
        return Page([card for card in found.items if card.id not in closed], found.next)

    async def _closed(self, person: str | None, shopper: Shopper) -> frozenset[str]:
        """What is not shown, as far as it can be had in time: a page never fails for it."""
        if person is None:
            return frozenset()
        closed = await self._in_time(lambda: self._lists.closed(person, shopper))
        if closed is None:
            return frozenset()
        return frozenset(closed.cart) if closed.unknown else frozenset([*closed.cart, *closed.bought])

    # ── signals ──────────────────────────────────────────────────────────────────────────────────────────────

    async def record(self, shopper: Shopper, signals: list[SignalInput]) -> None:
        if not signals:
            return
        now, person = self._clock.now(), _person(shopper)
        if person is not None and await self._store.is_unknown(person):
            person = None
        given = tuple(
            Signal(type=each.type, product_id=each.product_id, source=each.source, at=believed(each.at, now, BELIEVED_SECONDS))
            for each in signals
        )
        await self._tell([SignalsGiven(entrance=self._entrance, person=person, signals=given)])
        acted = [each.product_id for each in given if each.type != "impression"]
        if person is not None and acted:
            await self._note(person, acted)

    async def _note(self, person: str, product_ids: Sequence[str]) -> None:
        try:
            await self._recents.note(person, product_ids)
            if await self._store.is_unknown(person):  # since we looked: what they deleted may have come before this
                await self._recents.forget(person)
        except Unavailable as error:  # it is written down a moment later
            log.warning("recommendations.not_noted", cause=str(error))

    @natural
    async def forget(self, uow: UnitOfWork, account_id: str) -> None:
        await self._make_unknown(uow, account_id, erased=True)

    @handler(ProfileChanged)
    async def on_profile_changed(self, uow: UnitOfWork, event: ProfileChanged) -> None:
        if event.personalised:
            await self._store.make_known(uow, event.account_id)
        else:
            await self._make_unknown(uow, event.account_id, erased=False)

    async def _make_unknown(self, uow: UnitOfWork, person: str, *, erased: bool) -> None:
        await self._store.make_unknown(uow, person, erased=erased)
        await self._recents.forget(person)  # before the commit: if it cannot be done, all of it is done again
        uow.after_commit(lambda: self._recents.forget(person))

    async def follow(self, envelopes: list[Envelope]) -> None:
        """A sink: a batch is one transaction. What cannot be bought any more leaves the feed at once."""
        changes = changes_of(envelopes, self._config.half_life_days * DAY)

        async def write(uow: UnitOfWork) -> list[str]:
            return await self._store.follow(uow, changes)

        if changes == Changes():
            return
        gone = await self.units.run(write)
        await self._feeds.remove(gone)
        if changes.of_shelves:
            self._builder.changed()

    async def forget_old(self) -> None:
        """A schedule: deletes signals that are older than the settings say, in batches."""
        for days, purchases in ((self._config.signal_days, False), (self._config.purchase_days, True)):
            while await self._forget_some(days, purchases) >= FORGET_BATCH:
                pass

    @natural
    async def _forget_some(self, uow: UnitOfWork, days: int, purchases: bool) -> int:
        return await self._store.forget_old(uow, uow.now - timedelta(days=days), FORGET_BATCH, purchases=purchases)

    # ── the feed and the model ───────────────────────────────────────────────────────────────────────────────

    async def refresh_feed(self) -> None:
        """A task: builds the feed after changes."""
        await self._builder.follow()

    async def keep_feed(self) -> None:
        """A schedule: builds the feed where there is none, or where it has become old."""
        try:
            await self._builder.keep()
        except (MarketplaceError, OSError) as error:  # the next time does it
            log.warning("recommendations.feed_not_kept", cause=f"{type(error).__name__}: {error}")

    async def rebuild_feed(self, report: Callable[[int], None] = lambda _: None) -> int:
        """Of all that the catalogue shows, whatever events told. Gives how many entries all feeds have.

        ``report``: of how many products is known by now.
        """
        await self._builder.catch_up(self.units, report)
        return await self._builder.build()

    async def train(self, report: Callable[[str, int, int], None] = lambda *_: None) -> Trained:
        """``report``: of a stage (``signals``, ``model``, ``write``) what is done, and of how much."""
        return await self._trainer.train(self.units, report)

    async def train_by_schedule(self) -> None:
        """A schedule: trains the model anew."""
        trained = await self.train()
        log.info("recommendations.trained", people=trained.people, products=trained.products, seconds=trained.seconds)


def _person(shopper: Shopper) -> str | None:
    """What is known of a guest is kept under what no token can be made of."""
    if shopper.account_id is not None:
        return shopper.account_id
    if not shopper.token:
        return None
    return "guest:" + hashlib.blake2b(shopper.token.encode(), digest_size=16).hexdigest()
