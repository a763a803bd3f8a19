"""What a consumer on Redis Streams holds: the keys of its group, its partitions, and what was read of them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from marketplace_core.events import Unreadable
from marketplace_core.ports import Message

__all__ = ["Entry", "Names", "Partition", "message_of"]


class Names:
    """The keys of one group on one bus."""

    def __init__(self, prefix: str, group: str, topics: Sequence[str], partitions: int) -> None:
        self._prefix = prefix
        self.topics = list(topics)
        self.cursors = f"{prefix}:cursor:{group}"
        self.members = f"{prefix}:members:{group}"
        self.leases = [f"{prefix}:lease:{group}:{partition}" for partition in range(partitions)]

    def streams(self, partition: int) -> list[str]:
        return [f"{self._prefix}:{topic}:{partition}" for topic in self.topics]


class Entry(NamedTuple):
    """``at``: when it was read, by the clock of the event loop."""

    stream: str
    id: str
    fields: dict[bytes, bytes]
    at: float

    @property
    def topic(self) -> str:
        return self.stream.rsplit(":", 2)[1]


def message_of(topic: str, fields: Mapping[bytes, bytes]) -> Message:
    """An entry's message. :raises Unreadable: it is none of ours, or none that a store could keep."""
    try:
        type_, key, envelope = (fields[name].decode() for name in (b"t", b"k", b"e"))
        sequence, writer = int(fields[b"s"]), fields.get(b"w", b"").decode()
    except KeyError as error:
        raise Unreadable(f"it has no field {error}") from error
    except ValueError as error:
        raise Unreadable(str(error)) from error
    if not 0 <= sequence < 2**63:
        raise Unreadable("its sequence is out of range")
    if "\0" in type_ + key + envelope + writer:
        raise Unreadable("there is a zero byte in it")
    return Message(topic, type_, key, sequence, envelope, writer)


class Partition:
    """One partition that is held: how far its streams were read, and what of that is still to be delivered."""

    def __init__(self, number: int, token: str, positions: dict[str, str]) -> None:
        self.number = number
        self.token = token
        self.positions = positions
        self.waiting: deque[Entry] = deque()
        self.stirred = asyncio.Event()
        self.leaving = False
        self.lost = False
        self.task: asyncio.Task[None] | None = None

    def leave(self) -> None:
        """Stop after what is being delivered."""
        self.leaving = True
        self.stirred.set()
