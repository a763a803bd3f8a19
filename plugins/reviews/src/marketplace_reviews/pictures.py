"""Pictures of reviews: sent by their authors, drawn by a worker, judged each for itself."""

from __future__ import annotations

from abc import abstractmethod

from msgspec import Struct

from marketplace_core.capabilities.moderation import ContentDecided
from marketplace_core.capabilities.reviews import Reviews
from marketplace_core.pictures import PictureItems, PictureRecord, Pictures, SentPicture
from marketplace_core.pictures.moderating import decided_of, name_of, submit
from marketplace_core.ports import Cache, UnitOfWork, Units, command, handler, natural
from marketplace_reviews.config import ReviewsConfig
from marketplace_reviews.domain import Line, Review
from marketplace_reviews.store import ReviewStore

__all__ = ["MakePictures", "PictureUseCases"]


class MakePictures(Struct, frozen=True):
    """These of a review, which the account has sent."""

    review_id: str
    author_id: str
    ids: tuple[str, ...]


class PictureUseCases(Reviews):
    """The part of the service of reviews that is about pictures."""

    units: Units
    _store: ReviewStore
    _pictures: Pictures
    _cache: Cache
    _config: ReviewsConfig
    _moderated: bool

    @command
    async def add_images(self, uow: UnitOfWork, account_id: str, review_id: str, sent: list[SentPicture]) -> PictureItems:
        await self._own(uow, account_id, review_id)
        taken = sum(one.status != "rejected" for one in await self._store.lock_pictures(uow, review_id))
        new, items = self._pictures.accept(sent, self._config.max_images - taken)
        if new:
            await self._store.save_pictures(uow, review_id, new)
            uow.enqueue("reviews.make_pictures", MakePictures(review_id, account_id, tuple(one.id for one in new)))
        return PictureItems(items)

    async def make_pictures(self, wanted: MakePictures) -> None:
        """A job: one that is no picture fails alone."""
        kept = await self._store.get_pictures(wanted.review_id)
        if made := await self._pictures.make([one for one in kept if one.is_to_be_made and one.id in wanted.ids]):
            await self._show_pictures(wanted, {one.id: one for one in made})

    @natural
    async def _show_pictures(self, uow: UnitOfWork, wanted: MakePictures, made: dict[str, PictureRecord]) -> None:
        review = await self._store.find(wanted.review_id, uow)
        kept = await self._store.lock_pictures(uow, wanted.review_id)
        shown = [made[one.id] for one in kept if one.is_to_be_made and one.id in made]
        if review is None or not shown:
            return
        for one in shown if self._moderated else ():
            submit(uow, self._config.show, "reviews", review.id, one, wanted.author_id, {"title": review.title})
        await self._store.save_pictures(uow, review.id, shown)
        self._forget_after(uow, review.product_id)

    @handler(ContentDecided, when=decided_of("reviews"))
    async def on_picture_decided(self, uow: UnitOfWork, event: ContentDecided) -> None:
        review_id, picture_id = name_of(event.content)
        review = await self._store.find(review_id, uow)
        kept = await self._store.lock_pictures(uow, review_id)
        picture = next((one for one in kept if one.id == picture_id), None)
        if review and picture and picture.decide(approved=event.approved, code=event.reason_code):
            await self._store.save_pictures(uow, review_id, [picture])
            self._forget_after(uow, review.product_id)

    async def sweep_pictures(self) -> None:
        """A schedule: deletes what no review refers to any more."""
        await self._pictures.sweep(self._store.referred_pictures)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def _own(self, uow: UnitOfWork, account_id: str, review_id: str) -> tuple[Line, Review]: ...

    @abstractmethod
    def _forget_after(self, uow: UnitOfWork, product_id: str) -> None: ...
