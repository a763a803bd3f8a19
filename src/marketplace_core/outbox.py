"""Event delivery: from the outbox of a committed unit of work to the handlers of other plugins.

Two loops of a worker. The *relay* moves outbox rows to the bus and to the job queue and marks them afterwards, so a crash
repeats and never loses. The *deliverer* gives each event to its handlers in order per aggregate; a handler applies
an event once (:meth:`marketplace_core.ports.Units.apply`), and one that keeps failing parks its key. A key whose handler
waits for somebody who is away is put aside likewise, and goes on by itself, so that others are not held up by it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import structlog
from msgspec import Struct
from msgspec.structs import replace

from marketplace_core import _failpoints, metrics, tracing
from marketplace_core.errors import Unavailable
from marketplace_core.events import Envelope, decode_envelope
from marketplace_core.ports import Bus, Delivery, KeyParked, Message

__all__ = ["Deliverer", "JobQueue", "Lanes", "Outbox", "Parked", "Parking", "Relay", "Subscription"]

log = structlog.get_logger("marketplace.outbox")

BATCH = 500
POLL_SECONDS = 0.5
#: Pauses before each further try of a handler; after the last the key is parked.
RETRY_PAUSES = (0.05, 0.2, 0.5, 1.0)
#: Pause while a server is away: the event is not at fault and waits as long as it takes.
AWAY_PAUSE = 0.5
#: So often a handler finds somebody away before its key is put aside.
AWAY_TRIES = 2
MOST_REMEMBERED = 10_000
_NO_TRACES: Mapping[str, str] = {}


# ── what a database offers ───────────────────────────────────────────────────────────────────────────────────


class OutboxRow(Struct, frozen=True):
    id: int
    kind: str
    topic: str
    type: str
    key: str
    sequence: int | None
    event_id: str
    payload: str
    trace: str = ""


class Lanes(ABC):
    """The lanes that this relay owns while its session lives. Nobody else sends their rows."""

    @abstractmethod
    async def pending(self, limit: int) -> list[OutboxRow]:
        """The oldest rows of the owned lanes that are not marked, in order."""

    @abstractmethod
    async def mark(self, ids: Sequence[int]) -> None:
        """These have arrived: not pending any more while this session lives, and stored at the latest by an idle ``wait``."""

    @abstractmethod
    async def wait(self, seconds: float) -> None:
        """Until something is committed, at most ``seconds``; also tries to take lanes that became free."""


class Outbox(ABC):
    @abstractmethod
    def lanes(self) -> AbstractAsyncContextManager[Lanes]: ...

    @abstractmethod
    async def backlog(self) -> int:
        """How many rows wait to be sent."""


class JobQueue(ABC):
    @abstractmethod
    async def put(self, jobs: Sequence[tuple[str, str, str]], traces: Mapping[str, str] = _NO_TRACES) -> None:
        """``(job, id, arguments as JSON)`` each; one id is queued once. ``traces``: by id, the ``traceparent`` of some."""

    @abstractmethod
    async def backlog(self, now: datetime) -> int:
        """How many jobs are due or running."""


class Relay:
    """Moves one database's outbox on."""

    def __init__(self, name: str, outbox: Outbox, bus: Bus, jobs: JobQueue, topics: frozenset[str]) -> None:
        """``topics`` are those that the whole deployment subscribes to; events of others are only marked."""
        self.name = name
        self._outbox, self._bus, self._jobs, self._topics = outbox, bus, jobs, topics
        self._relayed = {kind: metrics.RELAYED.labels(name, kind) for kind in ("event", "job")}

    async def run(self) -> None:
        while True:
            try:
                async with self._outbox.lanes() as lanes:
                    while True:
                        if await self._round(lanes) < BATCH:
                            await lanes.wait(POLL_SECONDS)
            except (Unavailable, OSError, ConnectionError) as error:
                log.warning("relay.waiting", database=self.name, cause=type(error).__name__)
                await asyncio.sleep(AWAY_PAUSE)

    async def _round(self, lanes: Lanes) -> int:
        rows = await lanes.pending(BATCH)
        if not rows:
            return 0
        _failpoints.hit("relay.read")
        traced = [row for row in rows if tracing.recorded(row.trace)]
        spans = [span for row in traced if (span := tracing.begin(f"relay {row.type}", parent=row.trace)) is not None]
        messages = [
            Message(row.topic, row.type, row.key, row.sequence or 0, row.payload)
            for row in rows
            if row.kind == "event" and row.topic in self._topics
        ]
        if messages:
            await self._bus.publish(messages)
        jobs = [(row.type, row.event_id, row.payload) for row in rows if row.kind == "job"]
        if jobs:
            await self._jobs.put(jobs, {row.event_id: row.trace for row in rows if row.kind == "job" and row.trace})
        _failpoints.hit("relay.published")
        await lanes.mark([row.id for row in rows])
        _failpoints.hit("relay.marked")
        for span in spans:
            span.end()
        self._relayed["event"].inc(len(messages))
        self._relayed["job"].inc(len(jobs))
        return len(rows)


# ── handlers ─────────────────────────────────────────────────────────────────────────────────────────────────


class Subscription(Struct, frozen=True):
    """A handler and the event types it is for. ``name`` is ``<plugin>.<method>``, the handler's name in the inbox."""

    name: str
    types: tuple[str, ...]
    apply: Callable[[Envelope], Awaitable[bool]]

    @property
    def plugin(self) -> str:
        return self.name.split(".", 1)[0]


async def apply_event(subscription: Subscription, envelope: Envelope) -> bool:
    """One try, counted and traced. Raises what the handler does."""
    took, began = _took(subscription), time.perf_counter()
    outcome = "failed"
    try:
        about = {"messaging.destination.name": envelope.topic, "messaging.message.id": envelope.id}
        with tracing.span(f"apply {subscription.name}", "consumer", envelope.trace, about) as trace:
            if trace != envelope.trace:
                envelope = replace(envelope, trace=trace)
            applied = await subscription.apply(envelope)
        outcome = "applied" if applied else "repeated"
        return applied
    except KeyParked:
        outcome = "waiting"
        raise
    except (Unavailable, OSError):
        outcome = "away"
        raise
    finally:
        took.observe(outcome, time.perf_counter() - began)


def _took(subscription: Subscription) -> metrics.Outcomes:
    found = _counted.get(subscription.name)
    if found is None:
        known = ("applied", "repeated", "waiting", "away", "failed")
        found = metrics.Outcomes(metrics.HANDLED, subscription.plugin, subscription.name, known=known)
        _counted[subscription.name] = found
    return found


_counted: dict[str, metrics.Outcomes] = {}


class Parked(Struct, frozen=True):
    """An event that its handler could not apply. ``waiting`` events of the same key stand behind it.

    ``retry_at``: when it is applied again by itself, where somebody was away; None: it waits for a person.
    """

    id: str
    handler: str
    key: str
    type: str
    sequence: int
    error: str
    attempts: int
    at: datetime
    waiting: int
    retry_at: datetime | None = None


class Parking(ABC):
    """Keys that wait, for a person or for somebody who is away, in the same store as the handler's inbox."""

    @abstractmethod
    async def park(self, handler: str, envelope: Envelope, error: str, attempts: int) -> None:
        """Let the key wait for a person, this event first."""

    @abstractmethod
    async def defer(self, handler: str, envelope: Envelope, error: str) -> None:
        """Let the key wait for its next try, this event first unless earlier ones wait; that one then counts.

        The pauses between the tries of a key grow.
        """

    @abstractmethod
    async def backlog(self, handlers: Sequence[str]) -> int:
        """How many keys will go on by themselves."""

    @abstractmethod
    async def append(self, handler: str, envelope: Envelope) -> bool:
        """Queue behind the parked one. False: the key is free again, so apply it now."""

    @abstractmethod
    async def list(self, handlers: Sequence[str]) -> list[Parked]: ...

    @abstractmethod
    async def request(self, id_: str, *, drop: bool) -> bool:
        """Ask the worker to replay the event, or to drop it, and then all behind it. False: no such event."""

    @abstractmethod
    async def release(self, handlers: Mapping[str, Subscription]) -> int:
        """Carry out what was requested and try what is due, in order per key; gives how many events went on.

        A key for which somebody is still away waits for its next try, and no other key waits for it.
        """


class Deliverer:
    """Gives the bus's messages to one group's handlers."""

    def __init__(self, group: str, subscriptions: Sequence[Subscription], parking: Parking) -> None:
        self.group = group
        self._parking = parking
        #: Handlers with keys that wait, as far as this process knows: what comes behind need not be tried.
        self._waiting: set[tuple[str, str]] = set()
        self._by_name = {subscription.name: subscription for subscription in subscriptions}
        self._put_aside = {
            (each.name, reason): metrics.PUT_ASIDE.labels(each.plugin, each.name, reason)
            for each in subscriptions
            for reason in ("parked", "deferred")
        }
        for each in subscriptions:
            _took(each)
        self._by_type: dict[str, list[Subscription]] = {}
        for subscription in subscriptions:
            for type_ in subscription.types:
                self._by_type.setdefault(type_, []).append(subscription)

    @property
    def topics(self) -> list[str]:
        return sorted({type_.split(".", 1)[0] for type_ in self._by_type})

    async def deliver(self, delivery: Delivery) -> None:
        """Returns once every handler has applied the event, or has parked it."""
        message = delivery.message
        subscriptions = self._by_type.get(message.type)
        if not subscriptions:
            return
        envelope = decode_envelope(message.envelope, message.sequence)
        for subscription in subscriptions:
            _failpoints.hit("handler.before")
            await self._apply(subscription, envelope)
            _failpoints.hit("handler.after")

    async def _apply(self, subscription: Subscription, envelope: Envelope) -> None:
        failures = away = 0
        place = (subscription.name, f"{envelope.topic}:{envelope.key}")
        while True:
            try:
                if place in self._waiting:
                    raise KeyParked(place[1])
                await apply_event(subscription, envelope)
                return
            except (Unavailable, OSError) as error:
                away += 1
                log.warning("handler.waiting", handler=subscription.name, attempt=away, cause=type(error).__name__)
                if away >= AWAY_TRIES and await self._defer(subscription, envelope, error):
                    if len(self._waiting) >= MOST_REMEMBERED:
                        self._waiting.clear()
                    self._waiting.add(place)
                    return
                await asyncio.sleep(AWAY_PAUSE)
            except KeyParked:
                if await self._append(subscription, envelope):
                    return
                self._waiting.discard(place)
            except Exception as error:
                failures += 1
                log.warning(
                    "handler.failed",
                    handler=subscription.name,
                    type=envelope.type,
                    event_id=envelope.id,
                    attempt=failures,
                    exc_info=error,
                )
                if failures > len(RETRY_PAUSES):
                    await self._park(subscription, envelope, error, failures)
                    return
                await asyncio.sleep(RETRY_PAUSES[failures - 1])

    async def _defer(self, subscription: Subscription, envelope: Envelope, error: Exception) -> bool:
        """False: it is our own store that is away."""
        with contextlib.suppress(Unavailable, OSError):
            await self._parking.defer(subscription.name, envelope, f"{type(error).__name__}: {error}")
            self._put_aside[subscription.name, "deferred"].inc()
            return True
        return False

    async def _append(self, subscription: Subscription, envelope: Envelope) -> bool:
        while True:
            with contextlib.suppress(Unavailable, OSError):
                return await self._parking.append(subscription.name, envelope)
            await asyncio.sleep(AWAY_PAUSE)

    async def _park(self, subscription: Subscription, envelope: Envelope, error: Exception, attempts: int) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                await self._parking.park(subscription.name, envelope, f"{type(error).__name__}: {error}", attempts)
                self._put_aside[subscription.name, "parked"].inc()
                return
            await asyncio.sleep(AWAY_PAUSE)

    async def release_parked(self) -> None:
        """A loop beside the consumer: carries out replays and drops that a person asked for, and what is due."""
        while True:
            with contextlib.suppress(Unavailable):
                await self._parking.release(self._by_name)
            await asyncio.sleep(1.0)
