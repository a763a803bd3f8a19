"""What is kept of an event, by its type: a struct like it, in which what tells of persons is missing."""

from __future__ import annotations

import hashlib
import types
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct

from marketplace_core.events import EVENTS, PERSON, PERSONAL, Envelope, Event, Unreadable

__all__ = ["Keeper", "PersonMark", "retained"]


class PersonMark(str):
    """What stands for an account: the same in all of its events, and nobody can tell whose it is."""

    __slots__ = ()


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
    return msgspec.defstruct(cls.__name__, fields, kw_only=True, frozen=True, rename=names or None)


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
    """Makes rows of envelopes: JSON whose names are the columns, by the event's type."""

    def __init__(self, key: bytes, forgotten: Collection[str] = ()) -> None:
        """``key`` makes marks of persons. ``forgotten``: those whose events keep none."""
        self._key, self.forgotten = key, set(forgotten)
        self._makers: dict[str, Callable[[bytes], bytes]] = {}
        self._encode = msgspec.json.Encoder().encode

    def mark(self, account_id: str) -> str:
        return hashlib.blake2b(account_id.encode(), key=self._key, digest_size=16).hexdigest()

    def row(self, envelope: Envelope) -> bytes:
        """:raises Unreadable: this release does not know such an event, or not of this version."""
        cls = EVENTS.get(envelope.type)
        if cls is None or envelope.version > cls.version:
            raise Unreadable(f"this release does not know {envelope.type} of version {envelope.version}")
        make = self._makers.get(envelope.type) or self._maker(cls)
        try:
            data = make(envelope.data)
        except msgspec.DecodeError as error:
            raise Unreadable(f"{envelope.type}: {error}") from error
        head = (
            f'{{"_id":"{_uuid(envelope.id)}","_at":"{envelope.occurred_at}","_origin":"{envelope.origin}",'
            f'"_version":{envelope.version},"_sequence":{envelope.sequence}'
        ).encode()
        return head + b"}" if data == b"{}" else head + b"," + data[1:]

    def _maker(self, cls: type[Event]) -> Callable[[bytes], bytes]:
        decode = msgspec.json.Decoder(retained(cls), dec_hook=self._person).decode
        encode = msgspec.json.Encoder(enc_hook=str).encode

        def make(data: bytes) -> bytes:
            return encode(decode(data))

        self._makers[cls.type] = make
        return make

    def _person(self, kind: type, value: Any) -> Any:
        if kind is not PersonMark:
            raise NotImplementedError
        mark = self.mark(str(value))
        return PersonMark("" if mark in self.forgotten else mark)


def _uuid(id_: str) -> str:
    """Ids of events are UUIDs; one that is none stands for itself all the same."""
    try:
        return str(uuid.UUID(id_))
    except ValueError:
        return str(uuid.UUID(bytes=hashlib.blake2b(id_.encode(), digest_size=16).digest()))
