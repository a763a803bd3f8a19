"""The store ports of reviews: what people say, and what it comes to. Two stores, which may be on servers of two kinds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from marketplace_core.capabilities.reviews import Act, RatedKind, ReviewQuery, SellerReviewQuery
from marketplace_core.pictures import PictureRecord
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import PageQuery
from marketplace_reviews.domain import Line, Review, Tally

__all__ = ["Command", "Counted", "Position", "RatingStore", "ReviewStore"]

Position = tuple[Any, ...]


class Command(Struct, frozen=True):
    """A command that is accepted and not carried out; ``review`` is as it will be. ``number`` counts those of its line."""

    review: Review
    number: int
    act: Act


class ReviewStore(ABC):
    """Lines that can be reviewed, commands that are on their way, reviews, and who finds them helpful or objects.

    What is written, is written within a unit of work; what is read without one is what is committed.
    """

    # lines

    @abstractmethod
    async def add_lines(self, uow: UnitOfWork, lines: Sequence[Line]) -> None:
        """Those that are not known."""

    @abstractmethod
    async def ship_lines(self, uow: UnitOfWork, package_id: str, item_ids: Sequence[str]) -> None:
        """These were sent in that package; those that are not known are nobody's who can review them."""

    @abstractmethod
    async def deliver_lines(self, uow: UnitOfWork, package_id: str, at: datetime) -> list[Line]:
        """What was sent in that package has arrived: the lines of which that was not known, in the order of their ids."""

    @abstractmethod
    async def lock_line(self, uow: UnitOfWork, item_id: str) -> Line | None:
        """The line, held until the unit ends: who commands for one line takes turns."""

    @abstractmethod
    async def save_line(self, uow: UnitOfWork, line: Line) -> None:
        """Its review and its number."""

    # commands

    @abstractmethod
    async def add_command(self, uow: UnitOfWork, command: Command) -> None: ...

    @abstractmethod
    async def close_commands(self, uow: UnitOfWork, review_id: str, number: int) -> None:
        """Those of a review up to this number are carried out."""

    # reviews

    @abstractmethod
    async def find(self, review_id: str, uow: UnitOfWork | None = None) -> Review | None:
        """As it will be once all that was accepted is carried out. None: there is none then."""

    @abstractmethod
    async def get(self, review_id: str) -> Review | None:
        """As it is."""

    @abstractmethod
    async def lock(self, uow: UnitOfWork, review_id: str) -> Review | None:
        """As it is, held until the unit ends."""

    @abstractmethod
    async def save(self, uow: UnitOfWork, review: Review) -> None:
        """Insert or overwrite, but for ``helpful``, which only :meth:`vote` changes, and ``images``."""

    @abstractmethod
    async def delete(self, uow: UnitOfWork, review_id: str) -> None:
        """With its pictures, votes and reports."""

    @abstractmethod
    async def list_published(
        self, product_id: str, query: ReviewQuery, after: Position | None
    ) -> list[tuple[Review, Position]]:
        """One more than a page, in the query's sort, each with its sort key.

        A page costs the same however many reviews the product has.
        """

    @abstractmethod
    async def list_of_seller(
        self, seller_id: str, query: SellerReviewQuery, after: Position | None
    ) -> list[tuple[Review, Position]]:
        """Likewise the published ones of a seller, the newest first."""

    @abstractmethod
    async def list_own(self, account_id: str, query: PageQuery, after: Position | None) -> list[tuple[Review, Position]]:
        """Likewise an account's, each as :meth:`find` gives it."""

    # pictures: those of a review are in it as it is read, and are written here alone

    @abstractmethod
    async def get_pictures(self, review_id: str) -> list[PictureRecord]:
        """Of a review that is carried out or on its way, in the order of their ids."""

    @abstractmethod
    async def lock_pictures(self, uow: UnitOfWork, review_id: str) -> list[PictureRecord]:
        """Likewise, held until the unit ends."""

    @abstractmethod
    async def save_pictures(self, uow: UnitOfWork, review_id: str, pictures: Sequence[PictureRecord]) -> None:
        """Insert or overwrite."""

    @abstractmethod
    async def referred_pictures(self, keys: Sequence[str]) -> set[str]:
        """Those of these keys that a review has. The cost is that of the keys."""

    # what others think of it

    @abstractmethod
    async def vote(self, uow: UnitOfWork, review_id: str, account_id: str, helpful: bool) -> bool:
        """Whether anything changed: a person counts once in ``helpful``."""

    @abstractmethod
    async def report(self, uow: UnitOfWork, review_id: str, account_id: str, reason: str, at: datetime) -> int | None:
        """How many have reported it by now; None: this person had."""


class Counted(Struct, frozen=True):
    """A review as it counts among its product's and its seller's; ``rating`` None: not at all."""

    review_id: str
    product_id: str
    seller_id: str
    rating: int | None


class RatingStore(ABC):
    """What reviews come to. What a change costs does not grow with the reviews that are there."""

    @abstractmethod
    async def put(self, uow: UnitOfWork, counted: Counted) -> int | None:
        """Remember how a review counts, and give how it did until now (None: not at all)."""

    @abstractmethod
    async def add(self, uow: UnitOfWork, kind: RatedKind, id_: str, counts: Sequence[int]) -> Tally:
        """Add to the tally of a product or a seller, by stars; gives what it comes to, held until the unit ends."""

    @abstractmethod
    async def tallies(self, kind: RatedKind, ids: Sequence[str]) -> Mapping[str, Tally]:
        """Of those that have ever been rated."""

    @abstractmethod
    async def recount(self, kind: RatedKind, id_: str) -> Tally:
        """What the tally must be: counted from the reviews anew, at the cost of all of them."""
