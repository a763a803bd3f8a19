"""recommendations: what shoppers are shown without asking for it: the base feed, what is like a product, what is for a person.

The feed is built by the provider's worker and read by whoever shows it (:mod:`marketplace_core.feed`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from marketplace_core.capabilities.catalog import Card
from marketplace_core.events import Event, PersonId, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, query
from marketplace_core.values import Id, Page, PageQuery

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

ReasonCode = Literal["popular", "new", "bought_together", "similar", "history"]
SignalType = Literal["view", "click", "impression"]


class Reason(Struct, frozen=True):
    """Why a card is shown; ``product_id`` is the product that it follows from, where it follows from one."""

    code: ReasonCode
    product_id: str | None = None


class RecommendedCard(Card, frozen=True, kw_only=True):
    """A product in a list that nobody asked for, and why it is there."""

    reason: Reason


class Shopper(Struct, frozen=True):
    """For whom: an account, else the guest who holds the cart's ``token``; neither: somebody of whom nothing is known."""

    account_id: str | None = None
    token: str | None = None


class FeedQuery(PageQuery, frozen=True, kw_only=True):
    """``category``: id or slug, with all below it."""

    category: Annotated[str, Meta(max_length=300)] | None = None


class SignalInput(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody was shown a product, looked at it, or came to it from a list. ``source``: from where, in the client's words;
    ``at``: when, where that was not now."""

    type: SignalType
    product_id: Id
    source: Annotated[str, Meta(max_length=100)] | None = None
    at: Annotated[datetime, Meta(tz=True)] | None = None


class SignalBatch(Struct, frozen=True, forbid_unknown_fields=True):
    items: Annotated[list[SignalInput], Meta(max_length=50)]


class Signal(Struct, frozen=True, kw_only=True):
    """What was signalled, at a time that is believed."""

    type: SignalType
    product_id: str
    source: str | None
    at: datetime


class CandidateRequest(Struct, frozen=True, kw_only=True):
    """``recent``: products that the shopper has acted on, the last first. ``size``: how many candidates can be of use."""

    account_id: str | None
    recent: tuple[str, ...]
    size: int


class Candidate(Struct, frozen=True, kw_only=True):
    """A product that might be shown. ``score``: from 0 to 1, the best of the provider's own being 1."""

    product_id: str
    score: Annotated[float, Meta(ge=0, le=1)]
    reason: Reason = Reason("history")


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("recommendations.signals_given", key="entrance")
class SignalsGiven(Event, frozen=True, kw_only=True):
    """What a shopper looked at. It is told outside of any unit of work, so it has no sequence and only sinks are given it.

    ``entrance`` tells processes apart that take signals in: those of one stay together, so that they are written together.
    ``person`` is the account, or stands for a guest's token, which it does not tell; None: nobody who may be remembered.
    """

    entrance: str
    person: PersonId | None
    signals: tuple[Signal, ...]


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Recommendations(ABC):
    """Lists that never fail for what they are made from: where nothing personal can be had in time, it is the feed."""

    @abstractmethod
    @query
    async def recommend(self, shopper: Shopper, page: PageQuery) -> Page[RecommendedCard]:
        """What the shopper might want: nothing that cannot be bought now, nothing twice on any page, nothing of the cart, and
        nothing bought already unless it is a thing that people buy again. The last actions count at once.

        Where nothing is known, or may be (``preferences.personalised``), or it takes too long, these are pages of the feed.

        :raises BadCursor: the list that it belongs to is not kept any more.
        """

    @abstractmethod
    @query
    async def list_similar(self, product_id: str, shopper: Shopper, page: PageQuery) -> Page[RecommendedCard]:
        """What is bought together with a product or is like it, under the same rules. :raises NotFound: no such product."""

    @abstractmethod
    @mutation(retriable=False)
    async def record(self, shopper: Shopper, signals: list[SignalInput]) -> None:
        """Take in what a shopper looks at. Once this has returned it is not lost, and the next :meth:`recommend` follows it."""

    @abstractmethod
    @mutation(retriable=True)
    async def forget(self, account_id: str) -> None:
        """Know nothing of this person any more, and learn nothing from now on: the account is being erased."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class RecommendationsHooks:
    @hookspec
    def provide_recommendations(self, context: PluginContext) -> Recommendations:  # type: ignore[empty-body]
        """The capability's provider."""

    @hookspec
    async def recommendation_candidates(  # type: ignore[empty-body]
        self, request: CandidateRequest
    ) -> Mapping[str, Sequence[Candidate]]:
        """Products to consider beside the provider's own, by the name of their source; a contribution.

        They are ranked among the others by their scores, and under the same rules: what cannot be bought, is in the cart or was
        bought already is left out. It shares the time that a personal list may take; one that is late or fails gives the feed.
        """
