"""Events: what a capability tells the others. Declared in the capability's module, one class per type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import force_setattr

__all__ = [
    "EVENTS",
    "PERSON",
    "PERSONAL",
    "QUEUES",
    "Envelope",
    "Event",
    "PersonId",
    "Personal",
    "Unreadable",
    "declare_queue",
    "event",
]

T = TypeVar("T")


class Mark:
    """What a field of an event is, beside its type: who keeps events for long asks for it."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


PERSONAL, PERSON = Mark("PERSONAL"), Mark("PERSON")

#: What tells of a person: name, address, what somebody wrote, a token. It is for whoever acts on the event: nobody keeps it.
Personal = Annotated[T, PERSONAL]

#: Whose event it is: an account's id. Who keeps it keeps what stands for it, and can let go of it.
PersonId = Annotated[str, PERSON]


class Unreadable(ValueError):
    """A message that this release cannot read: it is not ours, of a newer release, or cut off. To try again changes nothing."""


class Event(Struct, frozen=True, kw_only=True):
    """Base of all events. The fields are the public payload: they only ever grow, with defaults."""

    type: ClassVar[str] = ""
    topic: ClassVar[str] = ""
    version: ClassVar[int] = 1
    key_field: ClassVar[str] = ""

    @property
    def key(self) -> str:
        """The aggregate's id: order is kept, and sequence numbers count, per key."""
        value: str = getattr(self, self.key_field)
        return value


EVENTS: dict[str, type[Event]] = {}

E = TypeVar("E", bound=type[Event])


def event(type_: str, *, key: str, version: int = 1) -> Callable[[E], E]:
    """Register an event class as ``<capability>.<past participle>``; ``key`` names the field that holds its aggregate's id."""

    def register(cls: E) -> E:
        if type_ in EVENTS:
            raise ValueError(f"the event type {type_!r} is declared twice: {EVENTS[type_]} and {cls}")
        if key not in cls.__struct_fields__:
            raise ValueError(f"{cls.__name__} has no field {key!r} to be its key")
        cls.type, cls.topic, cls.version, cls.key_field = type_, type_.split(".", 1)[0], version, key
        EVENTS[type_] = cls
        return cls

    return register


QUEUES: set[str] = set()


def declare_queue(topic: str) -> None:
    """Let plugins on several databases emit on a topic. Each counts the events of a key for itself, so those who follow it take
    them in any order: their events say by themselves what is later, as by a version."""
    QUEUES.add(topic)


class Envelope(Struct, frozen=True, kw_only=True, gc=False):
    """An event on its way. ``sequence`` counts the events of one aggregate in its topic, from 1 and without gaps.

    ``writer`` tells whose count that is: each database that emits on a topic has its own. It is empty where a release before
    writers sent the event.

    ``occurred_at`` is the deployment's time, RFC 3339, or that of an import's history; ``data`` is the event as JSON,
    not yet decoded.
    """

    id: str
    type: str
    version: int
    key: str
    occurred_at: str
    trace: str = ""
    actor: str = ""
    origin: str = "api"
    data: msgspec.Raw
    sequence: int = 0
    writer: str = ""

    @property
    def topic(self) -> str:
        return self.type.split(".", 1)[0]

    def decode(self) -> Event:
        """The event itself. Unknown fields of a newer publisher are ignored.

        :raises Unreadable: this release does not know such an event, or not of this version.
        """
        cls = EVENTS.get(self.type)
        if cls is None:
            raise Unreadable(f"there is no event {self.type!r} in this release")
        if self.version > cls.version:
            raise Unreadable(f"{self.type} is of version {self.version}, and this release knows version {cls.version}")
        try:
            return msgspec.json.decode(self.data, type=cls)
        except msgspec.DecodeError as error:
            raise Unreadable(f"{self.type}: {error}") from error


def encode_data(event_: Event) -> bytes:
    return msgspec.json.encode(event_)


_decode = msgspec.json.Decoder(Envelope).decode


def decode_envelope(raw: bytes | str, sequence: int, writer: str = "") -> Envelope:
    """:raises Unreadable: it is no envelope."""
    try:
        envelope = _decode(raw)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise Unreadable(f"the envelope: {error}") from error
    # Nobody else has it yet, and to copy it would be half of what reading it costs.
    force_setattr(envelope, "sequence", sequence)
    force_setattr(envelope, "writer", writer)
    return envelope


def catalogue() -> dict[str, dict[str, Any]]:
    """The JSON Schema of every declared event, by type."""
    return {name: msgspec.json.schema(cls) for name, cls in sorted(EVENTS.items())}
