"""Decoding that reports every bad field at once. msgspec stops at the first; this walks on, by the same types."""

from __future__ import annotations

import re
import types
import typing
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Struct

from marketplace_core.errors import Invalid, Problem

__all__ = ["convert", "decode_json", "problems_of"]

T = TypeVar("T")


def decode_json(raw: bytes, kind: type[T]) -> T:
    """Decode a request body.

    :raises msgspec.DecodeError: it is not JSON. :raises Invalid: with a problem for every bad field.
    """
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        value = msgspec.json.decode(raw)
        raise Invalid(problems_of(value, kind) or [_problem("", str(error))]) from None


def convert(value: Any, kind: type[T], *, strict: bool = True) -> T:
    """Convert plain values (of TOML, of a query string when not ``strict``) into ``kind``, or raise :class:`Invalid`."""
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise Invalid(problems_of(value, kind, strict=strict) or [_problem("", str(error))]) from None


def problems_of(value: Any, kind: Any, pointer: str = "", *, strict: bool = True) -> list[Problem]:
    """Every field of ``value`` that does not fit ``kind``, by RFC 6901 pointer."""
    bare = _unwrap(kind)
    inner = _only_part(bare, value)
    if inner is not None:
        return problems_of(value, inner, pointer, strict=strict)
    if isinstance(bare, type) and issubclass(bare, Struct) and isinstance(value, dict):
        found = _struct_problems(value, bare, pointer, strict)
        return found or _leaf(value, kind, pointer, strict)
    origin, args = get_origin(bare), get_args(bare)
    if origin in (list, tuple, set, frozenset) and isinstance(value, list) and args:
        found = [
            problem
            for index, item in enumerate(value)
            for problem in problems_of(item, args[0], f"{pointer}/{index}", strict=strict)
        ]
        return found or _leaf(value, kind, pointer, strict)
    if origin is dict and isinstance(value, dict):
        found = [
            problem
            for name, item in value.items()
            for problem in problems_of(item, args[1], f"{pointer}/{_escape(name)}", strict=strict)
        ]
        return found or _leaf(value, kind, pointer, strict)
    return _leaf(value, kind, pointer, strict)


def _struct_problems(value: dict[str, Any], kind: type[Struct], pointer: str, strict: bool) -> list[Problem]:
    found: list[Problem] = []
    hints = get_type_hints(kind, include_extras=True)
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for name, field in fields.items():
        here = f"{pointer}/{_escape(name)}"
        if name in value:
            found += problems_of(value[name], hints[field.name], here, strict=strict)
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            found.append(Problem(here, "required", "This field is required."))
    if kind.__struct_config__.forbid_unknown_fields:
        found += [
            Problem(f"{pointer}/{_escape(name)}", "unknown_field", _did_you_mean(name, fields))
            for name in value
            if name not in fields and name != kind.__struct_config__.tag_field
        ]
    return found


def _did_you_mean(name: str, known: typing.Iterable[str]) -> str:
    import difflib  # noqa: PLC0415

    close = difflib.get_close_matches(str(name), list(known), 1)
    return f"There is no such field; did you mean {close[0]!r}?" if close else "There is no such field."


def _unwrap(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is typing.Annotated else kind


def _only_part(kind: Any, value: Any) -> Any:
    """The one non-null part of an optional type, when there is a value to look into."""
    if get_origin(kind) not in (typing.Union, types.UnionType) or value is None:
        return None
    parts = [part for part in get_args(kind) if part not in (type(None), msgspec.UnsetType)]
    return parts[0] if len(parts) == 1 else None


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
    code = next((code for pattern, code in _CODES if re.search(pattern, text)), "type")
    return Problem(pointer + extra, code, text if text.endswith(".") else f"{text}.")


def _escape(name: str) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")
