"""Decoding that reports every bad field at once. msgspec stops at the first; this walks on, by the same types."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

from marketplace_core.errors import Invalid, Problem

__all__ = ["convert", "decode_json", "did_you_mean", "problems_of"]

T = TypeVar("T")

_SEQUENCES = (list, tuple, set, frozenset, Sequence)
_MAPPINGS = (dict, Mapping)

#: What may be wrong with a body that msgspec takes: worth a walk, which costs more than this search.
_ODD_JSON = re.compile(rb'\\u0000|[0-9]{19}|"\d{4}-\d\d-\d\d[Tt ][\d:.]*"')


def decode_json(raw: bytes, kind: type[T]) -> T:
    """Decode a request body.

    Refused beside what the type refuses: what no store can hold (NUL, more than 64 bits) and a time without its
    offset.

    :raises msgspec.DecodeError: it is not JSON. :raises Invalid: with a problem for every bad field.
    """
    try:
        value = msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise Invalid(_json_problems(raw, kind) or [_problem("", str(error))]) from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None
    if _ODD_JSON.search(raw) and (found := _unstorable(value, "")):
        raise Invalid(found)
    return value


def convert(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """Convert plain values (of TOML, of a query string when not ``strict``) into ``kind``, or raise :class:`Invalid`."""
    try:
        converted = msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Invalid(problems_of(value, kind, strict=strict) or [_problem("", str(error))]) from None
    if found := _unstorable(converted, ""):
        raise Invalid(found)
    return converted


def problems_of(value: Any, kind: Any, pointer: str = "", *, strict: bool = True) -> list[Problem]:
    """Every field of ``value`` that does not fit ``kind``, by RFC 6901 pointer."""
    bare = _unwrap(kind)
    if get_origin(bare) in (typing.Union, types.UnionType):
        chosen, found = _choose(bare, value, pointer)
        if chosen is None:
            return found or _leaf(value, kind, pointer, strict)
        return problems_of(value, chosen, pointer, strict=strict) or _leaf(value, kind, pointer, strict)
    found = [
        problem
        for part, inner, here in _parts(value, bare, pointer)
        for problem in problems_of(part, inner, here, strict=strict)
    ]
    if isinstance(bare, type) and issubclass(bare, Struct) and isinstance(value, dict):
        found += _names(value, bare, pointer)
    if found and isinstance(value, (list, dict)):
        return _length(value, kind, pointer) + found  # the size of what holds a bad item is a problem of its own
    return found or _leaf(value, kind, pointer, strict)


def _parts(value: Any, kind: Any, pointer: str) -> Iterator[tuple[Any, Any, str]]:
    """What ``value`` is made of: each part with its type and pointer."""
    origin, args = get_origin(kind), get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Struct) and isinstance(value, dict):
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            if field.encode_name in value:
                yield value[field.encode_name], hints[field.name], f"{pointer}/{_escape(field.encode_name)}"
    elif origin is tuple and isinstance(value, list) and args and args[-1] is not Ellipsis:
        for index, (item, inner) in enumerate(zip(value, args, strict=False)):
            yield item, inner, f"{pointer}/{index}"
    elif origin in _SEQUENCES and isinstance(value, list) and args:
        for index, item in enumerate(value):
            yield item, args[0], f"{pointer}/{index}"
    elif origin in _MAPPINGS and isinstance(value, dict) and len(args) == 2:
        for name, item in value.items():
            yield item, args[1], f"{pointer}/{_escape(name)}"


def _names(value: dict[str, Any], kind: type[Struct], pointer: str) -> list[Problem]:
    """Fields that are missing, and those that do not exist."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    found = [
        Problem(f"{pointer}/{_escape(name)}", "required", "This field is required.")
        for name, field in fields.items()
        if name not in value and field.default is NODEFAULT and field.default_factory is NODEFAULT
    ]
    if kind.__struct_config__.forbid_unknown_fields:
        found += [
            Problem(f"{pointer}/{_escape(name)}", "unknown_field", did_you_mean(name, fields))
            for name in value
            if name not in fields and name != kind.__struct_config__.tag_field
        ]
    return found


def _length(value: Any, kind: Any, pointer: str) -> list[Problem]:
    """Whether a container is too long or too short, whatever is in it."""
    metas = [meta for meta in getattr(kind, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]
    return [problem for meta in metas for problem in _leaf(value, typing.Annotated[type(value), meta], pointer, strict=True)]


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
            return None, [Problem(f"{pointer}/{_escape(field)}", "required", "This field is required.")]
        try:
            return by_tag[value[field]], []
        except (KeyError, TypeError):
            known = ", ".join(str(tag) for tag in by_tag)
            return None, [Problem(f"{pointer}/{_escape(field)}", "unknown_value", f"Expected one of: {known}.")]
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
        return problems_of(msgspec.json.decode(raw), kind)
    except msgspec.ValidationError:
        return []  # no type at all can hold it: a number of hundreds of digits
    except (UnicodeDecodeError, RecursionError) as error:
        raise msgspec.DecodeError(str(error)) from None


def _unstorable(value: Any, pointer: str) -> list[Problem]:
    if isinstance(value, str):
        return [Problem(pointer, "format", "Text cannot hold NUL.")] if "\0" in value else []
    if isinstance(value, int):
        return [] if -(2**63) <= value < 2**63 else [Problem(pointer, "range", "Expected at most 64 bits.")]
    if isinstance(value, datetime):
        return (
            []
            if value.tzinfo
            else [Problem(pointer, "format", "Expected RFC 3339 with an offset, as in 2026-01-31T12:00:00Z.")]
        )
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Struct):
        parts = (
            (name, getattr(value, field))
            for field, name in zip(value.__struct_fields__, value.__struct_encode_fields__, strict=True)
        )
    elif isinstance(value, dict):
        parts = value.items()
        if any(isinstance(name, str) and "\0" in name for name in value):
            return [Problem(pointer, "format", "A name cannot hold NUL.")]
    elif isinstance(value, (list, tuple)):
        parts = enumerate(value)
    return [problem for name, part in parts for problem in _unstorable(part, f"{pointer}/{_escape(name)}")]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    close = closest(name, known)
    return f"There is no such field; did you mean {close!r}?" if close is not None else "There is no such field."


def closest(name: object, known: Iterable[str]) -> str | None:
    """The likeliest right name, or None."""
    import difflib  # noqa: PLC0415

    found = difflib.get_close_matches(str(name), list(known), 1)
    return found[0] if found else None


def _unwrap(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is typing.Annotated else kind


def _leaf(value: Any, kind: Any, pointer: str, strict: bool) -> list[Problem]:
    try:
        msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        return [_problem(pointer, str(error))]
    return []


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
    text, _, path = message.partition(" - at `$")
    extra = "".join(f"/{part}" for part in re.findall(r"[\w-]+", path.rstrip("`"))) if path else ""
    if named := re.search(r"(?:required|unknown) field `([^`]+)`", text):
        extra += f"/{_escape(named[1])}"
    code = next((code for pattern, code in _CODES if re.search(pattern, text)), "type")
    return Problem(pointer + extra, code, text if text.endswith(".") else f"{text}.")


def _escape(name: str) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")
