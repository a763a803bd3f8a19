"""An event of each type, of which one can tell what is somebody's: it says so."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from marketplace_core.capabilities import load_all
from marketplace_core.events import EVENTS, PERSON, PERSONAL, Envelope
from marketplace_core.testing.contracts.analytics import at
from marketplace_core.values import Money, new_id, utc_text

__all__ = ["SECRET", "SOMEBODY", "TYPES", "envelope", "samples", "value"]

load_all()
#: Of the events of all capabilities.
TYPES = sorted(type_ for type_, cls in EVENTS.items() if cls.__module__.startswith("marketplace_core.capabilities."))
SOMEBODY, SECRET, WHEN = "somebody", "secret", at(1, 5)
_SCALARS: Mapping[Any, Any] = {
    int: 1,
    float: 0.5,
    bool: True,
    datetime: datetime(2026, 1, 5, tzinfo=UTC),
    date: date(2026, 1, 5),
    Money: {"amount": 100, "currency": "EUR"},
    type(None): None,
}


def samples() -> dict[str, Any]:
    """What each type of event tells, of those that the capabilities tell."""
    return {type_: value(EVENTS[type_]) for type_ in TYPES}


def envelope(type_: str, data: Any) -> Envelope:
    cls = EVENTS[type_]
    return Envelope(
        id=new_id(),
        type=type_,
        version=cls.version,
        key=str(data[cls.key_field]),
        occurred_at=utc_text(WHEN),
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


def value(kind: Any, text: str = "plain") -> Any:  # noqa: PLR0911 - a case for each kind of type
    """One of this type. All of its texts are ``text``: the secret where they are personal, and whose it is where it says so."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        text = SECRET if PERSONAL in arguments else SOMEBODY if PERSON in arguments else text
        return value(arguments[0], text)
    if origin in (Union, types.UnionType):
        return value(next(part for part in arguments if part is not type(None)), text)
    if origin is Literal:
        return arguments[0]
    if origin in (list, tuple, Sequence):
        return [value(arguments[0], text)]
    if origin in (dict, Mapping):
        return {text: value(arguments[1], text)}
    if kind in _SCALARS:
        return _SCALARS[kind]
    if isinstance(kind, type) and issubclass(kind, Struct):
        return {field.encode_name: value(field.type, text) for field in msgspec.structs.fields(kind)}
    return text
