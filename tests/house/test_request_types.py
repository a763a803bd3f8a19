"""What a request may hold is bounded by its type: every list, dict and text of every route; a pattern is of a whole text."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
import pytest
from msgspec import Meta, Struct

from marketplace_core._plugins.openapi import routes_of
from marketplace_core.deployment import DEFAULT_FILE
from marketplace_core.errors import Invalid
from marketplace_core.http.routing import Route
from marketplace_core.validation import convert
from marketplace_core.values import AUDIENCES, AddressInput, Country, Currency

ROOT = Path(__file__).resolve().parents[2]
CONTAINERS = (list, tuple, set, frozenset, dict)


def routes() -> list[Route]:
    return [route for audience in AUDIENCES for route in routes_of(DEFAULT_FILE, audience)]


def parts(kind: Any, where: str, seen: set[Any], metas: tuple[Meta, ...] = ()) -> Iterator[tuple[str, Any, tuple[Meta, ...]]]:
    """Every type that a value of this one may hold, at any depth, with what is said of it and where it stands."""
    if get_origin(kind) is typing.Annotated:
        bare, *said = get_args(kind)
        yield from parts(bare, where, seen, (*metas, *(each for each in said if isinstance(each, Meta))))
    elif get_origin(kind) in (typing.Union, types.UnionType):
        for part in get_args(kind):
            yield from parts(part, where, seen, metas)
    elif isinstance(kind, type) and issubclass(kind, Struct):
        if kind not in seen:
            seen.add(kind)
            yield where, kind, metas
            for name, hint in get_type_hints(kind, include_extras=True).items():
                yield from parts(hint, f"{kind.__name__}.{name}", seen)
    else:
        yield where, kind, metas
        for part in get_args(kind) if get_origin(kind) is not Literal else ():
            if part is not Ellipsis:
                yield from parts(part, f"{where}[]", seen)


def unbounded(kind: Any, where: str) -> Iterator[str]:
    for place, part, metas in parts(kind, where, set()):
        bare = get_origin(part) or part
        has_most = any(meta.max_length is not None for meta in metas)
        fixed = bare is tuple and get_args(part) and get_args(part)[-1] is not Ellipsis
        if bare is str and not has_most and not any(is_short(meta.pattern) for meta in metas):
            yield f"{place}: a text of any length"
        if bare in CONTAINERS and not has_most and not fixed:
            yield f"{place}: {bare.__name__} of any length"
        for meta in metas:
            if meta.pattern is not None and not (meta.pattern.startswith("^") and meta.pattern.endswith(r"\Z")):
                yield f"{place}: the pattern {meta.pattern} is of a part of the text"
        if isinstance(bare, type) and issubclass(bare, Struct) and not bare.__struct_config__.forbid_unknown_fields:
            yield f"{place}: {bare.__name__} takes unknown fields"


def is_short(pattern: str | None) -> bool:
    return pattern is not None and not any(each in pattern for each in "*+")


@pytest.mark.behaviour("all-8", "all-9")
def test_every_request_type_is_bounded() -> None:
    asked = routes()
    found = [text for route in asked for kind in (route.query, route.body) for text in unbounded(kind, route.name)]
    assert not found
    assert len([route for route in asked if route.body is not None]) > 30


class Wrong(Struct):
    one: str
    two: list[int]
    three: dict[str, int] = {}
    four: typing.Annotated[str, Meta(pattern="^[A-Z]$")] = "A"
    five: tuple[int, ...] | None = None


def test_a_type_that_is_not_would_be_found() -> None:
    assert len(list(unbounded(Wrong, "here"))) == 7


def patterns_in(path: Path) -> Iterator[str]:
    for line in path.read_text().splitlines():
        if "pattern=" in line and "Meta(" in line:
            yield line.strip()


def test_no_pattern_anywhere_lets_a_line_break_stand_behind_it() -> None:
    """Of settings, files and stores as well: `$` is before the last line break too."""
    sources = [*ROOT.glob("src/**/*.py"), *ROOT.glob("plugins/*/src/**/*.py"), *ROOT.glob("examples/*/src/**/*.py")]
    lines = [f"{path.name}: {line}" for path in sources for line in patterns_in(path)]
    assert not [line for line in lines if '$"' in line]
    assert len(lines) > 10


#: By its type, what it takes and what it does not.
CODES: list[tuple[Any, list[str], list[str]]] = [
    (Country, ["DE", "GB", "AE"], ["UK", "EU", "ZZ", "de", "DE\n", ""]),
    (Currency, ["EUR", "KWD", "IDR"], ["EUO", "EUR\n", "eur", "XTS", ""]),
]


@pytest.mark.behaviour("all-9")
@pytest.mark.parametrize(("kind", "good", "bad"), CODES)
def test_codes_come_from_lists(kind: Any, good: list[str], bad: list[str]) -> None:
    for code in good:
        assert convert(code, kind) == code
    for code in bad:
        with pytest.raises(Invalid):
            convert(code, kind)


@pytest.mark.behaviour("all-9")
def test_no_request_takes_a_code_by_its_shape() -> None:
    found: dict[str, set[Any]] = {"country": set(), "currency": set()}
    for route in routes():
        for kind in (route.query, route.body):
            for struct in {
                part for _, part, _ in parts(kind, "", set()) if isinstance(part, type) and issubclass(part, Struct)
            }:
                hints = get_type_hints(struct, include_extras=True)
                for name in found.keys() & hints.keys():
                    found[name] |= {part for _, part, _ in parts(hints[name], "", set())} - {type(None), msgspec.UnsetType}
    assert found == {"country": {Country}, "currency": {Currency}}


@pytest.mark.parametrize(
    ("country", "code", "fits"), [("DE", "", False), ("DE", " ", False), ("AE", "", True), ("QA", "", True)]
)
def test_a_postal_code_is_needed_where_a_country_has_them(country: str, code: str, fits: bool) -> None:
    address = {"name": "A", "line1": "B", "city": "C", "country": country, "postal_code": code}
    if fits:
        assert convert(address, AddressInput).postal_code == code
    else:
        with pytest.raises(Invalid) as caught:
            convert(address, AddressInput)
        assert [each.pointer for each in caught.value.errors] == ["/postal_code"]
