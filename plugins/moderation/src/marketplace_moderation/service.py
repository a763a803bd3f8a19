"""Use cases of moderation. Who judges or decides anything holds the end of the audit, so that all of them take turns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from marketplace_core.capabilities.moderation import (
    AppealDraft,
    AuditState,
    Author,
    AuthorTold,
    ContentAppealed,
    ContentDecided,
    ContentHeld,
    ContentSubmitted,
    DecisionDraft,
    DecisionResult,
    Item,
    ItemDecision,
    Judgement,
    Moderation,
    OwnItem,
    QueueQuery,
    Submission,
)
from marketplace_core.errors import Conflict, Forbidden, MarketplaceError, NotFound
from marketplace_core.extensions import Extensions
from marketplace_core.ports import Blobs, Pool, UnitOfWork, Units, command, command_after, handler_after
from marketplace_core.values import Clock, Page, PageQuery, new_id, require
from marketplace_moderation import audit, domain, views
from marketplace_moderation.audit import CHECKS, Trail
from marketplace_moderation.checks.classifier import Example, learn
from marketplace_moderation.config import ModerationConfig
from marketplace_moderation.domain import Found, NotPossible
from marketplace_moderation.examining import Checks, Examined
from marketplace_moderation.levels import Levels
from marketplace_moderation.store import Entry, LikenessStore, ModerationStore

__all__ = ["ModerationService"]

AUDIT_BATCH = 10_000


class ModerationService(Moderation):
    def __init__(
        self,
        units: Units,
        store: ModerationStore,
        likeness: LikenessStore,
        checks: Checks,
        blobs: Blobs,
        extensions: Extensions,
        training: Pool,
        levels: Levels,
        clock: Clock,
        config: ModerationConfig,
    ) -> None:
        self.units = units
        self._store = store
        self._likeness = likeness
        self._checks = checks
        self._blobs = blobs
        self._extensions = extensions
        self._training = training
        self._levels = levels
        self._clock = clock
        self._config = config

    # ── judging ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _examine(self, submission: Submission) -> Examined:
        return await self._checks.examine(submission)

    @command_after(_examine)
    async def judge(self, uow: UnitOfWork, examined: Examined, submission: Submission) -> Judgement:
        return await self._take(uow, examined, submission)

    async def _examine_event(self, event: ContentSubmitted) -> Examined:
        return await self._checks.examine(_submission(event))

    @handler_after(_examine_event, ContentSubmitted)
    async def on_content_submitted(self, uow: UnitOfWork, examined: Examined, event: ContentSubmitted) -> None:
        """The moderation queue: what others have, who wait for no answer."""
        await self._take(uow, examined, _submission(event))

    async def _take(self, uow: UnitOfWork, examined: Examined, submission: Submission) -> Judgement:
        trail = Trail(await self._store.lock_audit(uow))
        content = submission.content
        known = await self._store.latest(uow, content.kind, content.id)
        if known is not None and known.version > content.version:
            return Judgement(content, "superseded")
        if known is not None and known.version == content.version:
            if submission.cause == "reported":
                await self._report(uow, trail, known, submission.note)
            return views.judgement(known)
        if known is not None:
            known.state = "superseded"
            trail.add(uow.now, CHECKS, "superseded", known, by=content.version)
            await self._store.save(uow, [known])
        item = _opened(submission, uow.now)
        item.wary = known is not None and domain.is_wary(known)
        findings = await self._checks.compare(uow, submission, examined)
        found = [Found(one.check, one.score, one.detail, one.reason_code) for one in findings]
        if item.wary:
            found.append(Found("history", self._config.hold, "a person has rejected an earlier version", "rejected_before"))
        domain.judge(item, found, self._config.hold, self._config.reject)
        if item.decision == "approve":
            await self._checks.remember(uow, submission, examined)
        told = [[one.check, one.score, one.detail] for one in item.scores]
        trail.add(uow.now, CHECKS, item.decision or "hold", item, reason_code=item.reason_code, scores=told)
        await self._store.save(uow, [item])
        await self._store.add_entries(uow, trail.added)
        if item.state == "decided":
            self._decided(uow, item, by_checks=True)
        else:
            self._held(uow, item)
        return views.judgement(item)

    async def _report(self, uow: UnitOfWork, trail: Trail, item: domain.Item, note: str) -> None:
        waits = domain.add_report(item, note, uow.now)
        trail.add(uow.now, "reader", "reported", item, note=note)
        await self._store.save(uow, [item])
        await self._store.add_entries(uow, trail.added)
        if waits:
            self._held(uow, item)

    def _held(self, uow: UnitOfWork, item: domain.Item) -> None:
        content = views.content(item)
        uow.emit(ContentHeld(subject=content.key, content=content, item_id=item.id, scores=views.scores(item.scores)))

    def _decided(self, uow: UnitOfWork, item: domain.Item, *, by_checks: bool, overturned: bool = False) -> None:
        content, approved = views.content(item), item.decision == "approve"
        uow.emit(
            ContentDecided(
                subject=content.key,
                content=content,
                approved=approved,
                reason_code=item.reason_code,
                by="checks" if by_checks else "moderator",
                seller_id=item.seller_id,
                appealed=item.appeal is not None,
                overturned=overturned,
            )
        )
        if not approved or not (by_checks or (item.cause == "reported" and item.appeal is None)):
            uow.emit(
                AuthorTold(
                    subject=content.key,
                    content=content,
                    item_id=item.id,
                    author_id=item.author_id,
                    seller_id=item.seller_id,
                    approved=approved,
                    reason_code=item.reason_code,
                    appealable=domain.can_appeal(item),
                )
            )
        uow.after_commit(lambda: self._levels.decided(item, by_checks=by_checks, overturned=overturned))

    # ── for moderators ───────────────────────────────────────────────────────────────────────────────────────

    async def list_queue(self, query: QueueQuery) -> Page[Item]:
        rows = await self._store.list_queue(query, query.position(datetime, str), self._clock.now())
        found = query.page(rows, lambda row: row[1])
        return Page([self._view(item) for item, _ in found.items], found.next)

    @command
    async def claim(self, uow: UnitOfWork, moderator_id: str, item_id: str) -> Item:
        limit = timedelta(minutes=self._config.claim_minutes)
        return await self._change(uow, item_id, lambda item: domain.claim(item, moderator_id, uow.now, limit))

    @command
    async def give_back(self, uow: UnitOfWork, moderator_id: str, item_id: str) -> Item:
        return await self._change(uow, item_id, lambda item: domain.give_back(item, moderator_id, uow.now))

    async def _change(self, uow: UnitOfWork, item_id: str, act: Callable[[domain.Item], None]) -> Item:
        item = _there((await self._store.lock(uow, [item_id])).get(item_id))
        with _refusing():
            act(item)
        await self._store.save(uow, [item])
        return views.item(item, self._blobs.url, uow.now)

    @command
    async def decide(self, uow: UnitOfWork, moderator_id: str, item_id: str, decision: DecisionDraft) -> Item:
        trail = Trail(await self._store.lock_audit(uow))
        item = (await self._store.lock(uow, [item_id])).get(item_id)
        decided = self._decide(uow, trail, item, moderator_id, decision)
        await self._store.save(uow, [decided])
        await self._store.add_entries(uow, trail.added)
        return views.item(decided, self._blobs.url, uow.now)

    @command
    async def decide_many(self, uow: UnitOfWork, moderator_id: str, decisions: list[ItemDecision]) -> list[DecisionResult]:
        trail = Trail(await self._store.lock_audit(uow))
        items = await self._store.lock(uow, [decision.id for decision in decisions])
        results, changed = [], []
        for decision in decisions:
            try:
                changed.append(self._decide(uow, trail, items.get(decision.id), moderator_id, decision))
                results.append(DecisionResult(decision.id, 200))
            except MarketplaceError as refusal:
                results.append(DecisionResult(decision.id, refusal.status, refusal.code))
        await self._store.save(uow, changed)
        await self._store.add_entries(uow, trail.added)
        return results

    def _decide(
        self, uow: UnitOfWork, trail: Trail, found: domain.Item | None, moderator_id: str, decision: DecisionDraft
    ) -> domain.Item:
        item = _there(found)
        reason = decision.reason_code
        require(decision.decision == "approve" or reason is not None, "/reason_code", "required", "Say why it is rejected.")
        with _refusing():
            overturned = domain.decide(item, moderator_id, uow.now, decision.decision, reason, decision.note)
        trail.add(uow.now, moderator_id, decision.decision, item, reason_code=item.reason_code, note=decision.note)
        self._decided(uow, item, by_checks=False, overturned=overturned)
        return item

    # ── for authors ──────────────────────────────────────────────────────────────────────────────────────────

    async def list_own(self, author: Author, page: PageQuery) -> Page[OwnItem]:
        rows = await self._store.list_own(author, page, page.position(datetime, str))
        found = page.page(rows, lambda row: row[1])
        return Page([views.own(item) for item, _ in found.items], found.next)

    @command
    async def appeal(self, uow: UnitOfWork, author: Author, item_id: str, appeal: AppealDraft) -> OwnItem:
        trail = Trail(await self._store.lock_audit(uow))
        item = _there((await self._store.lock(uow, [item_id])).get(item_id))
        if not _is_of(item, author):
            raise NotFound("There is no such decision on anything of yours.")
        with _refusing():
            domain.appeal(item, appeal.text, uow.now)
        trail.add(uow.now, "author", "appealed", item, text=appeal.text)
        await self._store.save(uow, [item])
        await self._store.add_entries(uow, trail.added)
        content = views.content(item)
        uow.emit(ContentAppealed(subject=content.key, content=content, item_id=item.id, seller_id=item.seller_id))
        return views.own(item)

    async def _notify(self, event: AuthorTold) -> None:
        await self._extensions.check("notify_authors", notices=[event])

    @handler_after(_notify, AuthorTold, imports=False)
    async def on_author_told(self, uow: UnitOfWork, _: None, event: AuthorTold) -> None:
        """Those who bring things to people have brought it."""

    # ── for operators ────────────────────────────────────────────────────────────────────────────────────────

    async def verify_audit(self, after: int, head: str, limit: int) -> AuditState:
        noted = await self._store.head()
        before = Entry(after, "", head)
        entries = await self._store.entries(after, max(1, min(limit, AUDIT_BATCH)))
        broken = audit.first_broken(before, entries)
        last = entries[-1] if entries else before
        if broken is None and len(entries) < limit and last.number < noted.number:
            broken = last.number + 1
        if broken is None and last.number == noted.number and last.hash != noted.hash:
            broken = last.number
        return AuditState(last.number, last.hash, broken)

    async def train(self, examples: Sequence[Example]) -> int:
        """Learn anew from these texts, and tell by what was learnt from now on; gives how many features there are."""
        model = await self._training.run(learn, list(examples))
        await self.units.run(lambda uow: self._likeness.put_model(uow, model.encoded()))
        return len(model.weights)

    async def measure(self) -> None:
        """A schedule: tell how much waits, and for how long."""
        self._levels.waiting(await self._store.waiting(self._clock.now()))

    def _view(self, item: domain.Item) -> Item:
        return views.item(item, self._blobs.url, self._clock.now())


class _refusing:
    """What the state does not allow is refused as clients know it."""

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, NotPossible):
            kind = Forbidden if error.code == "moderation.own_decision" else Conflict
            raise kind(error.code, error.detail) from error


def _there(item: domain.Item | None) -> domain.Item:
    if item is None or item.state == "superseded":
        raise NotFound("There is no such item, or a later version of its content is judged.")
    return item


def _is_of(item: domain.Item, author: Author) -> bool:
    return item.author_id == author.account_id or (item.seller_id is not None and item.seller_id == author.seller_id)


def _submission(event: ContentSubmitted) -> Submission:
    return Submission(
        content=event.content,
        cause=event.cause,
        author_id=event.author_id,
        seller_id=event.seller_id,
        snapshot=event.snapshot,
        images=event.images,
        note=event.note,
    )


def _opened(submission: Submission, now: datetime) -> domain.Item:
    content = submission.content
    return domain.Item(
        id=new_id(),
        kind=content.kind,
        subject_id=content.id,
        version=content.version,
        cause=submission.cause,
        author_id=submission.author_id,
        seller_id=submission.seller_id,
        snapshot=submission.snapshot,
        images=list(submission.images),
        created_at=now,
        since=now,
        note=submission.note,
    )
