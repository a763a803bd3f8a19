"""Event delivery: from the outbox of a committed unit of work to the handlers of other plugins.

Two loops of a worker. The *relay* moves outbox rows to the bus and to the job queue and marks them afterwards, so a crash
repeats and never loses. The *deliverer* gives each event to its handlers in order per aggregate; a handler applies
an event once (:meth:`marketplace_core.ports.Units.apply`), and one that keeps failing parks its key. A key whose handler
waits for somebody who is away is put aside likewise, and goes on by itself, so that others are not held up by it. What cannot
be read is put aside as it came: with its key, where one can tell which that is, and else by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import structlog
from msgspec.structs import replace

from marketplace_core import metrics, tracing
from marketplace_core._runtime import failpoints
from marketplace_core.errors import Unavailable
from marketplace_core.events import Envelope, Unreadable
from marketplace_core.ports.bus import Bus, Delivery, Message, RawMessage
from marketplace_core.ports.outbox import JobQueue, Lanes, Outbox
from marketplace_core.ports.parking import Parked, Parking, Subscription
from marketplace_core.ports.units import KeyParked

__all__ = ["Deliverer", "JobQueue", "Lanes", "Outbox", "Parked", "Parking", "Relay", "Subscription", "apply_event"]

log = structlog.get_logger("marketplace.outbox")

BATCH = 500
#: What is committed is told of; this is for what was not heard.
POLL_SECONDS = 5.0
#: Pauses before each further try of a handler; after the last the key is parked.
RETRY_PAUSES = (0.05, 0.2, 0.5, 1.0)
#: Pause while a server is away: the event is not at fault and waits as long as it takes.
AWAY_PAUSE = 0.5
#: So often a handler finds somebody away before its key is put aside.
AWAY_TRIES = 2
MOST_REMEMBERED = 10_000
#: So long nobody looks whether something that waits may go on, unless it is told or due.
RELEASE_SECONDS = 30.0


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
        failpoints.hit("relay.read")
        traced = [row for row in rows if tracing.recorded(row.trace)]
        spans = [span for row in traced if (span := tracing.begin(f"relay {row.type}", parent=row.trace)) is not None]
        messages = [
            Message(row.topic, row.type, row.key, row.sequence or 0, row.payload, row.writer)
            for row in rows
            if row.kind == "event" and row.topic in self._topics
        ]
        if messages:
            await self._bus.publish(messages)
        jobs = [(row.type, row.event_id, row.payload) for row in rows if row.kind == "job"]
        if jobs:
            await self._jobs.put(jobs, {row.event_id: row.trace for row in rows if row.kind == "job" and row.trace})
        failpoints.hit("relay.published")
        await lanes.mark([row.id for row in rows])
        failpoints.hit("relay.marked")
        for span in spans:
            span.end()
        self._relayed["event"].inc(len(messages))
        self._relayed["job"].inc(len(jobs))
        return len(rows)


# ── handlers ─────────────────────────────────────────────────────────────────────────────────────────────────


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


class Deliverer:
    """Gives the bus's messages to one group's handlers."""

    def __init__(
        self,
        group: str,
        subscriptions: Sequence[Subscription],
        parking: Parking,
        read: Callable[[str, bytes], Message],
    ) -> None:
        """``read``: the bus's."""
        self.group = group
        self._parking = parking
        self._read = read
        #: Handlers with keys that wait, as far as this process knows: what comes behind need not be tried.
        self._waiting: set[tuple[str, str]] = set()
        self._by_name = {subscription.name: subscription for subscription in subscriptions}
        self._put_aside = {
            (each.name, reason): metrics.PUT_ASIDE.labels(each.plugin, each.name, reason)
            for each in subscriptions
            for reason in ("parked", "deferred", "unreadable")
        }
        #: By themselves: of no handler.
        self._unreadable = metrics.PUT_ASIDE.labels(group.split(".", 1)[0], group, "unreadable")
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
        opened = _opened(message)
        for subscription in subscriptions:
            failpoints.hit("handler.before")
            await self._apply(subscription, message, opened)
            failpoints.hit("handler.after")

    async def put_aside(self, message: RawMessage) -> None:
        """Returns once it is kept: of what cannot be read one cannot tell who waits for it."""
        while True:
            with contextlib.suppress(Unavailable, OSError):
                await self._parking.keep(self.group, message)
                break
            await asyncio.sleep(AWAY_PAUSE)
        self._unreadable.inc()
        log.error("message.unreadable", group=self.group, topic=message.topic, partition=message.partition, error=message.error)

    async def _reread(self, raw: RawMessage) -> None:
        """:raises Unreadable: it still cannot be read, or a handler has gone on without it."""
        message = self._read(raw.topic, raw.raw)
        opened = _opened(message)
        for subscription in self._by_type.get(message.type, ()):
            if not await self._apply(subscription, message, opened):
                last = await self._parking.seen(subscription.name, message)
                if last > message.sequence:
                    raise Unreadable(
                        f"{subscription.name} has gone on to event {last} of {message.key}, and this is event"
                        f" {message.sequence}; see to it by hand, and drop it"
                    )

    async def _apply(self, subscription: Subscription, message: Message, opened: Envelope | Unreadable) -> bool:
        """Whether the handler has applied it, or will: it may have seen it, or a later one of its key, before."""
        failures = away = 0
        place = (subscription.name, f"{message.topic}:{message.key}@{message.writer}")
        while True:
            try:
                if place in self._waiting:
                    raise KeyParked(place[1])
                if isinstance(opened, Unreadable):
                    raise opened
                return await apply_event(subscription, opened)
            except Unreadable as error:
                # It may be here already: delivered again it keeps what a person asked for.
                if not await self._append(subscription, message):
                    await self._park(subscription, message, error, 1, "unreadable")
                return True
            except (Unavailable, OSError) as error:
                away += 1
                log.warning("handler.waiting", handler=subscription.name, attempt=away, cause=type(error).__name__)
                if away >= AWAY_TRIES and await self._defer(subscription, message, error):
                    if len(self._waiting) >= MOST_REMEMBERED:
                        self._waiting.clear()
                    self._waiting.add(place)
                    return True
                await asyncio.sleep(AWAY_PAUSE)
            except KeyParked:
                if await self._append(subscription, message):
                    return True
                self._waiting.discard(place)
            except Exception as error:
                failures += 1
                log.warning(
                    "handler.failed",
                    handler=subscription.name,
                    type=message.type,
                    key=message.key,
                    sequence=message.sequence,
                    attempt=failures,
                    exc_info=error,
                )
                if failures > len(RETRY_PAUSES):
                    await self._park(subscription, message, error, failures, "parked")
                    return True
                await asyncio.sleep(RETRY_PAUSES[failures - 1])

    async def _defer(self, subscription: Subscription, message: Message, error: Exception) -> bool:
        """False: it is our own store that is away."""
        with contextlib.suppress(Unavailable, OSError):
            await self._parking.defer(subscription.name, message, f"{type(error).__name__}: {error}")
            self._put_aside[subscription.name, "deferred"].inc()
            return True
        return False

    async def _append(self, subscription: Subscription, message: Message) -> bool:
        while True:
            with contextlib.suppress(Unavailable, OSError):
                return await self._parking.append(subscription.name, message)
            await asyncio.sleep(AWAY_PAUSE)

    async def _park(self, subscription: Subscription, message: Message, error: Exception, attempts: int, reason: str) -> None:
        while True:
            with contextlib.suppress(Unavailable):
                await self._parking.park(subscription.name, message, f"{type(error).__name__}: {error}", attempts)
                self._put_aside[subscription.name, reason].inc()
                return
            await asyncio.sleep(AWAY_PAUSE)

    async def release_parked(self) -> None:
        """A loop beside the consumer: carries out replays and drops that a person asked for, and what is due."""
        while True:
            try:
                await self._parking.release(self._by_name, {self.group: self._reread})
                await self._parking.wait([*self._by_name, self.group], RELEASE_SECONDS)
            except Unavailable:
                await asyncio.sleep(AWAY_PAUSE)


def _opened(message: Message) -> Envelope | Unreadable:
    try:
        return message.open()
    except Unreadable as error:
        return error
