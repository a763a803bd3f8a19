"""Use cases of reviews. What an author commands is accepted, told of, and carried out by a worker; ratings follow from that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

from msgspec import UNSET

from marketplace_core import calls
from marketplace_core.capabilities.moderation import Cause, Content, ContentDecided, ContentSubmitted
from marketplace_core.capabilities.orders import OrderConfirmed, PackageDelivered, PackageShipped
from marketplace_core.capabilities.reviews import (
    AcceptedReview,
    Act,
    ImportReview,
    InvitedLine,
    ProductRated,
    Rated,
    RatedKind,
    ReplyDraft,
    ReportDraft,
    Review,
    ReviewChanged,
    ReviewCommanded,
    ReviewDraft,
    ReviewInvited,
    ReviewPage,
    ReviewPatch,
    ReviewQuery,
    ReviewReported,
    SellerRated,
    SellerReviewQuery,
)
from marketplace_core.capabilities.users import Users
from marketplace_core.errors import Conflict, Forbidden, NotFound
from marketplace_core.events import Event
from marketplace_core.pictures import Pictures
from marketplace_core.ports import IMPORT, Cache, UnitOfWork, Units, command, command_after, handler
from marketplace_core.values import Imported, Page, PageQuery, new_id
from marketplace_reviews import domain, imports, views
from marketplace_reviews.config import ReviewsConfig
from marketplace_reviews.domain import Line, NotPossible, Tally
from marketplace_reviews.pictures import PictureUseCases
from marketplace_reviews.store import Command, Counted, RatingStore, ReviewStore

__all__ = ["ReviewService"]

T = TypeVar("T")


class ReviewService(PictureUseCases):
    def __init__(
        self,
        units: Units,
        rating_units: Units,
        store: ReviewStore,
        ratings: RatingStore,
        users: Users,
        cache: Cache,
        pictures: Pictures,
        config: ReviewsConfig,
        *,
        moderated: bool,
    ) -> None:
        """``moderated``: whether somebody judges what people write."""
        self.units = units
        self._units: Mapping[str, Units] = {"ratings": rating_units}
        self._store = store
        self._ratings = ratings
        self._users = users
        self._cache = cache
        self._pictures = pictures
        self._config = config
        self._moderated = moderated
        self._new_status = "pending" if moderated and config.show == "approved" else "published"

    def units_of(self, role: str) -> Units:
        return self._units[role]

    # ── for shoppers ─────────────────────────────────────────────────────────────────────────────────────────

    async def list_reviews(self, product_id: str, query: ReviewQuery) -> ReviewPage:
        key = datetime if query.sort == "newest" else int
        rows = await self._store.list_published(product_id, query, query.position(key, str))
        found = query.page(rows, lambda row: row[1])
        [rated] = await self.get_ratings("product", [product_id])
        return ReviewPage([self._view(review) for review, _ in found.items], found.next, rated.rating)

    async def get_review(self, review_id: str, account_id: str | None) -> Review:
        coming = await self._store.find(review_id)
        if coming is not None and coming.account_id == account_id:
            return self._view(coming)
        return self._view(_published(await self._store.get(review_id)))

    @command
    async def vote(self, uow: UnitOfWork, account_id: str, review_id: str, helpful: bool) -> None:
        review = _published(await self._store.lock(uow, review_id))
        if review.account_id == account_id:
            raise Forbidden("reviews.own", "Others say whether a review of yours is helpful.")
        if await self._store.vote(uow, review_id, account_id, helpful):
            self._forget_after(uow, review.product_id)

    @command
    async def report(self, uow: UnitOfWork, account_id: str, review_id: str, report: ReportDraft) -> None:
        review = _published(await self._store.lock(uow, review_id))
        reports = await self._store.report(uow, review_id, account_id, report.reason, uow.now)
        if reports is None:
            return
        uow.emit(
            ReviewReported(
                review_id=review.id,
                product_id=review.product_id,
                seller_id=review.seller_id,
                reason=report.reason,
                reports=reports,
            )
        )
        self._submit(uow, review, "reported", report.reason)

    # ── for authors ──────────────────────────────────────────────────────────────────────────────────────────

    async def _author(self, account_id: str, product_id: str, draft: ReviewDraft) -> str:
        profile = await self._users.get_profile(account_id)
        return domain.shown_name(profile.name)

    @command_after(_author)
    async def write_review(
        self, uow: UnitOfWork, author: str, account_id: str, product_id: str, draft: ReviewDraft
    ) -> AcceptedReview:
        try:
            line = domain.check_line(await self._store.lock_line(uow, draft.order_item_id), account_id, product_id)
        except NotPossible as refusal:
            raise Conflict(refusal.code, refusal.detail) from refusal
        review = domain.Review(
            id=new_id(),
            product_id=product_id,
            seller_id=line.seller_id,
            account_id=account_id,
            order_item_id=line.item_id,
            author=author,
            rating=draft.rating,
            title=draft.title,
            text=draft.text,
            created_at=uow.now,
        )
        line.review_id = review.id
        return await self._accept(uow, line, review, "write")

    @command
    async def edit_review(self, uow: UnitOfWork, account_id: str, review_id: str, patch: ReviewPatch) -> AcceptedReview:
        line, review = await self._own(uow, account_id, review_id)
        review.rating = _given(patch.rating, review.rating)
        review.title = _given(patch.title, review.title)
        review.text = _given(patch.text, review.text)
        return await self._accept(uow, line, review, "edit")

    @command
    async def delete_review(self, uow: UnitOfWork, account_id: str, review_id: str) -> AcceptedReview:
        line, review = await self._own(uow, account_id, review_id)
        line.review_id = None
        return await self._accept(uow, line, review, "delete")

    async def list_own(self, account_id: str, page: PageQuery) -> Page[Review]:
        rows = await self._store.list_own(account_id, page, page.position(datetime, str))
        found = page.page(rows, lambda row: row[1])
        return Page([self._view(review) for review, _ in found.items], found.next)

    async def check_own(self, account_id: str, review_id: str) -> None:
        seen = await self._store.find(review_id)
        if seen is None or seen.account_id != account_id:
            raise NotFound("There is no such review of yours.")

    async def _own(self, uow: UnitOfWork, account_id: str, review_id: str) -> tuple[Line, domain.Review]:
        """The account's review as it will be, and its line, which is locked: nobody commands for it meanwhile."""
        seen = await self._store.find(review_id, uow)
        line = None if seen is None or seen.account_id != account_id else await self._store.lock_line(uow, seen.order_item_id)
        review = None if line is None or line.review_id != review_id else await self._store.find(review_id, uow)
        if line is None or review is None:
            raise NotFound("There is no such review of yours.")
        return line, review

    async def _accept(self, uow: UnitOfWork, line: Line, review: domain.Review, act: Act) -> AcceptedReview:
        line.number += 1
        review.status, review.reason_code, review.version = "pending", None, line.number
        await self._store.save_line(uow, line)
        await self._store.add_command(uow, Command(review, line.number, act))
        uow.emit(ReviewCommanded(review_id=review.id, number=line.number, act=act, content=views.content(review)))
        return AcceptedReview(review.id, "pending")

    # ── for sellers ──────────────────────────────────────────────────────────────────────────────────────────

    async def list_seller_reviews(self, seller_id: str, query: SellerReviewQuery) -> Page[Review]:
        rows = await self._store.list_of_seller(seller_id, query, query.position(datetime, str))
        found = query.page(rows, lambda row: row[1])
        return Page([views.review(review, self._pictures.url, reply_waits=True) for review, _ in found.items], found.next)

    @command
    async def reply(self, uow: UnitOfWork, seller_id: str, review_id: str, reply: ReplyDraft) -> Review:
        review = _published(await self._store.lock(uow, review_id))
        if review.seller_id != seller_id:
            raise NotFound("There is no such review.")
        if review.reply is not None:
            raise Conflict("reviews.already_replied", "There is one reply to a review, and this one has it.")
        review.reply = domain.Reply(reply.text, uow.now, self._new_status)
        await self._store.save(uow, review)
        self._submit_reply(uow, review)
        self._forget_after(uow, review.product_id)
        return views.review(review, self._pictures.url, reply_waits=True)

    # ── history of another system ────────────────────────────────────────────────────────────────────────────

    @command
    async def import_reviews(self, uow: UnitOfWork, reviews: list[ImportReview]) -> list[Imported]:
        await self._store.add_lines(uow, [imports.line(one) for one in reviews])
        found: dict[str, Imported] = {}
        for given in sorted(reviews, key=lambda one: one.order_item_id):  # so that two such calls never wait for each other
            found[given.id] = await self._import(uow, given)
        return [found[given.id] for given in reviews]

    async def _import(self, uow: UnitOfWork, given: ImportReview) -> Imported:
        line = await self._store.lock_line(uow, given.order_item_id)
        if line is None or line.account_id != given.account_id or line.review_id not in (None, given.id):
            return imports.TAKEN
        if line.review_id == given.id or line.number:  # or its author has deleted it here
            return Imported("unchanged")
        line.review_id, line.number = given.id, 1
        await self._store.save_line(uow, line)
        review = imports.review(given)
        await self._store.save(uow, review)
        self._changed(uow, review, line.number, at=given.created_at)
        return Imported("written")

    # ── for other plugins ────────────────────────────────────────────────────────────────────────────────────

    async def get_ratings(self, kind: RatedKind, ids: list[str]) -> list[Rated]:
        tallies = await self._ratings.tallies(kind, ids)
        found = [(id_, tallies.get(id_, Tally())) for id_ in ids]
        return [Rated(kind, id_, views.summary(tally), self._score(tally)) for id_, tally in found]

    # ── events: the Review Worker ────────────────────────────────────────────────────────────────────────────

    @handler(OrderConfirmed, PackageShipped, PackageDelivered)
    async def on_order(self, uow: UnitOfWork, event: Event) -> None:
        """What arrives can be reviewed, by whoever has an account."""
        if isinstance(event, OrderConfirmed):
            await self._store.add_lines(uow, _lines(event))
        elif isinstance(event, PackageShipped):
            await self._store.ship_lines(uow, event.package_id, [line.item_id for line in event.lines])
        elif isinstance(event, PackageDelivered):
            lines = await self._store.deliver_lines(uow, event.package_id, uow.now)
            if lines and calls.current().origin != IMPORT:
                uow.emit(
                    ReviewInvited(
                        order_id=event.order_id,
                        package_id=event.package_id,
                        account_id=lines[0].account_id,
                        lines=[InvitedLine(line.item_id, line.product_id) for line in lines],
                    )
                )

    @handler(ReviewCommanded)
    async def on_review_commanded(self, uow: UnitOfWork, event: ReviewCommanded) -> None:
        review = await self._store.lock(uow, event.review_id)
        await self._store.close_commands(uow, event.review_id, event.number)
        if event.act == "delete":
            if review is not None:
                await self._store.delete(uow, review.id)
                self._changed(uow, review, event.number, deleted=True)
            return
        if review is None:
            review = _written(event)
        else:
            domain.change(review, event.content.rating, event.content.title, event.content.text, event.number)
        review.status = self._new_status
        await self._store.save(uow, review)
        self._changed(uow, review, event.number)
        self._submit(uow, review, "new" if event.act == "write" else "edited")

    @handler(ContentDecided, when=lambda event: event.content.kind in {"review", "reply"})
    async def on_content_decided(self, uow: UnitOfWork, event: ContentDecided) -> None:
        content = event.content
        review = await self._store.lock(uow, content.id)
        if review is None:
            return
        if content.kind == "reply":
            changed = domain.decide_reply(review, approved=event.approved)
        else:
            changed = domain.decide(review, content.version, approved=event.approved, reason_code=event.reason_code)
        if changed:
            await self._store.save(uow, review)
            self._changed(uow, review, review.version)

    # ── events: the Rating Worker ────────────────────────────────────────────────────────────────────────────

    @handler(ReviewChanged, role="ratings")
    async def on_review_changed(self, uow: UnitOfWork, event: ReviewChanged) -> None:
        counted = Counted(event.review_id, event.product_id, event.seller_id, event.rating)
        added = domain.difference(await self._ratings.put(uow, counted), event.rating)
        if any(added):
            # Everybody locks a product before a seller.
            product = await self._ratings.add(uow, "product", event.product_id, added)
            seller = await self._ratings.add(uow, "seller", event.seller_id, added)
            rating, score = views.summary(product), self._score(product)
            uow.emit(ProductRated(product_id=event.product_id, seller_id=event.seller_id, rating=rating, score=score))
            uow.emit(SellerRated(seller_id=event.seller_id, rating=views.summary(seller), score=self._score(seller)))
        self._forget_after(uow, event.product_id)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    def _view(self, review: domain.Review) -> Review:
        return views.review(review, self._pictures.url)

    def _score(self, tally: Tally) -> float:
        return tally.score(self._config.prior_average, self._config.prior_count)

    def _changed(
        self, uow: UnitOfWork, review: domain.Review, number: int, *, deleted: bool = False, at: datetime | None = None
    ) -> None:
        uow.emit(
            ReviewChanged(
                review_id=review.id,
                product_id=review.product_id,
                seller_id=review.seller_id,
                account_id=review.account_id,
                rating=None if deleted else review.counted,
                status=None if deleted else review.status,  # type: ignore[arg-type]
                version_number=number,
            ),
            at,
        )
        self._forget_after(uow, review.product_id)

    def _forget_after(self, uow: UnitOfWork, product_id: str) -> None:
        uow.after_commit(lambda: self._cache.drop([f"reviews:{product_id}"]))

    def _submit(self, uow: UnitOfWork, review: domain.Review, cause: Cause, note: str = "") -> None:
        if self._moderated:
            content = Content("review", review.id, review.version)
            snapshot = {"title": review.title, "text": review.text}
            images = tuple(picture.key for picture in review.images if picture.key)
            uow.emit(
                ContentSubmitted(
                    subject=content.key,
                    content=content,
                    cause=cause,
                    author_id=review.account_id,
                    snapshot=snapshot,
                    images=images,
                    note=note,
                )
            )

    def _submit_reply(self, uow: UnitOfWork, review: domain.Review) -> None:
        """Its author is the shop, whoever of its people wrote it."""
        if self._moderated and review.reply is not None:
            content = Content("reply", review.id, 1)
            author = calls.current().caller.account_id
            snapshot = {"text": review.reply.text}
            uow.emit(ContentSubmitted(subject=content.key, content=content, cause="new", author_id=author, snapshot=snapshot))


def _published(review: domain.Review | None) -> domain.Review:
    if review is None or review.status != "published":
        raise NotFound("There is no such review.")
    return review


def _given(value: T | object, kept: T) -> T:
    return kept if value is UNSET else value  # type: ignore[return-value]


def _lines(event: OrderConfirmed) -> list[Line]:
    if event.account_id is None:
        return []
    return [Line(line.item_id, event.order_id, event.account_id, line.product_id, line.seller_id) for line in event.lines]


def _written(event: ReviewCommanded) -> domain.Review:
    content = event.content
    return domain.Review(
        id=event.review_id,
        product_id=content.product_id,
        seller_id=content.seller_id,
        account_id=content.account_id,
        order_item_id=content.order_item_id,
        author=content.author,
        rating=content.rating,
        title=content.title,
        text=content.text,
        created_at=content.created_at,
        version=event.number,
    )
