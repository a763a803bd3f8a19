"""Bodies of the largest size, made to cost whoever reads them more than they cost whoever sends them."""

from __future__ import annotations

from collections.abc import Callable

from marketplace_core.http.routing import JSON_LIMIT

__all__ = ["BODIES", "SIZE", "good"]

SIZE = JSON_LIMIT

#: Fields that hold many of something, of one request or another.
CONTAINERS = ("items", "shipping", "variants", "attributes", "preferences", "scopes")


def _many(before: str, each: Callable[[int], str], after: str) -> bytes:
    """As many as there is room for."""
    parts, size, number = [], SIZE - len(before) - len(after), 0
    while (size := size - len(part := each(number)) - 1) >= 0:
        parts.append(part)
        number += 1
    return f"{before}{','.join(parts)}{after}".encode()


def _filled(before: str, unit: str, after: str) -> bytes:
    left = (SIZE - len(before.encode()) - len(after.encode())) // len(unit.encode())
    return f"{before}{unit * left}{after}".encode()


def _deep(before: str, opening: str, closing: str, after: str, levels: int | None = None) -> bytes:
    most = (SIZE - len(before) - len(after)) // (len(opening) + len(closing))
    levels = most if levels is None else levels
    return f"{before}{opening * levels}{closing * levels}{after}".encode()


#: By what is bad in them.
BODIES: dict[str, bytes] = {
    **{f"{name} of empty objects": _many(f'{{"{name}":[', lambda _: "{}", "]}") for name in CONTAINERS},
    **{f"{name} of numbers": _many(f'{{"{name}":[', lambda _: "0", "]}") for name in ("items", "variants", "scopes")},
    **{f"{name} by name": _many(f'{{"{name}":{{', lambda n: f'"k{n}":0', "}}") for name in CONTAINERS},
    **{
        f"{name} of lists by name": _many(f'{{"{name}":{{', lambda n: f'"k{n}":[]', "}}") for name in ("shipping", "attributes")
    },
    "unknown names": _many("{", lambda n: f'"q{n}":[]', "}"),
    "names that are nearly right": _many("{", lambda n: f'"email{n}":0', "}"),
    "rows of unknown names": _many('{"items":[', lambda n: f'{{"sk{n}":1}}', "]}"),
    "rows of good ones": _many('{"items":[', lambda n: f'{{"sku":"s{n}","quantity":1}}', "]}"),
    "one long name": _filled('{"', "a", '":1}'),
    "one long text": _filled('{"email":"', "a", '"}'),
    "a long address": _filled('{"password":"x","name":"x","email":"a@', "a.", ' "}'),
    "a long number": _filled('{"email":', "1", "}"),
    "large numbers": _many('{"preferences":{', lambda n: f'"p{n}":1e308', "}}"),
    "escaped NULs": _filled('{"email":"', "\\u0000", '"}'),
    "escaped marks": _filled('{"email":"', "\\u0301", '"}'),
    "marks out of order": _filled('{"email":"', "\u0315\u0300", '"}'),
    "letters to compose": _filled('{"email":"', "e\u0301\u0327", '"}'),
    "Hangul to compose": _filled('{"email":"', "\u1100\u1161\u11a8", '"}'),
    "times": _many('{"items":[', lambda _: '"0001-01-01T00:00:00+14:00"', "]}"),
    "deep lists": _deep('{"attributes":{"a":', "[", "]", "}}"),
    "deep objects": _deep('{"attributes":', '{"a":', "}", "}"),
    "600 levels": _deep('{"title":"x","attributes":{"a":', "[", "]", "}}", 600),
    "one name again and again": _many("{", lambda _: '"email":1', "}"),
    "good times": _many('{"items":[', lambda _: '"2026-01-31T12:00:00"', "]}"),
    "blanks": _filled("{", " ", "}"),
    "half an object": _filled('{"items":[', "{},", ""),
    "no UTF-8": b'{"email":"' + b"\xff" * (SIZE - 12) + b'"}',
}


def good() -> bytes:
    """A product of the largest size: 200 variants with their options."""
    options = ",".join(f'"{"o" * 40}{number}":"{"v" * 180}"' for number in range(18))
    variants = ",".join(
        f'{{"sku":"{number}","title":"{"t" * 200}","options":{{{options}}},"stock":3}}' for number in range(200)
    )
    return f'{{"title":"x","variants":[{variants}]}}'.encode()
