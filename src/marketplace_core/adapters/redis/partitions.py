"""What a consumer on Redis Streams holds: the keys of its group, its partitions, and what was read of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from marketplace_core.adapters import _serving
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

    @property
    def raw(self) -> bytes:
        return msgspec.msgpack.encode(self.fields)

    def message(self) -> Message:
        return message_of(self.topic, self.fields)


def message_of(topic: str, fields: Mapping[bytes, bytes]) -> Message:
    """An entry's message. :raises Unreadable: it is none of ours, or none that a store could keep."""
    try:
        type_, key, envelope = (fields[name].decode() for name in (b"t", b"k", b"e"))
        sequence, writer = int(fields[b"s"]), fields.get(b"w", b"").decode()
    except KeyError as error:
        raise Unreadable(f"it has no field {error}") from error
    except ValueError as error:
        raise Unreadable(str(error)) from error
    return _serving.storable(Message(topic, type_, key, sequence, envelope, writer))


class Partition(_serving.Partition[Entry]):
    """``token``: that of its lease. ``positions``: how far its streams were read."""

    def __init__(self, number: int, token: str, positions: dict[str, str]) -> None:
        super().__init__(number)
        self.token = token
        self.positions = positions
