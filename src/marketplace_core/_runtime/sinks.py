"""All events of a deployment, batch by batch, for one method of a plugin's service."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from marketplace_core import metrics
from marketplace_core._runtime import failpoints
from marketplace_core.errors import Unavailable
from marketplace_core.events import Envelope, Unreadable
from marketplace_core.outbox import AWAY_PAUSE, RELEASE_SECONDS
from marketplace_core.ports import Delivery, Message, Parking, RawMessage, Subscription

__all__ = ["SinkDeliverer"]

log = structlog.get_logger("marketplace.sinks")

#: Pauses before each further try of a batch; the last one repeats.
RETRY_PAUSES = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


class SinkDeliverer:
    """Gives the bus's messages to one sink, in a group of its own.

    A batch that fails is tried again for as long as it takes, whatever it raises, and ends neither the worker nor anybody
    else's reading. What cannot be read is put aside for a person, and the batch goes without it.
    """

    def __init__(
        self,
        name: str,
        group: str,
        act: Callable[[Sequence[Envelope]], Awaitable[None]],
        parking: Parking,
        read: Callable[[str, bytes], Message],
    ) -> None:
        """``name``: ``<plugin>.<sink>``; ``read``: the bus's."""
        plugin = name.split(".", 1)[0]
        self.name, self.group = name, group
        self._act, self._parking, self._read = act, parking, read
        self._alone = Subscription(name, (), self._one)
        self._took = metrics.Outcomes(metrics.HANDLED, plugin, name, known=("applied", "away", "failed"))
        self._events = metrics.SINK_EVENTS.labels(plugin, name)
        self._unreadable = metrics.PUT_ASIDE.labels(plugin, name, "unreadable")

    async def deliver(self, batch: Sequence[Delivery]) -> None:
        """Returns once the sink's method has returned."""
        envelopes = []
        for delivery in batch:
            try:
                envelopes.append(delivery.message.open())
            except Unreadable as error:
                await self._surely(self._park(delivery.message, error))
        failures = 0
        while envelopes:
            failpoints.hit("sink.before")
            try:
                await self._give(envelopes)
                break
            except Exception as error:
                pause = RETRY_PAUSES[min(failures, len(RETRY_PAUSES) - 1)]
                failures += 1
                first = error if failures == 1 else None  # once: it may go on for days
                cause = f"{type(error).__name__}: {error}"
                log.warning("sink.failed", sink=self.name, events=len(envelopes), attempt=failures, cause=cause, exc_info=first)
            await asyncio.sleep(pause)
        failpoints.hit("sink.after")

    async def _give(self, envelopes: Sequence[Envelope]) -> None:
        began, outcome = time.perf_counter(), "failed"
        try:
            await self._act(envelopes)
            outcome = "applied"
            self._events.inc(len(envelopes))
        except (Unavailable, OSError):
            outcome = "away"
            raise
        finally:
            self._took.observe(outcome, time.perf_counter() - began)

    # ── what cannot be read ──────────────────────────────────────────────────────────────────────────────────

    async def put_aside(self, message: RawMessage) -> None:
        """Returns once it is kept."""
        await self._surely(lambda: self._parking.keep(self.group, message))
        self._unreadable.inc()
        log.error("message.unreadable", group=self.group, topic=message.topic, partition=message.partition, error=message.error)

    def _park(self, message: Message, error: Unreadable) -> Callable[[], Awaitable[None]]:
        async def park() -> None:
            # It may be here already: delivered again it keeps what a person asked for.
            if not await self._parking.append(self.name, message):
                await self._parking.park(self.name, message, f"{type(error).__name__}: {error}", 1)
                self._unreadable.inc()

        return park

    async def _surely(self, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            with contextlib.suppress(Unavailable, OSError):
                return await act()
            await asyncio.sleep(AWAY_PAUSE)

    async def _one(self, envelope: Envelope) -> bool:
        await self._give([envelope])
        return True

    async def _reread(self, raw: RawMessage) -> None:
        """:raises Unreadable: it still cannot be read."""
        await self._give([self._read(raw.topic, raw.raw).open()])

    async def release_parked(self) -> None:
        """A loop beside the consumer: carries out what a person asked for of what could not be read."""
        while True:
            try:
                await self._parking.release({self.name: self._alone}, {self.group: self._reread})
                await self._parking.wait([self.name, self.group], RELEASE_SECONDS)
            except (Unavailable, OSError):
                await asyncio.sleep(AWAY_PAUSE)
