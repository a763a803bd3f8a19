"""What a review is, who may write one, and what ratings come to. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from marketplace_core.pictures.values import PictureRecord

__all__ = [
    "STARS",
    "Line",
    "NotPossible",
    "Reply",
    "Review",
    "Tally",
    "change",
    "check_line",
    "decide",
    "decide_reply",
    "difference",
    "shown_name",
]

STARS = range(1, 6)


class NotPossible(Exception):
    """The state does not allow it; ``code`` and the text say why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


# ── lines ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Line:
    """A line of an order as far as reviews know it. ``review_id``: the review that its buyer has written, ``number``: how many
    commands there have been for it."""

    item_id: str
    order_id: str
    account_id: str
    product_id: str
    seller_id: str
    package_id: str | None = None
    delivered_at: datetime | None = None
    review_id: str | None = None
    number: int = 0


def check_line(line: Line | None, account_id: str, product_id: str) -> Line:
    """The line, if the account may review the product by it. A line that is not known may be another's, or on its way to us.

    :raises NotPossible: ``reviews.not_delivered``, ``reviews.already_written``.
    """
    own = line is not None and line.account_id == account_id and line.product_id == product_id
    if line is None or not own or line.delivered_at is None:
        raise NotPossible("reviews.not_delivered", "Only what one has bought and received can be reviewed.")
    if line.review_id is not None:
        raise NotPossible("reviews.already_written", "This purchase is reviewed already; edit that review.")
    return line


# ── reviews ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Reply:
    """A seller's reply; ``status`` as that of a review."""

    text: str
    created_at: datetime
    status: str = "published"


@dataclass
class Review:
    """``version`` is the number of the last command that was carried out. ``images``: also those that are not shown (yet)."""

    id: str
    product_id: str
    seller_id: str
    account_id: str
    order_item_id: str
    author: str
    rating: int
    title: str
    text: str
    created_at: datetime
    status: str = "pending"
    reason_code: str | None = None
    version: int = 1
    helpful: int = 0
    reply: Reply | None = None
    images: list[PictureRecord] = field(default_factory=list)

    @property
    def counted(self) -> int | None:
        """The stars that count among a product's."""
        return self.rating if self.status == "published" else None


def change(review: Review, rating: int, title: str, text: str, version: int) -> None:
    """Take over what its author says now."""
    review.rating, review.title, review.text = rating, title, text
    review.reason_code, review.version = None, version


def decide(review: Review, version: int, *, approved: bool, reason_code: str | None) -> bool:
    """What moderation says of a version. Whether anything changes: one that was edited since is judged by itself."""
    if version != review.version:
        return False
    status, reason = ("published", None) if approved else ("rejected", reason_code)
    if (review.status, review.reason_code) == (status, reason):
        return False
    review.status, review.reason_code = status, reason
    return True


def decide_reply(review: Review, *, approved: bool) -> bool:
    """Likewise of the reply, which never changes."""
    status = "published" if approved else "rejected"
    if review.reply is None or review.reply.status == status:
        return False
    review.reply = replace(review.reply, status=status)
    return True


def shown_name(name: str) -> str:
    """As others see who wrote: the first name, and of the last only its letter."""
    first, *rest = name.split() or ["?"]
    return f"{first} {rest[-1][0].upper()}." if rest else first


# ── ratings ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Tally:
    """How many ratings there are of one star, of two, and so on to five."""

    counts: tuple[int, ...] = (0, 0, 0, 0, 0)

    @property
    def count(self) -> int:
        return sum(self.counts)

    @property
    def total(self) -> int:
        return sum(stars * count for stars, count in zip(STARS, self.counts, strict=True))

    @property
    def average(self) -> float | None:
        """To two decimals."""
        return round(self.total / self.count, 2) if self.count else None

    @property
    def histogram(self) -> dict[str, int]:
        return {str(stars): count for stars, count in zip(STARS, self.counts, strict=True)}

    def score(self, prior_average: float, prior_count: int) -> float:
        """The mean of these and of ``prior_count`` ratings of ``prior_average``: what few people say weighs little."""
        count = self.count + prior_count
        return round((self.total + prior_average * prior_count) / count, 4) if count else prior_average


def difference(before: int | None, after: int | None) -> Sequence[int]:
    """What a rating's change adds to a tally: from ``before`` stars to ``after``, None being no rating."""
    return [(after == stars) - (before == stars) for stars in STARS]
