"""What becomes of content that is to be judged: who may decide it, when, and how often. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

__all__ = [
    "Appealed",
    "Found",
    "Item",
    "NotPossible",
    "add_report",
    "appeal",
    "can_appeal",
    "claim",
    "decide",
    "give_back",
    "is_wary",
    "judge",
    "status_of",
]


class NotPossible(Exception):
    """The state does not allow it; ``code`` and the text say why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.detail = code, detail


@dataclass(frozen=True)
class Found:
    """What a check found: ``score`` from 0 to 1; ``reason_code`` is why it is rejected, if it is for this."""

    check: str
    score: float
    detail: str
    reason_code: str


@dataclass(frozen=True)
class Appealed:
    text: str
    created_at: datetime


@dataclass
class Item:
    """A version of some content. ``state`` is ``open``, ``decided``, ``appealed``, or ``superseded`` by a later version.

    ``decided_by`` is None where the checks have decided it. ``since`` is when it began to wait as it waits now. ``wary``:
    a person has rejected an earlier version, and none has approved a later one.
    """

    id: str
    kind: str
    subject_id: str
    version: int
    cause: str
    author_id: str | None
    seller_id: str | None
    snapshot: dict[str, str]
    images: list[str]
    created_at: datetime
    since: datetime
    note: str = ""
    scores: list[Found] = field(default_factory=list)
    state: str = "open"
    claimed_by: str | None = None
    claimed_until: datetime | None = None
    decision: str | None = None
    reason_code: str | None = None
    decided_by: str | None = None
    decision_note: str = ""
    appeal: Appealed | None = None
    wary: bool = False

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.subject_id}"

    def is_claimed(self, now: datetime) -> bool:
        return self.claimed_by is not None and self.claimed_until is not None and now < self.claimed_until


def status_of(item: Item, now: datetime) -> str:
    return "claimed" if item.state != "decided" and item.is_claimed(now) else item.state


# ── checks ───────────────────────────────────────────────────────────────────────────────────────────────────


def judge(item: Item, found: Sequence[Found], hold: float, reject: float) -> None:
    """Decide it by the worst that the checks found, as far as they can: from ``reject`` on it is rejected, from ``hold`` on a
    person decides, and below it is approved, unless it is reported."""
    item.scores = sorted(found, key=lambda one: (-one.score, one.check))
    worst = item.scores[0] if item.scores else None
    if worst is not None and worst.score >= reject:
        item.state, item.decision, item.reason_code = "decided", "reject", worst.reason_code
    elif (worst is None or worst.score < hold) and item.cause != "reported":
        item.state, item.decision = "decided", "approve"


def add_report(item: Item, note: str, now: datetime) -> bool:
    """Somebody objects to a version that is known. Whether it waits from now on: what was rejected, or waits already, goes on
    as it is."""
    item.note = "\n".join(part for part in (item.note, note) if part)
    if item.state != "decided" or item.decision == "reject":
        return False
    item.state, item.cause, item.since = "open", "reported", now
    item.claimed_by = item.claimed_until = None
    return True


def is_wary(item: Item) -> bool:
    """Whether a later version is looked at by a person, whatever the checks find: so that nobody edits a rejection away."""
    if item.decided_by is None:
        return item.wary
    return item.decision == "reject"


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────


def check_free(item: Item, who: str, now: datetime) -> None:
    """:raises NotPossible: ``moderation.decided``, ``moderation.claimed``, ``moderation.own_decision``."""
    if item.state == "decided":
        raise NotPossible("moderation.decided", "This is decided already.")
    if item.state == "appealed" and item.decided_by == who:
        raise NotPossible("moderation.own_decision", "Another person decides an appeal than the one who was objected to.")
    if item.is_claimed(now) and item.claimed_by != who:
        raise NotPossible("moderation.claimed", "Somebody else has this at the moment.")


def claim(item: Item, who: str, now: datetime, limit: timedelta) -> None:
    """:raises NotPossible: as :func:`check_free`."""
    check_free(item, who, now)
    item.claimed_by, item.claimed_until = who, now + limit


def give_back(item: Item, who: str, now: datetime) -> None:
    """:raises NotPossible: as :func:`check_free`."""
    check_free(item, who, now)
    item.claimed_by = item.claimed_until = None


def decide(item: Item, who: str, now: datetime, decision: str, reason_code: str | None, note: str) -> bool:
    """Whether an appeal has overturned the decision before.

    :raises NotPossible: as :func:`check_free`.
    """
    check_free(item, who, now)
    overturned = item.state == "appealed" and item.decision != decision
    item.state, item.decision, item.decided_by, item.decision_note = "decided", decision, who, note
    item.reason_code = reason_code if decision == "reject" else None
    item.claimed_by = item.claimed_until = None
    return overturned


def can_appeal(item: Item) -> bool:
    return item.state == "decided" and item.decision == "reject" and item.appeal is None


def appeal(item: Item, text: str, now: datetime) -> None:
    """:raises NotPossible: ``moderation.appealed``, ``moderation.not_appealable``."""
    if item.appeal is not None:
        raise NotPossible("moderation.appealed", "This was appealed before.")
    if not can_appeal(item):
        raise NotPossible("moderation.not_appealable", "Only what is rejected can be appealed.")
    item.state, item.since, item.appeal = "appealed", now, Appealed(text, now)
