"""What a store can hold of a value that its type lets through, and how much of free JSON is taken.

Nothing here recurses: a value may be as deep as its sender likes.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import Struct

from marketplace_core.errors import MOST_PROBLEMS, Invalid, Problem

__all__ = [
    "FREE_DEPTH",
    "FREE_TEXT",
    "FREE_VALUES",
    "composed",
    "composed_json",
    "has_many_large_numbers",
    "holds_free_json",
    "segment",
    "unstorable",
]

#: Of a field that takes any JSON: how deep it is, how many values it has in all, and how long a text in it is.
FREE_DEPTH = 20
FREE_VALUES = 2000
FREE_TEXT = 20_000
#: Of a name in a pointer; what is longer is cut: an answer is not to grow with what was sent.
SEGMENT = 128
#: Marks on one letter, twice as many as UAX 15 has for a safe stream: to put them into order takes the square of their number.
MARKS = 63
_STEP = 16
_IN_A_ROW = re.compile(rb"[^\0]{3,}")
_RUN = re.compile(rb"[^\0]{%d}" % (MARKS + 1))

#: In a large document so many numbers that no store holds are too many to be read: each takes a hundred times as long.
LARGE_DOCUMENT = 16 * 1024
LARGE_NUMBERS = 100
_LARGE_NUMBER = re.compile(rb"[:,\[]\s*-?[0-9][0-9.]*[eE](?:\+?0*(?:[2-9][0-9]|[1-9][0-9]{2,})|-0*[1-9][0-9]{2,})")


def segment(name: object) -> str:
    """A name as one step of an RFC 6901 pointer."""
    return str(name)[:SEGMENT].replace("~", "~0").replace("/", "~1")


def has_many_large_numbers(raw: bytes) -> bool:
    """Whether a JSON document is made of numbers that are no use to anybody, and costly to read."""
    if len(raw) < LARGE_DOCUMENT:
        return False
    return sum(1 for _ in islice(_LARGE_NUMBER.finditer(raw), LARGE_NUMBERS + 1)) > LARGE_NUMBERS


def unstorable(value: Any, pointer: str = "", *, free: bool = False) -> list[Problem]:
    """What no store can hold: NUL, numbers of more than 64 bits, times outside of the calendar or without an offset.

    ``free``: the value is any JSON, which is bounded. A field that takes any is found by the struct that it is in.
    """
    found: list[Problem] = []
    waiting: list[tuple[Any, str, int]] = [(value, pointer, 1)]
    seen = 0
    while waiting and len(found) <= MOST_PROBLEMS:
        part, here, depth = waiting.pop()
        seen += 1
        if free and seen + (len(part) if isinstance(part, (dict, list)) else 0) > FREE_VALUES:
            return [*found, Problem(pointer, "length", f"Expected at most {FREE_VALUES} values in all.")]
        if (odd := _odd(part, here, free)) is not None:
            found.append(odd)
        elif isinstance(part, Struct):
            taking_any = _free_fields(type(part))
            inside = [(name, getattr(part, field)) for field, name in _names(type(part))]
            for name, inner in inside:
                if name in taking_any:
                    found += unstorable(inner, f"{here}/{segment(name)}", free=True)
            waiting += _under(here, ((name, inner) for name, inner in inside if name not in taking_any), depth)
        elif isinstance(part, (dict, list, tuple)):
            if free and depth > FREE_DEPTH:
                found.append(Problem(here, "length", f"Expected at most {FREE_DEPTH} levels."))
            else:
                waiting += _under(here, part.items() if isinstance(part, dict) else enumerate(part), depth)
    return found


def _under(pointer: str, parts: Iterable[tuple[Any, Any]], depth: int) -> list[tuple[Any, str, int]]:
    """What is still to be looked at, the first at the end."""
    return [(part, f"{pointer}/{segment(name)}", depth + 1) for name, part in parts][::-1]


def _odd(value: Any, pointer: str, free: bool) -> Problem | None:
    if isinstance(value, str):
        return _odd_text(value, pointer, "Text", FREE_TEXT if free else None)
    if isinstance(value, (int, float)):
        # A store gives 1e300 back as a whole number, with all its digits.
        is_held = -(2**63) <= value < 2**63
        return None if is_held else Problem(pointer, "range", "Expected a number of at most 64 bits.")
    if isinstance(value, datetime):
        return _odd_time(value, pointer)
    if isinstance(value, dict):
        names = (_odd_text(name, pointer, "A name", SEGMENT if free else None) for name in value if isinstance(name, str))
        return next(filter(None, names), None)
    return None


def _odd_text(text: str, pointer: str, what: str, most: int | None) -> Problem | None:
    if "\0" in text:
        return Problem(pointer, "format", f"{what} cannot hold NUL.")
    is_long = most is not None and len(text) > most
    return Problem(pointer, "length", f"{what} has at most {most} characters.") if is_long else None


def _odd_time(value: datetime, pointer: str) -> Problem | None:
    if value.tzinfo is None:
        return Problem(pointer, "format", "Expected RFC 3339 with an offset, as in 2026-01-31T12:00:00Z.")
    try:
        value.astimezone(UTC)
    except OverflowError:
        return Problem(pointer, "range", "Expected a time from the year 1 to the year 9999 in UTC.")
    return None


@functools.cache
def _names(kind: type[Struct]) -> tuple[tuple[str, str], ...]:
    return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(kind))


@functools.cache
def _free_fields(kind: type[Struct]) -> frozenset[str]:
    """The fields of a struct in which there may be any JSON."""
    hints = get_type_hints(kind, include_extras=True)
    return frozenset(name for field, name in _names(kind) if _takes_any(hints[field]))


def _takes_any(kind: Any) -> bool:
    return kind is Any or any(_takes_any(part) for part in get_args(kind))


def holds_free_json(kind: Any) -> bool:
    """Whether there may be any JSON somewhere in a value of this type."""
    return _holds_free(kind, frozenset())


def _holds_free(kind: Any, above: frozenset[Any]) -> bool:
    if isinstance(kind, type) and issubclass(kind, Struct):
        if kind in above:
            return False
        hints = get_type_hints(kind, include_extras=True).values()
        return any(_holds_free(hint, above | {kind}) for hint in hints)
    return kind is Any or any(_holds_free(part, above) for part in get_args(kind))


# ── one spelling ─────────────────────────────────────────────────────────────────────────────────────────────

#: What decoding turns into another character than Latin-1, where nothing can be composed anew.
_ESCAPED = re.compile(rb"\\u(?!00)")


def composed(text: str) -> str:
    """In Unicode's form C: what looks the same is the same. :raises Invalid: more marks on a letter than any script has."""
    if text.isascii():
        return text
    if _is_heaped(text):
        raise Invalid([Problem("", "format", f"Expected at most {MARKS} marks on one letter.")])
    return unicodedata.normalize("NFC", text)


def composed_json(raw: bytes) -> bytes:
    """All texts and names of a JSON document in form C; what is no JSON is left as it is. :raises Invalid: as above."""
    if not _ESCAPED.search(raw):
        if raw.isascii():
            return raw
    else:
        try:
            raw = msgspec.json.encode(msgspec.json.decode(raw))
        except (ValueError, RecursionError):
            return raw  # to be said by who decodes it
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return raw
    return composed(text).encode()


def _is_heaped(text: str) -> bool:
    """Few characters are looked at: a run of too many has three of them in a row."""
    seen = bytes(map(unicodedata.combining, text[::_STEP]))
    for found in _IN_A_ROW.finditer(seen):
        near = text[max(0, found.start() - 1) * _STEP : (found.end() + 1) * _STEP]
        if _RUN.search(bytes(map(unicodedata.combining, near))):
            return True
    return False
