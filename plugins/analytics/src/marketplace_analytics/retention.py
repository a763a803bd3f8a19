"""What is kept of an event, by its type: a struct like it, in which what tells of persons is missing."""

from __future__ import annotations

import hashlib
import re
import types
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, NewType, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct

from marketplace_core.events import EVENTS, PERSON, PERSONAL, Envelope, Unreadable

__all__ = ["Keeper", "PersonMark", "retained"]


#: What stands for an account: the same in all of its events, and nobody can tell whose it is.
PersonMark = NewType("PersonMark", str)

#: What a row has of its envelope, beside what the event tells.
_ENVELOPE = (("_id", str, ""), ("_at", str, ""), ("_origin", str, ""), ("_version", int, 0), ("_sequence", int, 0))
_canonical = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch


@cache
def retained(cls: type[Struct]) -> type[Struct]:
    """``cls`` without what is :data:`PERSONAL`, at any depth, and with a :class:`PersonMark` for each person."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(cls):
        if (kept := _kept(field.type)) is None:
            continue
        factory = field.default_factory
        default = field.default if factory is NODEFAULT else msgspec.field(default_factory=factory)
        if field.default is not NODEFAULT and field.default is not None and not isinstance(field.default, str | int | float):
            default = None
            kept = kept | None
        fields.append((field.name, kept) if default is NODEFAULT else (field.name, kept, default))
    names = {field.name: field.encode_name for field in msgspec.structs.fields(cls) if field.encode_name != field.name}
    return msgspec.defstruct(cls.__name__, fields, kw_only=True, gc=False, rename=names or None)


def _kept(kind: Any) -> Any:  # noqa: PLR0911 - a case for each kind of type
    """The type to keep a value in; None: it is not kept."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        if PERSONAL in arguments[1:]:
            return None
        return PersonMark if PERSON in arguments[1:] else _kept(arguments[0])
    if origin in (Union, types.UnionType):
        parts = [type(None) if part is type(None) else _kept(part) for part in arguments]
        return None if None in parts else Union[tuple(parts)]  # noqa: UP007 - of as many as there are
    if origin in (list, tuple, Sequence):
        inner = _kept(arguments[0])
        return None if inner is None else list[inner]  # type: ignore[valid-type]
    if origin in (dict, Mapping):
        inner = _kept(arguments[1])
        return None if inner is None else dict[str, inner]  # type: ignore[valid-type]
    if isinstance(kind, type) and issubclass(kind, Struct):
        return retained(kind)
    return kind


class Keeper:
    """Makes rows of envelopes: structs whose names are the columns, by the event's type. Each event is decoded once."""

    def __init__(self, key: bytes, forgotten: Collection[str] = ()) -> None:
        """``key`` makes marks of persons. ``forgotten``: those whose events keep none."""
        self.forgotten = set(forgotten)
        self._keyed = hashlib.blake2b(key=key, digest_size=16)
        self._makers: dict[str, tuple[int, Callable[[msgspec.Raw], Any], Mark | None]] = {}
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def mark(self, account_id: str) -> str:
        made = self._keyed.copy()
        made.update(account_id.encode())
        return made.hexdigest()

    def row(self, envelope: Envelope) -> Struct:
        """:raises Unreadable: this release does not know such an event, or not of this version."""
        version, decode, mark = self._makers.get(envelope.type) or self._maker(envelope)
        if envelope.version > version:
            raise _unknown(envelope)
        try:
            row = decode(envelope.data)
        except msgspec.DecodeError as error:
            raise Unreadable(f"{envelope.type}: {error}") from error
        if mark is not None:
            mark(row)
        row._id = _uuid(envelope.id)
        row._at, row._origin = envelope.occurred_at, envelope.origin
        row._version, row._sequence = envelope.version, envelope.sequence
        made: Struct = row
        return made

    def lines(self, rows: Sequence[Struct]) -> bytes:
        """Rows as JSON, one a line."""
        return self._encoder.encode_lines(rows)

    def _maker(self, envelope: Envelope) -> tuple[int, Callable[[msgspec.Raw], Any], Mark | None]:
        cls = EVENTS.get(envelope.type)
        if cls is None:
            raise _unknown(envelope)
        kept = msgspec.defstruct(cls.__name__, _ENVELOPE, bases=(retained(cls),), kw_only=True, gc=False)
        made = self._makers[cls.type] = (cls.version, msgspec.json.Decoder(kept).decode, _marking(kept, self._person))
        return made

    def _person(self, account_id: str) -> str:
        mark = self.mark(account_id)
        return "" if mark in self.forgotten else mark


Mark = Callable[[Any], Any]


def _marking(kind: Any, person: Mark) -> Mark | None:
    """What puts marks into a value of this type, and gives it; None: nobody is in it."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is PersonMark:
        return person
    if origin not in (Union, types.UnionType, list, dict):
        return _marking_fields(kind, person) if isinstance(kind, type) and issubclass(kind, Struct) else None
    inner = next((found for part in arguments if (found := _marking(part, person)) is not None), None)
    return None if inner is None else _marking_in(origin, inner)


def _marking_in(origin: Any, inner: Mark) -> Mark:
    if origin is list:
        return lambda value: [inner(one) for one in value]
    if origin is dict:
        return lambda value: {key: inner(one) for key, one in value.items()}
    return lambda value: None if value is None else inner(value)


def _marking_fields(cls: type[Struct], person: Mark) -> Mark | None:
    every = [(field.name, _marking(field.type, person)) for field in msgspec.structs.fields(cls)]
    found = [(name, mark) for name, mark in every if mark is not None]

    def mark_fields(value: Any) -> Any:
        for name, mark in found:
            setattr(value, name, mark(getattr(value, name)))
        return value

    return mark_fields if found else None


def _unknown(envelope: Envelope) -> Unreadable:
    return Unreadable(f"this release does not know {envelope.type} of version {envelope.version}")


def _uuid(id_: str) -> str:
    """Ids of events are UUIDs; one that is none stands for itself all the same."""
    if _canonical(id_):
        return id_
    try:
        return str(uuid.UUID(id_))
    except ValueError:
        return str(uuid.UUID(bytes=hashlib.blake2b(id_.encode(), digest_size=16).digest()))
