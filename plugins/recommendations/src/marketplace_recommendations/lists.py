"""Lists for one shopper: what is known, what is like it, and what may be shown of that."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from marketplace_core.capabilities.cart import Cart, CartOwner
from marketplace_core.capabilities.recommendations import Candidate, CandidateRequest, Shopper
from marketplace_core.extensions import Extensions
from marketplace_core.feed import feed_name, read_feed_cards
from marketplace_core.ports import FeedStore
from marketplace_recommendations.domain import Mix, Pick, Placed, mixed, ranked, unique
from marketplace_recommendations.recents import Recents
from marketplace_recommendations.store import Known, RecommendationsStore, Shelf

__all__ = ["HISTORY", "Lists"]

#: So many of the last actions count.
HISTORY = 20
#: The longest list.
LENGTH = 200
#: What is looked up of a category where the model knows nothing.
CATEGORY = 20


class Closed(NamedTuple):
    """What is not shown to a shopper, and whether nothing may be known of whom it is."""

    cart: list[str]
    bought: list[str]
    recent: list[str]
    again: list[str]
    unknown: bool


class Lists:
    def __init__(
        self,
        store: RecommendationsStore,
        recents: Recents,
        feeds: FeedStore,
        cart: Cart | None,
        extensions: Extensions,
        mix: Mix,
    ) -> None:
        """``cart``: None where the deployment has none."""
        self._store, self._recents, self._feeds = store, recents, feeds
        self._cart, self._extensions, self._mix = cart, extensions, mix

    async def personal(self, person: str | None, shopper: Shopper) -> list[Pick] | None:
        """None: nothing is known of the shopper, or nothing may be."""
        closed = await self.closed(person, shopper)
        if closed.unknown:
            return None
        history = unique([*closed.recent, *closed.cart])[:HISTORY]
        like, others = await asyncio.gather(self._store.alike(history, CATEGORY), self._candidates(shopper.account_id, history))
        picks = _with_candidates(ranked(history, like), others)
        if not picks:
            return None
        return await self._shown(picks, ({*history} - {*closed.again}) | {*closed.cart, *closed.bought})

    async def similar(self, product_id: str, person: str | None, shopper: Shopper) -> list[Pick]:
        like, closed = await asyncio.gather(self._store.alike([product_id], CATEGORY), self.closed(person, shopper))
        return await self._shown(ranked([product_id], like, named=False), {product_id, *closed.cart, *closed.bought})

    async def closed(self, person: str | None, shopper: Shopper) -> Closed:
        """What the cart holds is not shown to anybody, whatever may be known of whom it is."""
        known, recent, cart = await asyncio.gather(self._known(person), self._last(person), self._in_cart(shopper))
        return Closed(cart, known.bought, [*recent, *known.recent], known.again, known.unknown)

    async def _known(self, person: str | None) -> Known:
        return Known(False, [], [], []) if person is None else await self._store.known(person, HISTORY)

    async def _last(self, person: str | None) -> list[str]:
        return [] if person is None else await self._recents.last(person)

    async def _in_cart(self, shopper: Shopper) -> list[str]:
        if self._cart is None or (shopper.account_id is None and shopper.token is None):
            return []
        lines = await self._cart.get_lines(CartOwner(shopper.account_id, shopper.token))
        return [] if lines is None else await self._store.products_of([line.variant_id for line in lines.lines])

    async def _candidates(self, account_id: str | None, history: Sequence[str]) -> list[Candidate]:
        request = CandidateRequest(account_id=account_id, recent=tuple(history), size=LENGTH)
        given: Mapping[str, Sequence[Candidate]] = await self._extensions.contribute(
            "recommendation_candidates", request=request
        )
        return [candidate for candidates in given.values() for candidate in candidates]

    async def _shown(self, picks: Sequence[Pick], without: Collection[str]) -> list[Pick]:
        """What can be bought, mixed; and after it what the feed has."""
        wanted = [pick for pick in picks if pick.id not in without][: 2 * LENGTH]
        shelves, rest = await asyncio.gather(
            self._store.shelves([pick.id for pick in wanted]), read_feed_cards(self._feeds, feed_name(None), LENGTH)
        )
        by_id = {pick.id: pick for pick in wanted if pick.id in shelves}
        order = [each.id for each in mixed([_placed(id_, shelves[id_]) for id_ in by_id], self._mix)]
        feed = {card.id: Pick(card.id, 0.0, card.reason.code, None) for card in rest}
        chosen = unique([*order, *feed], without)[:LENGTH]
        return [by_id.get(id_) or feed[id_] for id_ in chosen]


def _placed(id_: str, shelf: Shelf) -> Placed:
    return Placed(id_, shelf.seller_id, shelf.category_id, None, 0.0)


def _with_candidates(picks: Sequence[Pick], others: Sequence[Candidate]) -> list[Pick]:
    """Scores of others are parts of the best of our own."""
    best = max((pick.score for pick in picks), default=1.0)
    merged = {pick.id: pick for pick in picks}
    for other in others:
        pick = Pick(other.product_id, best * other.score, other.reason.code, other.reason.product_id)
        if pick.id not in merged or merged[pick.id].score < pick.score:
            merged[pick.id] = pick
    return sorted(merged.values(), key=lambda pick: (-pick.score, pick.id))
