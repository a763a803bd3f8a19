"""How a message stands in a topic, for us and for anybody who reads it: the envelope, under its aggregate's key."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from aiokafka import TopicPartition

from marketplace_core.adapters import _serving
from marketplace_core.events import Unreadable
from marketplace_core.ports import Message

__all__ = ["Entry", "Held", "headers_of", "read", "topic_name"]


def topic_name(prefix: str, topic: str) -> str:
    return f"{prefix}.{topic}"


def headers_of(message: Message) -> list[tuple[str, bytes]]:
    return [
        ("type", message.type.encode()),
        ("sequence", str(message.sequence).encode()),
        ("writer", message.writer.encode()),
    ]


class Raw(msgspec.Struct, array_like=True):
    """What a record has, whoever wrote it."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]


def read(topic: str, raw: bytes) -> Message:
    """:raises Unreadable: it is none of ours, or none that a store could keep."""
    try:
        found = msgspec.msgpack.decode(raw, type=Raw)
    except msgspec.DecodeError as error:
        raise Unreadable(str(error)) from error
    return _message(topic, found.key, found.value, found.headers)


def _message(topic: str, key: bytes | None, value: bytes | None, headers: Any) -> Message:
    named = dict(headers)
    try:
        if key is None or value is None:
            raise Unreadable("it has no key, or no value")
        type_, sequence = named["type"].decode(), int(named["sequence"])
        writer = (named.get("writer") or b"").decode()
        return _serving.storable(Message(topic, type_, key.decode(), sequence, value.decode(), writer))
    except KeyError as error:
        raise Unreadable(f"it has no header {error}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise Unreadable(str(error)) from error


class Entry(NamedTuple):
    """A record that was read. ``topic`` is the deployment's own name of it."""

    stream: TopicPartition
    id: int
    topic: str
    at: float
    record: Any

    @property
    def raw(self) -> bytes:
        record = self.record
        return msgspec.msgpack.encode(Raw(record.key, record.value, list(record.headers)))

    def message(self) -> Message:
        return _message(self.topic, self.record.key, self.record.value, self.record.headers)


class Held(_serving.Partition[Entry]):
    """The partition of one number, of each of the group's topics."""
