"""Decoding that reports the bad fields together. msgspec stops at the first; this walks on, by the same types.

It never costs much more than decoding: a part that fits is passed over at msgspec's own speed, no more than so many problems
are looked for, and no more items of a list than it may have.
"""

from __future__ import annotations

import functools
import re
import types
import typing
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

from marketplace_core.codes import LISTS
from marketplace_core.errors import MOST_PROBLEMS, Invalid, Problem
from marketplace_core.storable import (
    SEGMENT,
    composed,
    composed_json,
    has_many_large_numbers,
    holds_free_json,
    segment,
    unstorable,
)

__all__ = [
    "SEGMENT",
    "Guesses",
    "closest",
    "composed",
    "convert",
    "decode_json",
    "did_you_mean",
    "problems_of",
    "segment",
    "unstorable",
]

T = TypeVar("T")

_SEQUENCES = (list, tuple, set, frozenset, Sequence)
_MAPPINGS = (dict, Mapping)

#: What may be wrong with a body that msgspec takes: worth a walk, which costs more than this search.
_ODD_JSON = re.compile(rb'\\u0000|[0-9]{19}|"\d{4}-\d\d-\d\d[Tt ][\d:.]*"|"(?:0001|9999)-\d\d-\d\d[Tt ]')

#: The right name is looked for so often in one value, and for names that are no longer: to compare is what costs.
GUESSES = 3
#: Of what msgspec says; it repeats names as long as they came.
LONGEST_MESSAGE = 500
LONGEST_NAME = 64


def decode_json(raw: bytes, kind: type[T]) -> T:
    """Decode a request body. Its texts are in Unicode's form C.

    Refused beside what the type refuses: what no store can hold (NUL, more than 64 bits, a time that is not in the calendar)
    and a time without its offset. Of a field that takes any JSON, what is too deep or too much.

    :raises msgspec.DecodeError: it is not JSON. :raises Invalid: with the problems of the fields, the first of many.
    """
    if has_many_large_numbers(raw):
        raise Invalid([Problem("", "range", "Expected numbers of at most 64 bits.")])
    raw = composed_json(raw)
    try:
        value = msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Invalid(_json_problems(raw, kind) or [_problem("", str(error))]) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
    if (_has_free_json(cast(Hashable, kind)) or _ODD_JSON.search(raw)) and (found := unstorable(value)):
        raise Invalid(found)
    return value


def convert(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """Convert plain values (of TOML, of a query string when not ``strict``) into ``kind``, or raise :class:`Invalid`."""
    try:
        converted = msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        found = list(_problems(value, kind, "", strict, Guesses()))
        raise Invalid(found or [_problem("", str(error))]) from None
    if found := unstorable(converted):
        raise Invalid(found)
    return converted


def problems_of(value: Any, kind: Any, pointer: str = "", *, strict: bool = True) -> list[Problem]:
    """The fields of ``value`` that do not fit ``kind``, by RFC 6901 pointer; all of them, however many."""
    return list(_problems(value, kind, pointer, strict, Guesses()))


class Guesses:
    """How often the right name is still looked for."""

    def __init__(self) -> None:
        self._left = GUESSES

    def did_you_mean(self, name: str, known: Iterable[str]) -> str:
        if not self._left:
            return NO_FIELD
        self._left -= 1
        return did_you_mean(name, known)


def _problems(value: Any, kind: Any, pointer: str, strict: bool, guesses: Guesses) -> Iterator[Problem]:
    long = isinstance(value, (list, dict)) and _is_long(value, kind)
    error = _leaf(value, kind, pointer, strict) if not long else _length(value, kind, pointer)
    if error is None:
        return
    bare = _unwrap(kind)
    found: Iterator[Problem] = iter(())
    if get_origin(bare) in (typing.Union, types.UnionType):
        chosen, wrong = _choose(bare, value, pointer)
        found = iter(wrong) if chosen is None else _problems(value, chosen, pointer, strict, guesses)
    elif isinstance(value, (list, dict)):
        found = _inside(value, kind, bare, pointer, strict, guesses)
    first = next(found, None)
    yield error if first is None else first
    yield from found


def _inside(
    value: list[Any] | dict[str, Any], kind: Any, bare: Any, pointer: str, strict: bool, guesses: Guesses
) -> Iterator[Problem]:
    """Of what holds something: whether that is too much or too little, then what is wrong with each."""
    if (length := _length(value, kind, pointer)) is not None:
        yield length
    for part, inner, here in islice(_parts(value, bare, pointer), _most(kind)):
        yield from _problems(part, inner, here, strict, guesses)
    if isinstance(bare, type) and issubclass(bare, Struct) and isinstance(value, dict):
        yield from _misnamed(value, bare, pointer, guesses)


def _parts(value: Any, kind: Any, pointer: str) -> Iterator[tuple[Any, Any, str]]:
    """What ``value`` is made of: each part with its type and pointer."""
    origin, args = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Struct) and isinstance(value, dict):
        for name, hint, _ in _fields(kind):
            if name in value:
                yield value[name], hint, f"{pointer}/{segment(name)}"
    elif origin is tuple and isinstance(value, list) and args and args[-1] is not Ellipsis:
        for index, (item, inner) in enumerate(zip(value, args, strict=False)):
            yield item, inner, f"{pointer}/{index}"
    elif origin in _SEQUENCES and isinstance(value, list) and args:
        for index, item in enumerate(value):
            yield item, args[0], f"{pointer}/{index}"
    elif origin in _MAPPINGS and isinstance(value, dict) and len(args) == 2:
        for name, item in value.items():
            if _leaf(name, args[0], pointer, strict=True) is not None:
                yield name, args[0], f"{pointer}/{segment(name)}"
            else:
                yield item, args[1], f"{pointer}/{segment(name)}"


@functools.cache
def _fields(kind: type[Struct]) -> tuple[tuple[str, Any, bool], ...]:
    """Of each field the name in JSON, the type, and whether it is required."""
    hints = get_type_hints(kind, include_extras=True)
    return tuple(
        (field.encode_name, hints[field.name], field.default is NODEFAULT and field.default_factory is NODEFAULT)
        for field in msgspec.structs.fields(kind)
    )


def _misnamed(value: dict[str, Any], kind: type[Struct], pointer: str, guesses: Guesses) -> Iterator[Problem]:
    """Fields that are missing, and those that do not exist."""
    fields = _fields(kind)
    for name, _, required in fields:
        if required and name not in value:
            yield Problem(f"{pointer}/{segment(name)}", "required", "This field is required.")
    if kind.__struct_config__.forbid_unknown_fields:
        known = {name for name, _, _ in fields}
        for name in value:
            if name not in known and name != kind.__struct_config__.tag_field:
                detail = guesses.did_you_mean(name, (each for each, _, _ in fields))
                yield Problem(f"{pointer}/{segment(name)}", "unknown_field", detail)


def _metas(kind: Any) -> Iterator[msgspec.Meta]:
    return (meta for meta in getattr(kind, "__metadata__", ()) if isinstance(meta, msgspec.Meta))


def _most(kind: Any) -> int | None:
    return min((meta.max_length for meta in _metas(kind) if meta.max_length is not None), default=None)


def _is_long(value: list[Any] | dict[str, Any], kind: Any) -> bool:
    """Whether it has more in it than it may: then it is not looked at whole."""
    most = _most(kind)
    return most is not None and len(value) > most


def _length(value: list[Any] | dict[str, Any], kind: Any, pointer: str) -> Problem | None:
    """Whether a container is too long or too short, whatever is in it."""
    name = "array" if isinstance(value, list) else "object"
    most, least = _most(kind), max((meta.min_length or 0 for meta in _metas(kind)), default=0)
    if most is not None and len(value) > most:
        return Problem(pointer, "length", f"Expected `{name}` of length <= {most}.")
    return Problem(pointer, "length", f"Expected `{name}` of length >= {least}.") if len(value) < least else None


def _choose(kind: Any, value: Any, pointer: str) -> tuple[Any, list[Problem]]:
    """The part of a union that ``value`` means: by its tag, or as the only one of its JSON type."""
    parts = [part for part in get_args(kind) if part not in (type(None), msgspec.UnsetType)]
    if value is None or len(parts) == 1:
        return (parts[0] if value is not None else None), []
    if not isinstance(value, (dict, list)):
        return None, []
    by_tag = {part.__struct_config__.tag: part for part in map(_unwrap, parts) if _is_tagged(part)}
    if by_tag and isinstance(value, dict):
        field = next(iter(by_tag.values())).__struct_config__.tag_field
        if field not in value:
            return None, [Problem(f"{pointer}/{segment(field)}", "required", "This field is required.")]
        try:
            return by_tag[value[field]], []
        except (KeyError, TypeError):
            known = ", ".join(str(tag) for tag in by_tag)
            return None, [Problem(f"{pointer}/{segment(field)}", "unknown_value", f"Expected one of: {known}.")]
    fitting = [part for part in parts if _holds(_unwrap(part), value)]
    return (fitting[0] if len(fitting) == 1 else None), []


def _is_tagged(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Struct) and kind.__struct_config__.tag is not None


def _holds(kind: Any, value: Any) -> bool:
    origin = get_origin(kind) or kind
    if isinstance(value, list):
        return origin in _SEQUENCES
    return origin in _MAPPINGS or (isinstance(kind, type) and issubclass(kind, Struct))


def _json_problems(raw: bytes, kind: Any) -> list[Problem]:
    try:
        value = msgspec.json.decode(raw)
    except msgspec.ValidationError:
        return []  # no type at all can hold it: a number of hundreds of digits
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
    return list(islice(_problems(value, kind, "", True, Guesses()), MOST_PROBLEMS + 1))


@functools.cache
def _has_free_json(kind: Any) -> bool:
    return holds_free_json(kind)


NO_FIELD = "There is no such field."


def did_you_mean(name: str, known: Iterable[str]) -> str:
    close = closest(name, known) if len(name) <= LONGEST_NAME else None
    return f"There is no such field; did you mean {close!r}?" if close is not None else NO_FIELD


def closest(name: object, known: Iterable[str]) -> str | None:
    """The likeliest right name, or None."""
    import difflib  # noqa: PLC0415

    found = difflib.get_close_matches(str(name), list(known), 1)
    return found[0] if found else None


def _unwrap(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is typing.Annotated else kind


def _leaf(value: Any, kind: Any, pointer: str, strict: bool) -> Problem | None:
    try:
        msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        if isinstance(value, str) and isinstance(kind, Hashable) and (expected := LISTS.get(kind)):
            return Problem(pointer, "format", f"Expected {expected}.")
        return _problem(pointer, str(error))
    return None


_CODES: tuple[tuple[str, str], ...] = (
    (r"of length|at most .* items|at least .* items", "length"),
    (r"matching regex", "format"),
    (r"missing required field", "required"),
    (r"unknown field", "unknown_field"),
    (r"Invalid (enum )?value|Invalid literal", "unknown_value"),
    (r"Expected `(int|float|number|decimal)` (>=|<=|>|<|that's)", "range"),
    (r"Integer value out of range|out of range", "range"),
    (r"Invalid", "format"),
    (r"Expected", "type"),
)


def _problem(pointer: str, message: str) -> Problem:
    message = message[:LONGEST_MESSAGE]
    text, _, path = message.partition(" - at `$")
    extra = "".join(f"/{part}" for part in re.findall(r"[\w-]+", path.rstrip("`"))) if path else ""
    if named := re.search(r"(?:required|unknown) field `([^`]+)`", text):
        extra += f"/{segment(named[1])}"
    code = next((code for pattern, code in _CODES if re.search(pattern, text)), "type")
    return Problem(pointer + extra, code, text if text.endswith(".") else f"{text}.")
