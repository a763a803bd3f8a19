"""The rows of a product file: JSON Lines, or CSV with a header. A bad row is told with its line and its cause."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from marketplace_core.errors import Invalid, Problem
from marketplace_core.validation import convert, decode_json
from marketplace_core.values import Currency, Money, minor_units

__all__ = ["BadRow", "NotAProductFile", "ProductRow", "read_rows"]

REQUIRED = ("product", "sku", "title", "seller", "price", "currency", "stock")
_COLUMNS = {*REQUIRED, "description", "category", "image"}
_GROUPS = {"option.": "options", "attr.": "attributes"}

Name = Annotated[str, Meta(min_length=1, max_length=300)]


class NotAProductFile(Exception):
    """The file cannot be read as what it should be."""


class BadRow(Struct, frozen=True):
    """What is rejected, and why: ``line`` counts from 1, the header of a CSV file is line 1."""

    line: int
    code: str
    detail: str


class ProductRow(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One variant. ``product`` is the seller's own key; ``price`` is a decimal; ``stock`` is on hand."""

    product: Annotated[str, Meta(min_length=1, max_length=200)]
    sku: Annotated[str, Meta(min_length=1, max_length=100)]
    title: Name
    seller: Annotated[str, Meta(min_length=1, max_length=200)]
    price: str | int | float
    currency: Currency
    stock: Annotated[int, Meta(ge=0, le=2_000_000_000)]
    description: Annotated[str, Meta(max_length=20_000)] = ""
    category: Annotated[str, Meta(max_length=1000)] = ""
    image: str | None = None
    options: dict[str, str] = {}
    attributes: dict[str, Any] = {}

    @property
    def money(self) -> Money:
        """:raises Invalid: the price is no decimal above 0, or has more places than the currency."""
        try:
            amount = Decimal(str(self.price)).scaleb(minor_units(self.currency))
        except InvalidOperation:
            amount = Decimal(0)
        if not amount.is_finite() or amount <= 0 or amount != amount.to_integral_value() or amount > 9_999_999_999:
            places = minor_units(self.currency)
            raise Invalid([Problem("/price", "range", f"A price is above 0 and has at most {places} decimal places.")])
        return Money(int(amount), self.currency)

    @property
    def path(self) -> tuple[str, ...]:
        """The category from the root on."""
        return tuple(part for part in (piece.strip() for piece in self.category.split(">")) if part)


def read_rows(path: Path) -> Iterator[tuple[int, ProductRow | BadRow]]:
    """Each row with its line, in order. :raises NotAProductFile:"""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = _csv_rows(file, path) if path.suffix.lower() == ".csv" else _json_rows(file)
            yield from reader
    except UnicodeDecodeError as error:
        raise NotAProductFile(f"{path} is not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise NotAProductFile(f"{path} cannot be read ({error.strerror})") from error


def _json_rows(lines: Any) -> Iterator[tuple[int, ProductRow | BadRow]]:
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, _checked(number, lambda line=line: decode_json(line.encode(), ProductRow))


def _csv_rows(lines: Any, path: Path) -> Iterator[tuple[int, ProductRow | BadRow]]:
    reader = csv.DictReader(lines, strict=True)
    header = list(reader.fieldnames or ())
    missing = [name for name in REQUIRED if name not in header]
    unknown = [name for name in header if name not in _COLUMNS and not name.startswith(tuple(_GROUPS))]
    if missing or unknown:
        wrong = f"lacks the column {missing[0]!r}" if missing else f"has a column {unknown[0]!r} that no product has"
        raise NotAProductFile(f"the header of {path} {wrong}")
    try:
        for row in reader:
            number = reader.line_num
            yield number, _checked(number, lambda row=row: convert(_nested(row), ProductRow, strict=False))
    except csv.Error as error:
        raise NotAProductFile(f"line {reader.line_num} of {path} is not CSV ({error})") from error


def _nested(row: dict[str | None, Any]) -> dict[str, Any]:
    """``option.size`` becomes ``options: {size}``; an empty cell says nothing."""
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name is None:
            raise Invalid([Problem("", "unknown_field", "The row has more cells than the header.")])
        if value is None or value == "":
            continue
        prefix = next((prefix for prefix in _GROUPS if name.startswith(prefix)), None)
        if prefix is None:
            found[name] = value
        else:
            found.setdefault(_GROUPS[prefix], {})[name.removeprefix(prefix)] = value
    return found


def _checked(line: int, make: Any) -> ProductRow | BadRow:
    try:
        row: ProductRow = make()
        row.money  # noqa: B018 - looked at for what it raises
    except msgspec.DecodeError:
        return BadRow(line, "malformed", "The line is not JSON.")
    except Invalid as error:
        first = error.errors[0]
        more = f" ({len(error.errors) - 1} more)" if len(error.errors) > 1 else ""
        return BadRow(line, first.code, f"{first.pointer.lstrip('/') or 'the row'}: {first.detail}{more}")
    return row
