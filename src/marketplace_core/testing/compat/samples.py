"""Samples of a type, the same at each run: every member of an enumeration or union, every optional field absent and present.

Numbers and texts are at both of their bounds where they have any, else differ from field to field, so that a mixed-up pair is
seen.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import inspect as kinds

from marketplace_core.capabilities.auth import EMAIL, TYPED_EMAIL
from marketplace_core.values import NOT_BLANK

__all__ = ["samples"]

#: More of one type would tell nothing new.
MOST = 64
#: How deep a structure that holds itself is built, and how long a text or list may get.
DEPTH, LENGTH = 8, 2000
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
#: What a text of a pattern may look like; the first that a length allows is taken.
LIKE = {
    r"^[A-Z]{3}\Z": ("EUR", "JPY"),
    r"^[A-Z]{2}\Z": ("DE", "FR"),
    EMAIL: ("ada@example.org",),
    TYPED_EMAIL: ("ada@example.org",),
    r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z": ("de", "pt-BR"),
    NOT_BLANK: ("x", "é"),
}

_ABSENT = object()
#: Makes the value of one choice: from the number that is left for the choices inside, and the place.
_Choice = Callable[[int, str, int], Any]


def samples(type_: Any) -> list[Any]:
    """Values of ``type_``. :raises LookupError: it has a text of a pattern that :data:`LIKE` does not know."""
    kind = kinds.type_info(type_)
    plain = [_build(kind, number, "", 0) for number in range(min(_breadth(kind, 0), MOST))]
    return [msgspec.convert(value, type_) for value in plain]


def _breadth(kind: kinds.Type, depth: int) -> int:
    """How many samples show every choice in ``kind``."""
    choices = _choices(kind, depth)
    return len(choices) * max(inner for _, inner in choices)


def _build(kind: kinds.Type, number: int, place: str, depth: int) -> Any:
    """The sample of that number, as plain values: which choice, and by what is left, which of those inside."""
    choices = _choices(kind, depth)
    make, _ = choices[number % len(choices)]
    return make(number // len(choices), place, depth)


def _choices(kind: kinds.Type, depth: int) -> list[tuple[_Choice, int]]:
    """What there is to choose from, each with the breadth of what is inside of it."""
    if isinstance(kind, kinds.UnionType):
        parts = sorted(kind.types, key=lambda part: isinstance(part, kinds.NoneType))
        if depth > DEPTH and isinstance(parts[-1], kinds.NoneType):
            parts = parts[-1:]
        return [(_of(part), _breadth(part, depth)) for part in parts]
    if isinstance(kind, kinds.StructType | kinds.DataclassType):
        return [(_struct(kind), max([1, *(_field_breadth(field, depth + 1) for field in kind.fields)]))]
    if isinstance(kind, kinds.TupleType):
        return [(_tuple(kind.item_types), max([1, *(_breadth(item, depth + 1) for item in kind.item_types)]))]
    if isinstance(kind, kinds.DictType | kinds.ListType | kinds.VarTupleType):
        inside = kind.value_type if isinstance(kind, kinds.DictType) else kind.item_type
        make = _mapping(kind) if isinstance(kind, kinds.DictType) else _items(kind)
        filled = [] if depth > DEPTH else [(make, _breadth(inside, depth + 1))]
        empty: Any = {} if isinstance(kind, kinds.DictType) else []
        return [*filled, *([] if kind.min_length else [(_fixed(empty), 1)])]
    return [(leaf, 1) for leaf in _leaves(kind)]


def _of(kind: kinds.Type) -> _Choice:
    return lambda number, place, depth: _build(kind, number, place, depth)


def _fixed(value: Any) -> _Choice:
    return lambda number, place, depth: value


def _field_breadth(field: kinds.Field, depth: int) -> int:
    breadth = _breadth(field.type, depth)
    return breadth if field.required else breadth + 1


def _struct(kind: kinds.StructType | kinds.DataclassType) -> _Choice:
    """An object; of what is encoded as an array, the values alone, as far as they are there."""
    tagged = isinstance(kind, kinds.StructType) and kind.tag_field is not None
    array = isinstance(kind, kinds.StructType) and kind.array_like

    def make(number: int, place: str, depth: int) -> Any:
        made: dict[str, Any] = {kind.tag_field: kind.tag} if tagged else {}  # type: ignore[union-attr, dict-item]
        for field in kind.fields:
            value = _field(field, number, f"{place}.{field.encode_name}", depth + 1)
            if value is not _ABSENT:
                made[field.encode_name] = value
            elif array:
                break
        return list(made.values()) if array else made

    return make


def _field(field: kinds.Field, number: int, place: str, depth: int) -> Any:
    if field.required:
        return _build(field.type, number, place, depth)
    number %= _breadth(field.type, depth) + 1
    return _ABSENT if number == 0 else _build(field.type, number - 1, place, depth)


def _tuple(parts: tuple[kinds.Type, ...]) -> _Choice:
    return lambda number, place, depth: [_build(part, number, f"{place}.{n}", depth + 1) for n, part in enumerate(parts)]


def _items(kind: Any) -> _Choice:
    def make(number: int, place: str, depth: int) -> Any:
        return [_build(kind.item_type, number + n, f"{place}.{n}", depth + 1) for n in range(max(1, kind.min_length or 0))]

    return make


def _mapping(kind: kinds.DictType) -> _Choice:
    def make(number: int, place: str, depth: int) -> Any:
        key = _build(kind.key_type, 0, f"{place}.key", depth + 1)
        return {key: _build(kind.value_type, number, f"{place}.value", depth + 1)}

    return make


def _leaves(kind: kinds.Type) -> list[_Choice]:
    """Of what holds nothing else. :raises LookupError: it is of a kind that nobody has needed yet."""
    if isinstance(kind, kinds.IntType | kinds.FloatType):
        return _numbers(kind)
    if isinstance(kind, kinds.StrType):
        return _texts(kind)
    if isinstance(kind, kinds.DateTimeType):
        return [lambda number, place, depth: (EPOCH + timedelta(seconds=_hash(place))).isoformat()]
    if isinstance(kind, kinds.LiteralType):
        return [_fixed(value) for value in kind.values]
    return [_fixed(value) for value in _fixed_values(kind)]


def _fixed_values(kind: kinds.Type) -> list[Any]:
    if isinstance(kind, kinds.AnyType) or (isinstance(kind, kinds.CustomType) and kind.cls is object):
        return ["any", {"any": 1}, None]
    for known, values in ((kinds.NoneType, [None]), (kinds.BoolType, [True, False]), (kinds.BytesType, ["AAEC/w=="])):
        if isinstance(kind, known):
            return values
    raise LookupError(f"there are no samples of {type(kind).__name__} yet: add them here")


def _numbers(kind: kinds.IntType | kinds.FloatType) -> list[_Choice]:
    step = 1 if isinstance(kind, kinds.IntType) else 0.5
    least = kind.ge if kind.ge is not None else None if kind.gt is None else kind.gt + step
    most = kind.le if kind.le is not None else None if kind.lt is None else kind.lt - step
    bounds = [_fixed(bound) for bound in (least, most) if bound is not None]
    if len(bounds) == 2:
        return bounds
    base = least if least is not None else 0 if most is None else most - 1000
    return [lambda number, place, depth: type(step)(base + _hash(place) * step), *bounds]


def _texts(kind: kinds.StrType) -> list[_Choice]:
    if kind.pattern is not None:
        if kind.pattern not in LIKE:
            raise LookupError(f"there is no text of the pattern {kind.pattern!r} among the samples: add one here")
        return [_fixed(text) for text in LIKE[kind.pattern]]
    least, most = kind.min_length or 0, kind.max_length
    if most is None:
        return [lambda number, place, depth: f"{place.rsplit('.', 1)[-1]} {_hash(place)}".ljust(least, "x")]
    longest = min(most, LENGTH)
    return [
        lambda number, place, depth: f"{place.rsplit('.', 1)[-1]} {_hash(place)}"[:most].ljust(least, "x"),
        _fixed("x" * least),
        _fixed("x" * longest),
    ]


def _hash(place: str) -> int:
    """A number from 1 to 1000 that differs from place to place."""
    return zlib.crc32(place.encode()) % 1000 + 1
