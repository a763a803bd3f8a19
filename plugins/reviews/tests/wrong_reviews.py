"""Reviews with one mistake each: methods that stand in for those of the right ones, and parts that are changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from marketplace_reviews import domain, service
from marketplace_reviews.domain import Tally
from marketplace_reviews.service import ReviewService
from marketplace_reviews.stores.postgres import PostgresReviewStore
from marketplace_reviews.stores.postgres_ratings import PostgresRatingStore
from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.reviews import RatedKind, ReviewQuery, SellerReviewQuery
from marketplace_core.errors import Conflict, Forbidden, NotFound
from marketplace_core.testing.contracts import Method
from marketplace_core.values import Page, PageQuery, new_id

__all__ = ["MISTAKES"]

Methods = Mapping[str, Method]
Mistake = Callable[[Any, pytest.MonkeyPatch], Methods]
"""From the right service to the methods that are wrong."""


async def _nothing(*_: Any, **__: Any) -> None:
    return None


# ── authors ──────────────────────────────────────────────────────────────────────────────────────────────────


def takes_what_is_on_its_way(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.check_line

    def check_line(line: Any, account_id: str, product_id: str) -> Any:
        if line is not None and line.account_id == account_id and line.product_id == product_id and not line.review_id:
            return line
        return right(line, account_id, product_id)

    patch.setattr(service.domain, "check_line", check_line)
    return {}


def takes_what_others_have_bought(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.check_line
    patch.setattr(service.domain, "check_line", lambda line, _, product: right(line, line and line.account_id, product))
    return {}


def asks_for_no_product(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.check_line
    patch.setattr(service.domain, "check_line", lambda line, account, _: right(line, account, line and line.product_id))
    return {}


def says_whose_it_is(right: Any, _: Any) -> Methods:
    async def write_review(account_id: str, product_id: str, draft: Any) -> Any:
        try:
            return await right.write_review(account_id, product_id, draft)
        except Conflict as refusal:
            if draft.order_item_id == "unknown":
                raise NotFound("There is no such line.") from refusal
            raise

    return {"write_review": write_review}


def delivers_what_was_cancelled(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def deliver_lines(self: Any, uow: Any, package_id: str, at: Any) -> Any:
        await self._database.on(uow).execute("UPDATE reviews.lines SET delivered_at = $1", at)
        return []

    patch.setattr(PostgresReviewStore, "deliver_lines", deliver_lines)
    return {}


def takes_two_at_once(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    """The line is read and not held."""

    async def lock_line(self: Any, uow: Any, item_id: str) -> Any:
        row = await self._database.row("SELECT * FROM reviews.lines WHERE item_id = $1", item_id)
        await asyncio.sleep(0.2)  # the others read it meanwhile: by luck alone they might come one after the other
        return None if row is None else domain.Line(**row)

    patch.setattr(PostgresReviewStore, "lock_line", lock_line)
    return {}


def knows_no_keys(right: Any, _: Any) -> Methods:
    async def write_review(*args: Any) -> Any:
        with calls.keyless():
            return await right.write_review(*args)

    return {"write_review": write_review}


def shows_at_once_to_everybody(right: Any, _: Any) -> Methods:
    """It is carried out by the command, and no worker."""

    async def get_review(review_id: str, account_id: str | None) -> Any:
        coming = await right._store.find(review_id)
        return await right.get_review(review_id, coming.account_id if coming else account_id)

    return {"get_review": get_review}


def shows_its_author_nothing_yet(right: Any, _: Any) -> Methods:
    async def list_own(account_id: str, page: PageQuery) -> Any:
        found = await right.list_own(account_id, page)
        return replace(found, items=[one for one in found.items if one.status == "published"])

    return {"list_own": list_own}


def shows_the_whole_name(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(service.domain, "shown_name", lambda name: name)
    return {}


def shows_the_first_command(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    """Of two commands for one review the former one is shown."""
    right = PostgresReviewStore.add_command

    async def add_command(self: Any, uow: Any, command: Any) -> None:
        await right(self, uow, replace(command, number=-command.number))

    patch.setattr(PostgresReviewStore, "add_command", add_command)
    return {}


def an_edit_empties_what_it_does_not_name(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = service._given
    patch.setattr(service, "_given", lambda value, kept: right(value, "" if isinstance(kept, str) else kept))
    return {}


def counts_an_edit_as_another(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.difference
    patch.setattr(service.domain, "difference", lambda _, after: right(None, after))
    return {}


def keeps_the_line_taken(right: Any, patch: pytest.MonkeyPatch) -> Methods:
    accept = ReviewService._accept

    async def _accept(self: Any, uow: Any, line: Any, review: Any, act: Any) -> Any:
        line.review_id = review.id
        return await accept(self, uow, line, review, act)

    patch.setattr(ReviewService, "_accept", _accept)
    return {}


def lets_anybody_edit(right: Any, _: Any) -> Methods:
    async def edit_review(account_id: str, review_id: str, patch: Any) -> Any:
        found = await right._store.find(review_id)
        return await right.edit_review(found.account_id if found else account_id, review_id, patch)

    return {"edit_review": edit_review}


def invites_again(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = PostgresReviewStore.ship_lines

    async def ship_lines(self: Any, uow: Any, package_id: str, item_ids: Any) -> None:
        await right(self, uow, package_id, item_ids)
        await self.deliver_lines(uow, package_id, uow.now)

    patch.setattr(PostgresReviewStore, "ship_lines", ship_lines)
    return {}


def knows_every_product(right: Any, _: Any) -> Methods:
    async def list_reviews(product_id: str, query: ReviewQuery) -> Any:
        found = await right.list_reviews(product_id, query)
        if not found.rating.count:
            raise NotFound("There is no such product.")
        return found

    return {"list_reviews": list_reviews}


# ── readers and sellers ──────────────────────────────────────────────────────────────────────────────────────


def sorts_by_age_alone(right: Any, _: Any) -> Methods:
    async def list_reviews(product_id: str, query: ReviewQuery) -> Any:
        return await right.list_reviews(product_id, replace(query, sort="newest"))

    return {"list_reviews": list_reviews}


def shares_cursors_between_filters(right: Any, _: Any) -> Methods:
    async def list_reviews(product_id: str, query: ReviewQuery) -> Any:
        return await right.list_reviews(product_id, replace(query, rating=None))

    return {"list_reviews": list_reviews}


def counts_every_vote(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def vote(self: Any, uow: Any, review_id: str, _: str, helpful: bool) -> bool:
        counting = "UPDATE reviews.reviews SET helpful = helpful + $2::int WHERE id = $1"
        await self._database.on(uow).execute(counting, review_id, 1 if helpful else -1)
        return True

    patch.setattr(PostgresReviewStore, "vote", vote)
    return {}


def lets_authors_praise_themselves(right: Any, _: Any) -> Methods:
    async def vote(account_id: str, review_id: str, helpful: bool) -> None:
        with contextlib.suppress(Forbidden):
            await right.vote(account_id, review_id, helpful)

    return {"vote": vote}


def forgets_the_reply_at_an_edit(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.change

    def change(review: Any, *args: Any) -> None:
        right(review, *args)
        review.reply = None

    patch.setattr(service.domain, "change", change)
    return {}


def takes_every_report(right: Any, _: Any) -> Methods:
    async def report(_: str, review_id: str, report: Any) -> None:
        await right.report(new_id(), review_id, report)

    return {"report": report}


def replies_for_others(right: Any, _: Any) -> Methods:
    async def reply(_: str, review_id: str, reply: Any) -> Any:
        found = await right._store.get(review_id)
        return await right.reply(found.seller_id, review_id, reply)

    return {"reply": reply}


def replies_again(right: Any, _: Any) -> Methods:
    async def reply(seller_id: str, review_id: str, reply: Any) -> Any:
        try:
            return await right.reply(seller_id, review_id, reply)
        except Conflict:
            return await right.get_review(review_id, None)

    return {"reply": reply}


def sees_replied_ones_as_others(right: Any, _: Any) -> Methods:
    async def list_seller_reviews(seller_id: str, query: SellerReviewQuery) -> Any:
        return await right.list_seller_reviews(seller_id, replace(query, replied=None))

    return {"list_seller_reviews": list_seller_reviews}


def pages_by_number(right: Any, _: Any) -> Methods:
    async def list_seller_reviews(seller_id: str, query: SellerReviewQuery) -> Any:
        found = await right.list_seller_reviews(seller_id, replace(query, limit=100, cursor=None))
        return Page(found.items[: query.limit], None)

    return {"list_seller_reviews": list_seller_reviews}


# ── ratings and judging ──────────────────────────────────────────────────────────────────────────────────────


def counts_what_is_filtered(right: Any, _: Any) -> Methods:
    async def list_reviews(product_id: str, query: ReviewQuery) -> Any:
        found = await right.list_reviews(product_id, query)
        return replace(found, rating=replace(found.rating, count=len(found.items)))

    return {"list_reviews": list_reviews}


def mixes_products_and_sellers(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = PostgresRatingStore.add

    async def add(self: Any, uow: Any, kind: RatedKind, id_: str, counts: Any) -> Tally:
        return await right(self, uow, "product", id_, counts)

    patch.setattr(PostgresRatingStore, "add", add)
    return {}


def leaves_out_what_is_not_rated(right: Any, _: Any) -> Methods:
    async def get_ratings(kind: RatedKind, ids: list[str]) -> Any:
        return [rated for rated in await right.get_ratings(kind, ids) if rated.rating.count]

    return {"get_ratings": get_ratings}


def scores_by_the_mean(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(Tally, "score", lambda self, *_: self.average or 0.0)
    return {}


def decides_without_counting(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(domain.Review, "counted", property(lambda self: self.rating))
    return {}


def hides_it_from_its_author(right: Any, _: Any) -> Methods:
    async def get_review(review_id: str, account_id: str | None) -> Any:
        return await right.get_review(review_id, None)

    return {"get_review": get_review}


def judges_any_version(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.decide
    patch.setattr(service.domain, "decide", lambda review, _, **how: right(review, review.version, **how))
    return {}


def judges_the_review_by_its_reply(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.decide
    patch.setattr(
        service.domain, "decide_reply", lambda review, approved: right(review, 1, approved=approved, reason_code="abuse")
    )
    return {}


def _of(*mistakes: Mistake) -> dict[str, Mistake]:
    return {mistake.__name__: mistake for mistake in mistakes}


MISTAKES: dict[str, dict[str, Mistake]] = {
    "test_only_what_one_has_received_can_be_reviewed": _of(
        takes_what_is_on_its_way, takes_what_others_have_bought, asks_for_no_product, says_whose_it_is
    ),
    "test_a_part_of_a_package_that_was_never_sent_has_not_arrived": _of(delivers_what_was_cancelled),
    "test_a_line_has_one_review_whoever_writes_at_once": _of(takes_two_at_once),
    "test_one_key_writes_one_review": _of(knows_no_keys),
    "test_what_is_accepted_is_shown_to_its_author_alone": _of(
        shows_at_once_to_everybody, shows_its_author_nothing_yet, shows_the_whole_name
    ),
    "test_accepted_commands_are_shown_as_if_they_were_carried_out": _of(shows_the_first_command),
    "test_an_edit_changes_what_it_names": _of(an_edit_empties_what_it_does_not_name, counts_an_edit_as_another),
    "test_who_deletes_may_write_anew": _of(keeps_the_line_taken),
    "test_nobody_commands_for_another": _of(lets_anybody_edit),
    "test_who_has_received_is_invited_once": _of(invites_again),
    "test_what_nobody_has_reviewed_has_an_empty_page": _of(knows_every_product),
    "test_pages_are_in_the_order_that_is_asked_for": _of(sorts_by_age_alone),
    "test_a_cursor_belongs_to_its_sort_and_filter": _of(shares_cursors_between_filters),
    "test_a_person_finds_it_helpful_once": _of(counts_every_vote, lets_authors_praise_themselves),
    "test_an_edit_keeps_what_others_think": _of(forgets_the_reply_at_an_edit),
    "test_a_person_reports_it_once": _of(takes_every_report),
    "test_a_seller_replies_once_to_what_is_its_own": _of(replies_for_others, replies_again),
    "test_a_seller_sees_its_own_by_what_it_asks": _of(sees_replied_ones_as_others, pages_by_number),
    "test_ratings_follow_what_is_published": _of(
        counts_what_is_filtered, mixes_products_and_sellers, leaves_out_what_is_not_rated
    ),
    "test_what_few_people_say_weighs_little": _of(scores_by_the_mean),
    "test_what_is_rejected_is_its_authors_alone": _of(decides_without_counting, hides_it_from_its_author),
    "test_what_was_edited_since_is_judged_by_itself": _of(judges_any_version),
    "test_a_reply_that_is_rejected_is_not_shown": _of(judges_the_review_by_its_reply),
}
