"""Webhooks that wait to be delivered: written with the operation that causes them, gone after a 2xx."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any

import msgspec
from msgspec import Struct

from marketplace_simulators.clock import Clock
from marketplace_simulators.faults import Faults, WebhookFault
from marketplace_simulators.store import Store

__all__ = ["Event", "Outbox", "Queued", "Waiting", "trace"]

#: The ``traceparent`` of the request that is being answered; its webhooks bring it back.
trace: ContextVar[str] = ContextVar("trace", default="")

_FIRST_RETRY = 0.25
_LAST_RETRY = 10.0


class Event(Struct, frozen=True):
    """Something to tell the marketplace. Those of one ``subject`` go in order. ``cause`` is the operation."""

    cause: str
    subject: str
    type: str
    data: dict[str, Any]
    echo: bool = False
    """Send a second copy, after the subject's following webhook."""


class Queued(Struct):
    """What became of an operation's events: rows to send after its answer, and rows to send before."""

    after: list[int]
    before: list[int]


class Waiting(Struct, frozen=True):
    """One delivery that is due."""

    seq: int
    id: str
    subject: str
    body: bytes
    attempts: int
    trace: str


class Outbox:
    """The table of deliveries, and what the running process knows of them.

    ``late`` is the delay of the fault of that name, and the longest that an ``out_of_order`` one is held for
    another to overtake it.
    """

    def __init__(self, store: Store, clock: Clock, faults: Faults, *, late: float, enabled: bool) -> None:
        self._store = store
        self._clock = clock
        self._faults = faults
        self._late = late
        self._enabled = enabled
        self._withheld: set[int] = set()
        self._in_flight: dict[int, str] = {}
        self._attempts: dict[int, asyncio.Event] = {}
        self.wake = asyncio.Event()

    # -- written together with the operation

    def add(self, events: Iterable[Event], *, wait: float) -> Queued:
        """Queue ``events``, due ``wait`` seconds from now. Those in ``after`` stay until `release`."""
        queued = Queued([], [])
        for event in events if self._enabled else ():
            self._add(event, wait, queued)
        self._withheld.update(queued.after)
        self._attempts.update((seq, asyncio.Event()) for seq in queued.before)
        return queued

    def _add(self, event: Event, wait: float, queued: Queued) -> None:
        kinds: tuple[WebhookFault, ...] = ("lost", "twice", "late", "out_of_order", "before_answer")
        strikes = {kind for kind in kinds if self._faults.take_for_webhook(event.cause, kind)}
        if "lost" in strikes:
            return
        message = f"msg_{secrets.token_hex(12)}"
        body = msgspec.json.encode({"type": event.type, "id": message, "timestamp": self._clock.text(), "data": event.data})
        early = "before_answer" in strikes
        due = time.time() + (0 if early else wait) + (self._late if "late" in strikes else 0)
        held = self._store.all("SELECT seq FROM webhooks WHERE subject = ? AND swap = 1", event.subject)
        first = self._insert(message, event.subject, body, due)
        (queued.before if early else queued.after).append(first)
        for row in held:
            self._store.execute("UPDATE webhooks SET swap = 0, behind = ?, due = ? WHERE seq = ?", first, due, row["seq"])
        if "out_of_order" in strikes and not held:
            self._swap(first, event.subject)
        if "twice" in strikes:
            queued.after.append(self._insert(message, event.subject, body, due))
        if event.echo:
            echo = self._insert(message, event.subject, body, due)
            queued.after.append(echo)
            self._hold(echo)

    def _insert(self, message: str, subject: str, body: bytes, due: float) -> int:
        row = self._store.execute(
            "INSERT INTO webhooks (id, subject, body, due, trace) VALUES (?, ?, ?, ?, ?)",
            message, subject, body, due, trace.get(),
        )  # fmt: skip
        assert row.lastrowid is not None  # noqa: S101 - for the type checker: an INSERT has one
        return row.lastrowid

    def _swap(self, seq: int, subject: str) -> None:
        """Let ``seq`` overtake the subject's preceding webhook if that still waits, else be overtaken."""
        before = self._store.all(
            "SELECT seq FROM webhooks WHERE subject = ? AND seq < ? AND behind IS NULL ORDER BY seq DESC",
            subject,
            seq,
        )
        waiting = next((row["seq"] for row in before if row["seq"] not in self._in_flight), None)
        if waiting is None:
            self._hold(seq)
        else:
            self._store.execute("UPDATE webhooks SET behind = ? WHERE seq = ?", seq, waiting)

    def _hold(self, seq: int) -> None:
        self._store.execute("UPDATE webhooks SET swap = 1, due = due + ? WHERE seq = ?", self._late, seq)

    # -- once the operation is committed

    def release(self, queued: Queued) -> None:
        """The operation's answer is out (or nobody waits for it): its webhooks may go."""
        self._withheld.difference_update(queued.after)
        self.wake.set()

    async def attempted(self, queued: Queued) -> None:
        """Until each of those before the answer has been tried once."""
        self.wake.set()
        for seq in queued.before:
            if event := self._attempts.get(seq):
                await event.wait()

    def pending(self) -> int:
        row = self._store.one("SELECT count(*) AS n FROM webhooks")
        return 0 if row is None else int(row["n"])

    # -- for the sender

    def take(self) -> list[Waiting]:
        """What may be sent now, at most one of a subject; in flight until `delivered` or `failed`."""
        rows = self._store.all(
            "SELECT seq, id, subject, body, attempts, trace FROM webhooks AS w WHERE due <= ? AND NOT EXISTS"
            " (SELECT 1 FROM webhooks AS b WHERE b.seq = w.behind) ORDER BY due, seq LIMIT 500",
            time.time(),
        )
        busy = set(self._in_flight.values())
        taken: list[Waiting] = []
        for waiting in msgspec.convert(rows, list[Waiting]):
            if waiting.subject not in busy and waiting.seq not in self._withheld:
                busy.add(waiting.subject)
                self._in_flight[waiting.seq] = waiting.subject
                taken.append(waiting)
        return taken

    def next_due(self) -> float | None:
        """Seconds until something more becomes due by itself."""
        now = time.time()
        row = self._store.one("SELECT min(due) AS due FROM webhooks WHERE due > ?", now)
        return None if row is None or row["due"] is None else float(row["due"]) - now

    def delivered(self, waiting: Waiting) -> None:
        self._store.execute("DELETE FROM webhooks WHERE seq = ?", waiting.seq)
        self._settled(waiting)

    def failed(self, waiting: Waiting) -> None:
        pause = min(_FIRST_RETRY * 2 ** min(waiting.attempts, 16), _LAST_RETRY)
        jitter = 1 + secrets.randbelow(250) / 1000
        self._store.execute(
            "UPDATE webhooks SET attempts = attempts + 1, due = ? WHERE seq = ?",
            time.time() + pause * jitter,
            waiting.seq,
        )
        self._settled(waiting)

    def _settled(self, waiting: Waiting) -> None:
        self._in_flight.pop(waiting.seq, None)
        if event := self._attempts.pop(waiting.seq, None):
            event.set()
        self.wake.set()
