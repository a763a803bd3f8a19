"""Moderation with one mistake each: methods that stand in for those of the right one, and parts that are changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from marketplace_moderation import audit, domain, views
from marketplace_moderation.domain import NotPossible
from marketplace_moderation.service import ModerationService
from marketplace_moderation.store import Entry
from marketplace_moderation.stores.postgres import PostgresModerationStore
from msgspec.structs import replace

from marketplace_core.capabilities.moderation import AuditState, Author, QueueQuery
from marketplace_core.testing.contracts import Method
from marketplace_core.values import Page

__all__ = ["MISTAKES"]

Methods = Mapping[str, Method]
Mistake = Callable[[Any, pytest.MonkeyPatch], Methods]
"""From the right service to the methods that are wrong."""


# ── judging ──────────────────────────────────────────────────────────────────────────────────────────────────


def lets_a_person_decide_all(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(domain, "judge", lambda *_: None)
    return {}


def tells_nobody(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(ModerationService, "_decided", lambda *_, **__: None)
    return {}


def says_that_a_person_did(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = ModerationService._decided

    def decided(self: Any, uow: Any, item: Any, **more: Any) -> None:
        right(self, uow, item, **{**more, "by_checks": False})

    patch.setattr(ModerationService, "_decided", decided)
    return {}


def holds_and_tells_nobody(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(ModerationService, "_held", lambda *_: None)
    return {}


def loses_what_a_report_says(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    from marketplace_moderation import service  # noqa: PLC0415

    right = service._opened

    def opened(submission: Any, now: Any) -> Any:
        return right(replace(submission, note=""), now)

    patch.setattr(service, "_opened", opened)
    return {}


def judges_without_turns(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def latest(*_: Any) -> None:
        return None

    patch.setattr(PostgresModerationStore, "latest", latest)
    return {}


def takes_an_earlier_version(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = PostgresModerationStore.latest

    async def latest(self: Any, uow: Any, kind: str, subject_id: str) -> Any:
        item = await right(self, uow, kind, subject_id)
        return item if item is None or item.version != 3 else None

    patch.setattr(PostgresModerationStore, "latest", latest)
    return {}


def keeps_what_was_edited(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = PostgresModerationStore.save

    async def save(self: Any, uow: Any, items: Any) -> None:
        await right(self, uow, [item for item in items if item.state != "superseded"])

    patch.setattr(PostgresModerationStore, "save", save)
    return {}


def hears_no_report(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(domain, "add_report", lambda *_: False)
    return {}


def opens_what_was_rejected(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.add_report

    def add_report(item: Any, note: str, now: Any) -> bool:
        item.decision = "approve"
        return right(item, note, now)

    patch.setattr(domain, "add_report", add_report)
    return {}


def tells_each_report(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.add_report

    def add_report(item: Any, note: str, now: Any) -> bool:
        right(item, note, now)
        return True

    patch.setattr(domain, "add_report", add_report)
    return {}


# ── the audit ────────────────────────────────────────────────────────────────────────────────────────────────


def chains_nothing(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(audit, "_hash", lambda _, entry: str(hash(entry)))
    return {}


def believes_any_hash(right: Any, _: Any) -> Methods:
    async def verify_audit(after: int, head: str, limit: int) -> AuditState:
        return replace(await right.verify_audit(after, head, limit), broken_at=None)

    return {"verify_audit": verify_audit}


def writes_over_each_other(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def lock_audit(self: Any, uow: Any) -> Entry:
        return Entry(0, "", "")

    patch.setattr(PostgresModerationStore, "lock_audit", lock_audit)
    return {}


# ── the queue ────────────────────────────────────────────────────────────────────────────────────────────────


def shows_whose_it_is(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = views.item

    def item(found: Any, url: Any, now: Any) -> Any:
        return replace(right(found, url, now), note=f"by {found.author_id}")

    patch.setattr(views, "item", item)
    return {}


def shows_the_latest_first(right: Any, _: Any) -> Methods:
    async def list_queue(query: QueueQuery) -> Any:
        page = await right.list_queue(query)
        return Page(page.items[::-1], page.next)

    return {"list_queue": list_queue}


def shows_every_kind(right: Any, _: Any) -> Methods:
    async def list_queue(query: QueueQuery) -> Any:
        return await right.list_queue(replace(query, kind=None))

    return {"list_queue": list_queue}


def hides_what_is_claimed(right: Any, _: Any) -> Methods:
    async def list_queue(query: QueueQuery) -> Any:
        return await right.list_queue(replace(query, status=query.status or "open"))

    return {"list_queue": list_queue}


def lets_all_decide(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(domain.Item, "is_claimed", lambda *_: False)
    return {}


def keeps_claims_for_ever(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(domain.Item, "is_claimed", lambda self, _: self.claimed_by is not None)
    return {}


def extends_nothing(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.claim

    def claim(item: Any, who: str, now: Any, limit: Any) -> None:
        if item.claimed_by != who:
            right(item, who, now, limit)

    patch.setattr(domain, "claim", claim)
    return {}


def gives_nothing_back(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(domain, "give_back", lambda *_: None)
    return {}


def claims_without_a_lock(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def lock(self: Any, uow: Any, item_ids: Any) -> Any:
        found = {id_: await self.get(id_) for id_ in item_ids}
        await self._database.on(uow).execute("SELECT pg_sleep(0.1)")
        return {id_: item for id_, item in found.items() if item is not None}

    patch.setattr(PostgresModerationStore, "lock", lock)
    return {}


def decides_again(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.check_free

    def check_free(item: Any, who: str, now: Any) -> None:
        if item.state != "decided":
            right(item, who, now)

    patch.setattr(domain, "check_free", check_free)
    return {}


def decides_without_turns(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    claims_without_a_lock(_, patch)
    writes_over_each_other(_, patch)

    async def add_entries(*_: Any) -> None: ...

    patch.setattr(PostgresModerationStore, "add_entries", add_entries)
    return {}


def rejects_without_a_word(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    from marketplace_moderation import service  # noqa: PLC0415

    patch.setattr(service, "require", lambda *_: None)
    return {}


def gives_up_at_the_first(right: Any, _: Any) -> Methods:
    async def decide_many(moderator_id: str, decisions: Any) -> Any:
        results = []
        for decision in decisions:
            results += await right.decide_many(moderator_id, [decision])
            if results[-1].code is not None:
                break
        return results

    return {"decide_many": decide_many}


def locks_in_the_order_that_is_asked(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def lock_audit(self: Any, uow: Any) -> Entry:
        return await self.head()

    async def lock(self: Any, uow: Any, item_ids: Any) -> Any:
        found = {}
        for id_ in item_ids:
            asked = "SELECT document::text AS document FROM moderation.items WHERE id = $1 FOR UPDATE"
            await self._database.on(uow).row(asked, id_)
            found[id_] = await self.get(id_)
            await self._database.on(uow).execute("SELECT pg_sleep(0.05)")
        return found

    patch.setattr(PostgresModerationStore, "lock_audit", lock_audit)
    patch.setattr(PostgresModerationStore, "lock", lock)
    return {}


# ── authors ──────────────────────────────────────────────────────────────────────────────────────────────────


def shows_everybodys(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = PostgresModerationStore.list_own

    async def list_own(self: Any, author: Author, query: Any, after: Any) -> Any:
        return await right(self, Author(author.account_id, "shop"), query, after)

    patch.setattr(PostgresModerationStore, "list_own", list_own)
    return {}


def lets_anybody_appeal(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    from marketplace_moderation import service  # noqa: PLC0415

    patch.setattr(service, "_is_of", lambda *_: True)
    return {}


def knows_no_shop(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    from marketplace_moderation import service  # noqa: PLC0415

    patch.setattr(service, "_is_of", lambda item, author: item.author_id == author.account_id)
    return {}


def appeals_as_often_as_one_likes(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.appeal

    def appeal(item: Any, text: str, now: Any) -> None:
        item.appeal = None
        item.state = "decided"
        right(item, text, now)

    patch.setattr(domain, "appeal", appeal)
    return {}


def appeals_what_is_approved(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(domain, "can_appeal", lambda item: item.appeal is None)
    return {}


def lets_the_same_decide_again(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.check_free

    def check_free(item: Any, who: str, now: Any) -> None:
        try:
            right(item, who, now)
        except NotPossible as refusal:
            if refusal.code != "moderation.own_decision":
                raise

    patch.setattr(domain, "check_free", check_free)
    return {}


def overturns_nothing(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    right = domain.decide

    def decide(*args: Any) -> bool:
        right(*args)
        return False

    patch.setattr(domain, "decide", decide)
    return {}


def _by_name(*mistakes: Mistake) -> dict[str, Mistake]:
    return {mistake.__name__: mistake for mistake in mistakes}


MISTAKES: Mapping[str, Mapping[str, Mistake]] = {
    "test_what_nobody_objects_to_is_approved_at_once": _by_name(lets_a_person_decide_all, tells_nobody, says_that_a_person_did),
    "test_the_queue_is_judged_likewise_and_once": _by_name(holds_and_tells_nobody, loses_what_a_report_says),
    "test_a_version_is_judged_once": _by_name(judges_without_turns),
    "test_a_later_version_takes_the_place_of_an_earlier_one": _by_name(takes_an_earlier_version, keeps_what_was_edited),
    "test_a_report_brings_back_what_was_approved": _by_name(hears_no_report, tells_each_report),
    "test_a_report_changes_nothing_of_what_is_rejected": _by_name(opens_what_was_rejected),
    "test_the_audit_follows_from_its_first_entry": _by_name(chains_nothing, believes_any_hash, writes_over_each_other),
    "test_nothing_tells_moderators_who_wrote_it": _by_name(shows_whose_it_is),
    "test_what_has_waited_longest_comes_first": _by_name(shows_the_latest_first, shows_every_kind, hides_what_is_claimed),
    "test_what_is_claimed_is_nobody_elses_for_a_while": _by_name(lets_all_decide, keeps_claims_for_ever, extends_nothing),
    "test_what_is_given_back_is_anybodys": _by_name(gives_nothing_back),
    "test_of_two_who_claim_at_once_one_has_it": _by_name(claims_without_a_lock),
    "test_a_decision_is_told_and_stands": _by_name(decides_again, tells_nobody),
    "test_of_two_who_decide_at_once_one_does": _by_name(decides_without_turns),
    "test_a_rejection_says_why": _by_name(rejects_without_a_word),
    "test_many_are_decided_each_by_itself": _by_name(gives_up_at_the_first),
    "test_many_who_decide_many_at_once_wait_for_nobody_for_ever": _by_name(locks_in_the_order_that_is_asked),
    "test_an_author_sees_what_was_decided_of_the_own": _by_name(shows_everybodys),
    "test_only_an_author_appeals_and_only_once": _by_name(lets_anybody_appeal, appeals_as_often_as_one_likes),
    "test_anybody_of_a_shop_appeals_for_it": _by_name(knows_no_shop),
    "test_only_a_rejection_is_appealed": _by_name(appeals_what_is_approved),
    "test_another_person_decides_an_appeal": _by_name(lets_the_same_decide_again, overturns_nothing),
}
