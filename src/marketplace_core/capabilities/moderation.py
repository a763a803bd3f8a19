"""moderation: whether what people write may be shown. Whoever has content tells of it, and hears what was decided.

A third party's content is moderated by what any content is: it emits :class:`ContentSubmitted` of its own kind,
``<plugin>.<name>``, and its hook ``subscriptions`` gives a handler of :class:`ContentDecided`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, Personal, PersonId, declare_queue, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, query
from marketplace_core.values import Id, Money, PageQuery
from marketplace_core.values import Page as PageOf

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

Cause = Literal["new", "edited", "reported"]
Decision = Literal["approve", "reject"]
ItemStatus = Literal["open", "claimed", "decided", "appealed"]
Verdict = Literal["approved", "rejected", "in_review", "superseded"]
Judge = Literal["checks", "moderator"]
ReasonCode = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[a-z0-9_.]+\Z")]
DecisionNote = Annotated[str, Meta(max_length=2000)]
#: A setting of plugins whose content is judged: it waits for moderation (``approved``), or is shown until moderation rejects it
#: (``first``). Where the deployment has no moderation all is shown at once.
Show = Literal["approved", "first"]
MAX_DECISIONS = 100


class Content(Struct, frozen=True):
    """What is judged: ``kind`` (``product``, ``review``, ``reply``, ``image``, ``shop``, or ``<plugin>.<name>`` of a third
    party) and the id of one, as it was at ``version``, which counts its changes."""

    kind: str
    id: str
    version: int

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.id}"


class Submission(Struct, frozen=True, kw_only=True):
    """Content that is to be judged, as in :class:`ContentSubmitted`. ``price`` is the lowest of what is for sale, and
    ``category_id`` where it stands, where it has them."""

    content: Content
    cause: Cause
    author_id: PersonId | None
    seller_id: str | None = None
    snapshot: Personal[dict[str, str]]
    images: Personal[tuple[str, ...]] = ()
    note: Personal[str] = ""
    price: Money | None = None
    category_id: str | None = None


class Finding(Struct, frozen=True):
    """What a check found in a submission, by its content's ``key``: ``score`` is from 0 (nothing wrong) to 1 (certainly wrong).
    ``detail`` is read by who decides; ``reason_code`` is the author's, where it is enough to be rejected."""

    key: str
    check: str
    score: float
    detail: str
    reason_code: str


class Judgement(Struct, frozen=True):
    """``in_review``: a person decides. ``superseded``: a later version of the content is judged."""

    content: Content
    verdict: Verdict
    reason_code: str | None = None


class Score(Struct, frozen=True):
    """``detail`` may quote what was found."""

    check: str
    score: float
    detail: Personal[str]


class Appeal(Struct, frozen=True):
    text: str
    created_at: datetime


class Item(Struct, frozen=True, kw_only=True):
    """A version of some content, as who decides sees it: nothing tells whose it is.

    ``note`` is what reports said. ``images`` are URLs. ``decision`` is the last one, with its reason.
    """

    id: str
    kind: str
    subject_id: str
    version: int
    cause: Cause
    snapshot: dict[str, str]
    images: list[str]
    note: str
    scores: list[Score]
    status: ItemStatus
    claimed_by: str | None
    claimed_until: datetime | None
    decision: Decision | None
    reason_code: str | None
    appeal: Appeal | None
    created_at: datetime


class OwnItem(Struct, frozen=True, kw_only=True):
    """A decision as the content's author sees it. ``appealable``: it may be appealed, which is once."""

    id: str
    kind: str
    subject_id: str
    status: ItemStatus
    decision: Decision | None
    reason_code: str | None
    appeal: Appeal | None
    appealable: bool
    created_at: datetime


class Author(Struct, frozen=True):
    """Who speaks for content: the account that wrote it, or anybody of the shop in whose name it is."""

    account_id: str
    seller_id: str | None = None


class QueueQuery(PageQuery, frozen=True, kw_only=True):
    """Without a ``status``: all that is not decided."""

    kind: Annotated[str, Meta(max_length=100)] | None = None
    status: ItemStatus | None = None


class DecisionDraft(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    decision: Decision
    reason_code: ReasonCode | None = None
    note: DecisionNote = ""


class ItemDecision(DecisionDraft, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Id


class DecisionsDraft(Struct, frozen=True, forbid_unknown_fields=True):
    items: Annotated[list[ItemDecision], Meta(min_length=1, max_length=MAX_DECISIONS)]


class DecisionResult(Struct, frozen=True):
    """``status`` is as of HTTP, and ``code`` that of the refusal."""

    id: str
    status: int
    code: str | None = None


class DecisionResults(Struct, frozen=True):
    items: list[DecisionResult]


class AppealDraft(Struct, frozen=True, forbid_unknown_fields=True):
    text: Annotated[str, Meta(min_length=1, max_length=5000)]


class AuditState(Struct, frozen=True):
    """The audit as far as it was followed: so many entries, the hash of the last one, and the number of the first that is not
    as it was written (None: all are)."""

    entries: int
    head: str
    broken_at: int | None


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────

#: Written by whoever has content. A version says what is later.
declare_queue("moderation")


@event("moderation.submitted", key="subject")
class ContentSubmitted(Event, frozen=True, kw_only=True):
    """Content is to be judged, as a plugin has it that emits on the topic ``moderation``.

    ``subject`` is the key of the content. ``snapshot`` is what one decides by: texts by the field that they stand in;
    ``images`` are the keys of pictures' blobs. ``author_id`` is the account that wrote it, ``seller_id`` the shop in whose name
    it is. ``note``: what a report says.
    """

    subject: str
    content: Content
    cause: Cause
    author_id: PersonId | None
    snapshot: Personal[dict[str, str]]
    images: Personal[tuple[str, ...]] = ()
    note: Personal[str] = ""
    seller_id: str | None = None


@event("moderation.held", key="subject")
class ContentHeld(Event, frozen=True, kw_only=True):
    """``content`` waits for a person: for what the checks found, or for a report."""

    subject: str
    content: Content
    item_id: str
    scores: list[Score]


@event("moderation.decided", key="subject")
class ContentDecided(Event, frozen=True, kw_only=True):
    """``content`` may be shown, or may not: then ``reason_code`` says why.

    Whoever has the content applies it by a handler, unless it has been changed since: a later version is judged by itself.
    ``by`` whom; ``appealed``: it was decided before, and ``overturned``: otherwise. ``seller_id``: in whose name it is.
    """

    subject: str
    content: Content
    approved: bool
    reason_code: str | None = None
    by: Judge = "moderator"
    seller_id: str | None = None
    appealed: bool = False
    overturned: bool = False


@event("moderation.appealed", key="subject")
class ContentAppealed(Event, frozen=True, kw_only=True):
    """The author of ``content`` objects to its rejection; another person decides again."""

    subject: str
    content: Content
    item_id: str
    seller_id: str | None = None


@event("moderation.author_told", key="subject")
class AuthorTold(Event, frozen=True, kw_only=True):
    """What the author of ``content`` is to be told of the decision on it, told once for each."""

    subject: str
    content: Content
    item_id: str
    author_id: PersonId | None
    seller_id: str | None
    approved: bool
    reason_code: str | None
    appealable: bool


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

declare_codes(409, "moderation.claimed", "moderation.decided", "moderation.appealed", "moderation.not_appealable")
declare_codes(403, "moderation.own_decision")


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Moderation(ABC):
    """Judges content. Where a deployment has none, whoever has content shows it without being told to."""

    @abstractmethod
    @mutation(retriable=True)
    async def judge(self, submission: Submission) -> Judgement:
        """Run the checks and approve, reject, or have a person decide: for whoever waits for the answer, such as a saga.

        A version is judged once: asked again, the answer is what has become of it.
        """

    # for moderators

    @abstractmethod
    @query
    async def list_queue(self, query: QueueQuery) -> PageOf[Item]:
        """What has waited longest comes first."""

    @abstractmethod
    @mutation(retriable=True)
    async def claim(self, moderator_id: str, item_id: str) -> Item:
        """Have it for oneself for a while, from now; who has it already has it for longer.

        :raises NotFound: there is no such item, or a later version is judged. :raises Conflict: ``moderation.claimed``: another
        has it; ``moderation.decided``. :raises Forbidden: ``moderation.own_decision``: the appeal is against one's own.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def give_back(self, moderator_id: str, item_id: str) -> Item:
        """Have it no more. :raises: as :meth:`claim`."""

    @abstractmethod
    @mutation(retriable=True)
    async def decide(self, moderator_id: str, item_id: str, decision: DecisionDraft) -> Item:
        """One that nobody else has claimed. :raises Invalid: a rejection has no reason. :raises: as :meth:`claim`."""

    @abstractmethod
    @mutation(retriable=True)
    async def decide_many(self, moderator_id: str, decisions: list[ItemDecision]) -> list[DecisionResult]:
        """Each as by :meth:`decide`; one that is refused keeps no other from being decided."""

    # for authors

    @abstractmethod
    @query
    async def list_own(self, author: Author, page: PageQuery) -> PageOf[OwnItem]:
        """What was decided of one's content, and what waits, the latest first."""

    @abstractmethod
    @mutation(retriable=True)
    async def appeal(self, author: Author, item_id: str, appeal: AppealDraft) -> OwnItem:
        """Have another person decide a rejection again, once.

        :raises NotFound: it is not the author's, or a later version is judged.
        :raises Conflict: ``moderation.appealed``: it was before; ``moderation.not_appealable``: it is not rejected.
        """

    # for operators

    @abstractmethod
    @query
    async def verify_audit(self, after: int, head: str, limit: int) -> AuditState:
        """Follow the audit for ``limit`` entries after the one of this number and hash (0 and "": from the first)."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class ModerationHooks:
    @hookspec
    def provide_moderation(self, context: PluginContext) -> Moderation:  # type: ignore[empty-body]
        """The capability's provider."""

    @hookspec
    async def moderation_checks(self, submissions: Sequence[Submission]) -> Sequence[Finding]:  # type: ignore[empty-body]
        """A check: what is wrong with these, beside what moderation itself finds. Of what is well there is nothing to say."""

    @hookspec
    async def notify_authors(self, notices: Sequence[AuthorTold]) -> None:
        """Bring to people what was decided on their content. After a crash a notice may come again: its content, version and
        outcome tell whether it has been brought already."""
