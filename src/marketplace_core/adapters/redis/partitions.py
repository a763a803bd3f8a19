"""What a consumer on Redis Streams holds: the keys of its group, its partitions, and what was read of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

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


#: What an entry of ours has, in the order in which it is published.
_NAMES = [b"t", b"k", b"s", b"e", b"w"]


class Entry(Struct, frozen=True, gc=False):
    """``parts``: names and values in turn, as Redis answers. ``at``: when it was read, by the clock of the event loop."""

    stream: str
    topic: str
    id: str
    parts: Sequence[bytes]
    at: float

    @property
    def fields(self) -> dict[bytes, bytes]:
        return dict(zip(self.parts[::2], self.parts[1::2], strict=True))

    @property
    def raw(self) -> bytes:
        return msgspec.msgpack.encode(self.fields)

    def message(self) -> Message:
        """:raises Unreadable: it is none of ours."""
        parts = self.parts
        if parts[::2] != _NAMES:
            return message_of(self.topic, self.fields)
        try:
            type_, key, envelope, writer = parts[1].decode(), parts[3].decode(), parts[7].decode(), parts[9].decode()
            sequence = int(parts[5])
        except ValueError as error:
            raise Unreadable(str(error)) from error
        return _serving.storable(Message(self.topic, type_, key, sequence, envelope, writer))


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
