"""reviews: what buyers say of what has arrived, and what all of it comes to per product and seller."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace_core.capabilities.catalog import Image
from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, Personal, PersonId, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.pictures.values import PictureItems, SentPicture
from marketplace_core.ports import mutation, patient, query
from marketplace_core.scopes import declare_scopes
from marketplace_core.values import Id, Imported, PageQuery
from marketplace_core.values import Page as PageOf

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

Stars = Annotated[int, Meta(ge=1, le=5)]
ReviewTitle = Annotated[str, Meta(max_length=200)]
ReviewText = Annotated[str, Meta(max_length=10_000)]
ReviewStatus = Literal["pending", "published", "rejected"]
ReviewSort = Literal["newest", "helpful", "rating", "-rating"]
RatedKind = Literal["product", "seller"]
Act = Literal["write", "edit", "delete"]


class Reply(Struct, frozen=True):
    text: str
    created_at: datetime


class Review(Struct, frozen=True, kw_only=True):
    """``author`` is the name that is shown. ``verified``: the author has received what the review is about. ``reason_code``:
    why it was rejected."""

    id: str
    product_id: str
    rating: Stars
    title: str
    text: str
    author: str
    images: list[Image]
    verified: bool
    status: ReviewStatus
    reason_code: str | None
    helpful: int
    reply: Reply | None
    created_at: datetime


class ReviewDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``order_item_id``: the line by which the author has received the product."""

    rating: Stars
    title: ReviewTitle = ""
    text: ReviewText = ""
    order_item_id: Id


class ReviewPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rating: Stars | UnsetType = UNSET
    title: ReviewTitle | UnsetType = UNSET
    text: ReviewText | UnsetType = UNSET


class AcceptedReview(Struct, frozen=True):
    """A command that is on its way; until it is carried out the review is shown to its author only."""

    id: str
    status: ReviewStatus


class ReplyDraft(Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(min_length=1, max_length=5000)]


class ReportDraft(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(min_length=1, max_length=1000)]


class RatingSummary(Struct, frozen=True):
    """``average`` to two decimals, None of nothing; ``histogram`` by ``"1"`` to ``"5"``."""

    average: float | None
    count: int
    histogram: dict[str, int]


class Rated(Struct, frozen=True):
    """``score`` is what one sorts by: the mean of the ratings and of some that are taken for granted, so that one rating of
    five stars does not stand above a thousand of nearly five."""

    kind: RatedKind
    id: str
    rating: RatingSummary
    score: float


class ReviewPage(Struct, frozen=True):
    """A page of a product's reviews, with what all of them come to, whatever the filter."""

    items: list[Review]
    next: str | None
    rating: RatingSummary


class ReviewQuery(PageQuery, frozen=True, kw_only=True):
    sort: ReviewSort = "newest"
    rating: Stars | None = None


class SellerReviewQuery(PageQuery, frozen=True, kw_only=True):
    """``replied``: whether the shop has replied."""

    product_id: Id | None = None
    rating: Stars | None = None
    replied: bool | None = None


class InvitedLine(Struct, frozen=True):
    item_id: str
    product_id: str


class ImportReview(Struct, frozen=True, kw_only=True):
    """What somebody said in another system of a line of an order, as it was shown there. ``delivered_at`` None: nobody knows
    when it arrived, or that it did."""

    id: str
    order_id: str
    order_item_id: str
    product_id: str
    seller_id: str
    account_id: str
    author: str
    rating: int
    title: str
    text: str
    delivered_at: datetime | None
    created_at: datetime


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


class ReviewContent(Struct, frozen=True, kw_only=True):
    """The whole of what an author says, and of what."""

    product_id: str
    seller_id: str
    account_id: PersonId
    order_item_id: str
    author: Personal[str]
    rating: int
    title: Personal[str]
    text: Personal[str]
    created_at: datetime


@event("reviews.commanded", key="review_id")
class ReviewCommanded(Event, frozen=True, kw_only=True):
    """An author's command was accepted, and is carried out by whoever keeps the reviews.

    ``number`` counts the commands of a review, and ``content`` is what it says after this one.
    """

    review_id: str
    number: int
    act: Act
    content: ReviewContent


@event("reviews.changed", key="review_id")
class ReviewChanged(Event, frozen=True, kw_only=True):
    """A review after a change. ``rating`` is None while shoppers do not see it, and once it is deleted."""

    review_id: str
    product_id: str
    seller_id: str
    account_id: PersonId
    rating: int | None
    status: ReviewStatus | None
    version_number: int


@event("reviews.product_rated", key="product_id")
class ProductRated(Event, frozen=True, kw_only=True):
    """What the ratings of a product come to after a change; ``score`` as in :class:`Rated`."""

    product_id: str
    seller_id: str
    rating: RatingSummary
    score: float


@event("reviews.seller_rated", key="seller_id")
class SellerRated(Event, frozen=True, kw_only=True):
    """What the ratings of a seller's products come to after a change; ``score`` as in :class:`Rated`."""

    seller_id: str
    rating: RatingSummary
    score: float


@event("reviews.invited", key="order_id")
class ReviewInvited(Event, frozen=True, kw_only=True):
    """A package has arrived, and its buyer may review what was in it: told once, to be brought to the person."""

    order_id: str
    package_id: str
    account_id: PersonId
    lines: list[InvitedLine]


@event("reviews.reported", key="review_id")
class ReviewReported(Event, frozen=True, kw_only=True):
    """Somebody finds that a review should not be shown; ``reports`` people have by now."""

    review_id: str
    product_id: str
    seller_id: str
    reason: Personal[str]
    reports: int


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

declare_codes(409, "reviews.already_written", "reviews.not_delivered", "reviews.already_replied")
declare_codes(403, "reviews.own")
declare_scopes("seller", "reviews")


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Reviews(ABC):
    """Reviews and ratings. What an author commands is accepted first, and carried out by a worker."""

    # for shoppers

    @abstractmethod
    @query
    async def list_reviews(self, product_id: str, query: ReviewQuery) -> ReviewPage:
        """Those of a product that are published; none of a product that nobody knows."""

    @abstractmethod
    @query
    async def get_review(self, review_id: str, account_id: str | None) -> Review:
        """A published one, or the account's own in any state, as it will be once all that was accepted is carried out.

        :raises NotFound: there is none, or it is deleted.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def vote(self, account_id: str, review_id: str, helpful: bool) -> None:
        """Find it helpful, or not any more. Once a person, however often.

        :raises NotFound: it is not published. :raises Forbidden: ``reviews.own``.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def report(self, account_id: str, review_id: str, report: ReportDraft) -> None:
        """Ask moderation to look at it; once a person. :raises NotFound: it is not published."""

    # for authors

    @abstractmethod
    @mutation(retriable=True)
    async def write_review(self, account_id: str, product_id: str, draft: ReviewDraft) -> AcceptedReview:
        """:raises Conflict: ``reviews.not_delivered``: the line is not the account's, not of this product, or has not arrived;
        ``reviews.already_written``: it has a review."""

    @abstractmethod
    @mutation(retriable=True)
    async def edit_review(self, account_id: str, review_id: str, patch: ReviewPatch) -> AcceptedReview:
        """:raises NotFound: it is not the account's, or is deleted."""

    @abstractmethod
    @mutation(retriable=True)
    async def delete_review(self, account_id: str, review_id: str) -> AcceptedReview:
        """Its line can be reviewed again. :raises NotFound: it is not the account's, or is deleted already."""

    @abstractmethod
    @query
    async def check_own(self, account_id: str, review_id: str) -> None:
        """:raises NotFound: it is not the account's, or is deleted."""

    @abstractmethod
    @mutation(retriable=True)
    async def add_images(self, account_id: str, review_id: str, sent: list[SentPicture]) -> PictureItems:
        """Pictures of a review, shown once they are drawn; one that is none is rejected alone.

        :raises NotFound: it is not the account's, or is deleted.
        """

    @abstractmethod
    @query
    async def list_own(self, account_id: str, page: PageQuery) -> PageOf[Review]:
        """The account's, in any state, the newest first; what was accepted is shown as if it were carried out."""

    # for sellers

    @abstractmethod
    @query
    async def list_seller_reviews(self, seller_id: str, query: SellerReviewQuery) -> PageOf[Review]:
        """Published ones of the seller's products, the newest first."""

    @abstractmethod
    @mutation(retriable=True)
    async def reply(self, seller_id: str, review_id: str, reply: ReplyDraft) -> Review:
        """The seller's one reply. :raises Conflict: ``reviews.already_replied``. :raises NotFound: it is not published, or not
        of this seller's products."""

    # history of another system

    @abstractmethod
    @patient(seconds=60.0)
    @mutation(retriable=True)
    async def import_reviews(self, reviews: list[ImportReview]) -> list[Imported]:
        """Publish those whose ids are not known, in the same order; ``duplicate`` where the line has another review, or is
        another account's. They were shown: nobody judges them, unless somebody reports them or their author edits them."""

    # for other plugins

    @abstractmethod
    @query
    async def get_ratings(self, kind: RatedKind, ids: list[str]) -> list[Rated]:
        """What the ratings of these products or sellers come to; of each, in their order."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class ReviewsHooks:
    @hookspec
    def provide_reviews(self, context: PluginContext) -> Reviews:  # type: ignore[empty-body]
        """The capability's provider."""
