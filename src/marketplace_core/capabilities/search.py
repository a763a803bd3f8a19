"""search: what shoppers find by words. Products and sellers, facets, suggestions, and which words found nothing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date, datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct, field

from marketplace_core.capabilities.catalog import Image, Rating, SellerRef
from marketplace_core.capabilities.recommendations import FeedQuery, RecommendedCard
from marketplace_core.events import Event, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, query
from marketplace_core.values import LARGEST_AMOUNT, Money, Page, PageQuery

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

SearchKind = Literal["products", "sellers"]
SearchSort = Literal["relevance", "newest", "price", "-price", "rating"]
Words = Annotated[str, Meta(max_length=200)]
FacetName = Annotated[str, Meta(min_length=1, max_length=100)]
FacetChoice = Annotated[str, Meta(min_length=1, max_length=200)]
Choices = Annotated[tuple[FacetChoice, ...], Meta(max_length=20)]
Amount = Annotated[int, Meta(ge=0, le=LARGEST_AMOUNT)]


class SearchQuery(PageQuery, frozen=True, kw_only=True):
    """``category``: ids or slugs, each with all below it; ``option`` and ``attr`` by name; prices in minor units.

    Several values of one name mean any of them, several names all of them. Options must hold on one variant together, which
    can be bought where ``in_stock`` is asked for.
    """

    kind: SearchKind = "products"
    q: Words = ""
    category: Choices = ()
    seller: Choices = ()
    option: Annotated[dict[FacetName, Choices], Meta(max_length=6)] = field(default_factory=dict)
    attr: Annotated[dict[FacetName, Choices], Meta(max_length=10)] = field(default_factory=dict)
    min_price: Amount | None = None
    max_price: Amount | None = None
    in_stock: bool = False
    sort: SearchSort = "relevance"


class Highlight(Struct, frozen=True):
    """HTML: what was found stands between ``<em>`` and ``</em>``, all else is escaped. None where nothing was found."""

    title: str | None = None
    description: str | None = None


class SearchHit(Struct, frozen=True, kw_only=True):
    """A card of a product, or of a seller, which has a ``title`` and a ``rating`` only."""

    id: str
    slug: str | None
    title: str
    seller: SellerRef
    price: Money | None
    compare_at: Money | None
    image: Image | None
    rating: Rating
    in_stock: bool
    highlight: Highlight | None = None


class FacetValue(Struct, frozen=True):
    """``count``: how many would be found by it, the other facets being as they are."""

    value: str
    label: str
    count: int
    selected: bool = False


class PriceRange(Struct, frozen=True, rename={"from_": "from"}):
    """In minor units, ``to`` exclusive."""

    from_: int
    to: int
    count: int


class Facets(Struct, frozen=True, kw_only=True):
    """``options`` and ``attributes`` by name; the most frequent values first, but for ``price``, which ascends.

    ``category``: those in which something was found, with those above them.
    """

    category: list[FacetValue] = []
    seller: list[FacetValue] = []
    price: list[PriceRange] = []
    options: dict[str, list[FacetValue]] = {}
    attributes: dict[str, list[FacetValue]] = {}


class Fallback(Struct, frozen=True):
    """Nothing was found by all words, so these were left out."""

    dropped: list[str]


class SearchPage(Struct, frozen=True, kw_only=True):
    """``corrected``: the words with their misspellings mended, where there are some that nothing has."""

    items: list[SearchHit]
    next: str | None = None
    total: int = 0
    facets: Facets = Facets()
    corrected: str | None = None
    fallback: Fallback | None = None


class Suggestion(Struct, frozen=True):
    """``id`` of a product, a category or a seller."""

    text: str
    kind: Literal["query", "product", "category", "seller"]
    id: str | None = None


class Suggestions(Struct, frozen=True):
    items: list[Suggestion]


class Click(Struct, frozen=True, forbid_unknown_fields=True):
    """What was chosen of a result: ``position`` from 1."""

    q: Annotated[str, Meta(min_length=1, max_length=200)]
    position: Annotated[int, Meta(ge=1, le=1000)]


class SearchedWords(Struct, frozen=True):
    """``results``: of the latest of the searches. ``position``: the mean place of what was chosen."""

    query: str
    searches: int
    results: int
    clicks: int
    position: float | None


class SearchReport(Struct, frozen=True, kw_only=True):
    """Searches of some days. ``click_through``: clicks for each search, None without one."""

    searches: int
    without_result: int
    click_through: float | None
    top: list[SearchedWords]
    nothing_found: list[SearchedWords]


class Rebuilt(Struct, frozen=True):
    """``caught_up``: what had changed meanwhile and was taken over at the end."""

    products: int
    sellers: int
    caught_up: int
    seconds: float


class RankedHit(Struct, frozen=True, kw_only=True):
    """A hit with what it is ranked by. ``score``: 1 for the best of them; ``created_at``: None where nobody knows."""

    id: str
    seller_id: str
    price: int
    rating: Rating
    in_stock: bool
    created_at: datetime | None
    score: float


class Ranking(Struct, frozen=True):
    """The first hits of a search, best first, and its words."""

    q: str
    hits: list[RankedHit]
    at: datetime


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


class WordsCounted(Struct, frozen=True, kw_only=True):
    """How often was searched by some words, how many of these found nothing, and how many results the latest had."""

    query: str
    searches: int
    without_result: int
    results: int
    clicks: int


@event("search.counted", key="entrance")
class SearchesCounted(Event, frozen=True, kw_only=True):
    """What was searched by within a moment, and by nobody in particular. It is told outside of any unit of work, so it has no
    sequence and only sinks are given it. ``entrance`` tells processes apart that count."""

    entrance: str
    words: tuple[WordsCounted, ...]


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Search(ABC):
    """Finds what the catalogue and the shops have told, within 2 seconds of their telling it."""

    @abstractmethod
    @query
    async def search(self, query: SearchQuery) -> SearchPage:
        """A page is the best of what the pages before it have not shown, so that none repeats what changes its place.

        After the first thousand (a setting) there is no next one. :raises BadCursor: see there.
        """

    @abstractmethod
    @query
    async def suggest(self, q: str) -> Suggestions:
        """What somebody who has typed so much may want. Words of others only after three people have searched by them."""

    @abstractmethod
    @query
    async def get_feed(self, query: FeedQuery) -> Page[RecommendedCard]:
        """A page of the base feed, read as :func:`marketplace_core.feed.read_feed` does. :raises BadCursor: see there."""

    @abstractmethod
    @mutation(retriable=False)
    async def clicked(self, click: Click) -> None:
        """Count what was chosen. Of whom it was nothing is kept."""

    @abstractmethod
    @query
    async def report(self, since: date, until: date) -> SearchReport:
        """Of these days, both included."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class SearchHooks:
    @hookspec
    def provide_search(self, context: PluginContext) -> Search:  # type: ignore[empty-body]
        """The capability's provider."""

    @hookspec
    async def search_ranking(self, ranking: Ranking) -> Mapping[str, Mapping[str, float]]:  # type: ignore[empty-body]
        """Boosts of the first hits of a search by relevance, by a name of the plugin's own and the hit's id; a contribution.

        A score is multiplied with all boosts of its hit: 1 changes nothing, 2 doubles it, those below 0 count as 0. A name of
        two plugins is an error. Whoever fails, or takes longer than the setting ``ranking_seconds`` for all together, leaves
        the hits as they were.
        """
