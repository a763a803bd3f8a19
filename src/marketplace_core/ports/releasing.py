"""What parking has in common on any store: how keys that wait go on, in order, and what is kept of whom.

For adapters: one derives its parking from :class:`ReleasingParking`, which asks it for rows and tells it what became of them;
its units call :func:`place_of` and :func:`is_replaying` where they note that a handler has seen an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar

from msgspec import Struct

from marketplace_core.errors import Unavailable
from marketplace_core.events import Envelope, Unreadable, decode_envelope
from marketplace_core.outbox import apply_event
from marketplace_core.ports.bus import Message, RawMessage
from marketplace_core.ports.parking import Parking, Reader, Subscription

__all__ = [
    "DEFER_PAUSES",
    "Head",
    "Kept",
    "ReleasingParking",
    "id_of",
    "id_of_unreadable",
    "is_replaying",
    "pause_after",
    "place_of",
    "replaying",
]

#: Seconds before each further try of a key for which somebody is away; the last one repeats.
DEFER_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)
#: Keys that are released at a time: each may wait for the time-out of who is away.
RELEASE_AT_ONCE = 8
_NONE: Mapping[str, Reader] = {}
_replaying: ContextVar[bool] = ContextVar("marketplace_replaying", default=False)


class Head(Struct, frozen=True):
    """The first event of a key that waits, as it was parked. ``key`` is its place in the inbox; ``type`` None: of a release
    that did not keep it. ``requested``: ``replay`` or ``drop``, what a person asked for."""

    id: str
    key: str
    sequence: int
    type: str | None
    envelope: str
    writer: str
    requested: str | None

    def open(self) -> Envelope:
        """:raises Unreadable:"""
        envelope = decode_envelope(self.envelope, self.sequence, self.writer)
        place = f"{envelope.topic}:{envelope.key}"
        if self.type not in (None, envelope.type) or self.key not in (place, f"{place}@{envelope.writer}"):
            raise Unreadable(f"the envelope is of {envelope.type} {envelope.key}")
        return envelope


class Kept(Struct, frozen=True):
    """A message that nobody of the group ``reader`` could read, and what a person asked for."""

    id: str
    reader: str
    topic: str
    partition: int
    raw: bytes
    error: str
    requested: str


class ReleasingParking(Parking):
    """Parking that releases by itself, over a store's rows. Each method below is one transaction, or a part of one."""

    # ── what the store does ──────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def ready(self, handlers: Sequence[str]) -> Sequence[tuple[str, str]]:
        """Handler and key of each whose head is due, or of which an event was asked for; what is due longest first."""

    @abstractmethod
    async def head(self, handler: str, key: str) -> Head | None: ...

    @abstractmethod
    async def pass_over(self, handler: str, head: Head) -> None:
        """The handler goes on as if it had seen the event; never backwards."""

    @abstractmethod
    async def forget(self, id_: str) -> None:
        """The parked event is gone."""

    @abstractmethod
    async def failed_again(self, id_: str, error: str) -> None:
        """It waits for a person once more, with one attempt more."""

    @abstractmethod
    async def wait_longer(self, handler: str, key: str, error: str) -> None:
        """Somebody is away still: the head is due :func:`pause_after` its attempts, which become one more.

        Not where a person asked for it: that stays so, and is tried again in the next round.
        """

    @abstractmethod
    async def unpark(self, handler: str, key: str) -> bool:
        """The key is free. False: an event of it came meanwhile, and waits."""

    @abstractmethod
    async def requested(self, groups: Sequence[str]) -> Sequence[Kept]:
        """What a person has asked to be tried again or dropped of what these could not read, in the order in which it came."""

    @abstractmethod
    async def still_unreadable(self, id_: str, error: str) -> None:
        """It waits for a person once more, with one attempt more."""

    @abstractmethod
    async def forget_unreadable(self, id_: str) -> None: ...

    # ── how it goes on ───────────────────────────────────────────────────────────────────────────────────────

    async def release(self, handlers: Mapping[str, Subscription], readers: Mapping[str, Reader] = _NONE) -> int:
        return await self._release_keys(handlers) + await self._reread(readers)

    async def _reread(self, readers: Mapping[str, Reader]) -> int:
        """One after the other, in the order in which they came."""
        done = 0
        for kept in await self.requested(list(readers)) if readers else ():
            if kept.requested == "replay":
                try:
                    await readers[kept.reader](RawMessage(kept.topic, kept.partition, kept.raw, kept.error))
                except (Unavailable, OSError):
                    return done  # asked for still, and tried again in the next round
                except Exception as error:
                    told = str(error) if isinstance(error, Unreadable) else f"{type(error).__name__}: {error}"
                    await self.still_unreadable(kept.id, told)
                    continue
            await self.forget_unreadable(kept.id)
            done += 1
        return done

    async def _release_keys(self, handlers: Mapping[str, Subscription]) -> int:
        keys = await self.ready(list(handlers))
        released = 0
        for begin in range(0, len(keys), RELEASE_AT_ONCE):
            some = keys[begin : begin + RELEASE_AT_ONCE]
            tries = (self._try_key(handlers[handler], key) for handler, key in some)
            for end in await asyncio.gather(*tries, return_exceptions=True):
                if isinstance(end, BaseException):
                    raise end
                released += end
        return released

    async def _try_key(self, subscription: Subscription, key: str) -> int:
        try:
            return await self._release_key(subscription, key)
        except (Unavailable, OSError) as error:
            await self.wait_longer(subscription.name, key, f"{type(error).__name__}: {error}")
            return 0

    async def _release_key(self, subscription: Subscription, key: str) -> int:
        """Replay the key's events in order until none is left, or one fails again and keeps the key parked."""
        released = 0
        while True:
            head = await self.head(subscription.name, key)
            if head is None:
                if await self.unpark(subscription.name, key):
                    return released
                continue
            if head.requested == "drop":
                await self.pass_over(subscription.name, head)
            else:
                try:
                    with replaying():
                        await apply_event(subscription, head.open())
                except (Unavailable, OSError):
                    raise
                except Exception as error:
                    await self.failed_again(head.id, f"{type(error).__name__}: {error}")
                    return released
            await self.forget(head.id)
            released += 1


def pause_after(attempts: int) -> float:
    """Seconds until a key is tried again for which somebody was away so many times before."""
    return DEFER_PAUSES[min(attempts, len(DEFER_PAUSES) - 1)]


@contextlib.contextmanager
def replaying() -> Iterator[None]:
    """A parked event is being replayed: only then may its key pass."""
    token = _replaying.set(True)
    try:
        yield
    finally:
        _replaying.reset(token)


def is_replaying() -> bool:
    return _replaying.get()


def place_of(event: Envelope | Message, counted: str | None) -> str:
    """The key of the inbox row that counts this event: of a second writer of an aggregate it is one of its own.

    ``counted``: the writer in the row of the aggregate, "" of a release that did not keep it; None: there is no row.
    """
    place = f"{event.topic}:{event.key}"
    if counted is None or counted == event.writer or "" in (counted, event.writer):
        return place
    return f"{place}@{event.writer}"


def id_of(handler: str, message: Message) -> str:
    """Under which it waits for this handler: by the id of the event, where one can tell."""
    try:
        return f"{handler}:{message.open().id}"
    except Unreadable:
        return f"{handler}:{_fingerprint(message.envelope.encode())}"


def id_of_unreadable(group: str, message: RawMessage) -> str:
    return f"{group}:{_fingerprint(message.topic.encode() + message.raw)}"


def _fingerprint(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=16).hexdigest()
