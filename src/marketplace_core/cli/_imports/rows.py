"""The rows of a product file: each is one variant, or is told with its line, its cause and what it says."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from marketplace_core.cli._imports.formats import Mapped
from marketplace_core.cli._imports.text import Line
from marketplace_core.errors import Invalid, Problem
from marketplace_core.validation import convert, decode_json
from marketplace_core.values import LARGEST_AMOUNT, Currency, Money, minor_units

__all__ = ["UNTRACKED", "BadRow", "Common", "ProductRow", "Row", "check", "json_rows", "made_up_sku"]

_GROUPS = {"option.": "options", "attr.": "attributes"}
_PREFIXES = tuple(_GROUPS)
MAX_DEPTH, MAX_NAME, MAX_ATTRIBUTES, MAX_NESTED = 30, 200, 65_536, 20
#: What is on the shelf of a variant whose units nobody counts.
UNTRACKED = 1_000_000
_SHOWN = 100

Text = Annotated[str, Meta(max_length=20_000)]
Key = Annotated[str, Meta(min_length=1, max_length=200)]


class BadRow(Struct, frozen=True, omit_defaults=True):
    """What is rejected, and why: ``line`` is its first one and counts from 1, as the header does; ``value`` is what it says."""

    line: int
    code: str
    detail: str
    value: str | None = None


class Common(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a row says of its product, whether it is a variant or not. Pictures are paths beside the file, or URLs."""

    product: Key
    seller: Key
    title: Annotated[str, Meta(min_length=1, max_length=300)]
    description: Text | None = None
    category: Annotated[str, Meta(max_length=8000)] | None = None
    country: Annotated[str, Meta(pattern=r"^[A-Z]{2}\Z")] | None = None
    status: Literal["draft", "published", "archived"] | None = None
    image: Annotated[str, Meta(max_length=2000)] | None = None
    images: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=2000)], ...], Meta(max_length=50)] = ()
    brand: Annotated[str, Meta(max_length=200)] | None = None
    tags: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...], Meta(max_length=250)] | None = None
    digital: bool | None = None
    attributes: dict[str, Any] | None = None

    @property
    def path(self) -> tuple[str, ...]:
        """The category from the root on."""
        return _path(self.category) if self.category else ()

    @property
    def pictures(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*([self.image] if self.image else []), *self.images]))


class ProductRow(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One variant. ``product`` is the seller's own key; prices are decimals; ``stock`` is on hand, None: as it was."""

    sku: Annotated[str, Meta(min_length=1, max_length=100)]
    price: str | int | float
    currency: Currency
    stock: Annotated[int, Meta(ge=0, le=2_000_000_000)] | None = None
    compare_at: str | int | float | None = None
    weight_g: Annotated[int, Meta(ge=0, le=10_000_000)] | None = None
    barcode: Annotated[str, Meta(max_length=100)] | None = None
    options: Annotated[
        dict[Annotated[str, Meta(min_length=1, max_length=100)], Annotated[str, Meta(min_length=1, max_length=200)]],
        Meta(max_length=20),
    ] = {}

    @property
    def untracked(self) -> bool:
        """Nobody counts its units."""
        return self.stock == UNTRACKED

    @property
    def money(self) -> Money:
        """:raises Invalid: the price is no decimal above 0, or has more places than the currency."""
        return _money(self.price, self.currency, "/price")

    @property
    def before(self) -> Money | None:
        """The price before a reduction. :raises Invalid: it is none above the price."""
        if self.compare_at is None:
            return None
        found = _money(self.compare_at, self.currency, "/compare_at")
        if found <= self.money:
            raise Invalid([Problem("/compare_at", "range", "A compare_at is above the price.")])
        return found


Row = ProductRow | Common | BadRow


#: Rows repeat their categories and their prices: as many are remembered as cost nothing.
_REMEMBERED = 4096


@lru_cache(_REMEMBERED)
def _path(category: str) -> tuple[str, ...]:
    pieces = (" ".join(piece.split()) for piece in category.split(">"))
    return tuple(piece for piece in pieces if piece)


@lru_cache(_REMEMBERED, typed=True)
def _money(value: str | float, currency: str, pointer: str) -> Money:
    places = minor_units(currency)
    text = str(value).strip()
    try:
        # As many digits as there may be, and an exponent that is none: 1e999999 has a million of them.
        amount = Decimal(text).scaleb(places) if len(text) <= 40 and abs(Decimal(text).adjusted()) < 40 else Decimal(0)
    except (InvalidOperation, OverflowError):
        amount = Decimal(0)
    if not amount.is_finite() or amount <= 0 or amount > LARGEST_AMOUNT or amount != amount.to_integral_value():
        detail = f"A price is above 0 and has at most {places} decimal places."
        if re.fullmatch(r"[\d.\s']*\d,\d{1,2}", text):
            detail = "Write a point before the decimals, or give a mapping file with decimal = ','."
        raise Invalid([Problem(pointer, "range", detail)])
    return Money(int(amount), currency)


def json_rows(lines: Iterator[Line], constants: Mapping[str, str]) -> Iterator[tuple[int, dict[str, Any], Row]]:
    """Of JSON Lines: each line, what it says as far as that can be read, and what it is."""
    for line in lines:
        if line.text is None:
            yield line.number, {}, BadRow(line.number, "malformed", line.problem)
        elif line.text and not line.text.isspace():
            yield _json_row(line.number, line.text.encode(errors="replace"), constants)


def _json_row(number: int, raw: bytes, constants: Mapping[str, str]) -> tuple[int, dict[str, Any], Row]:
    try:
        said = decode_json(raw, dict[str, Any])
    except Invalid as error:
        return number, {}, _bad(number, error, {})
    except (msgspec.DecodeError, RecursionError):
        if raw.lstrip()[:1] == b"{" and raw.rstrip()[-1:] == b"}":
            return number, {}, BadRow(number, "malformed", "The line is not JSON, or nested deeper than can be.")
        return number, {}, BadRow(number, "malformed", "The line is not JSON.", raw[:_SHOWN].decode(errors="replace").strip())
    fields = {**constants, **{name: _stripped(value) for name, value in said.items() if value is not None}}
    return number, fields, check(number, Mapped(fields))


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def check(number: int, mapped: Mapped) -> Row:
    """What a row is; ``option.size`` in it is ``options: {size}``."""
    fields: dict[str, Any] = {}
    for name, value in mapped.fields.items():
        if name.startswith(_PREFIXES):
            prefix = name[: name.index(".") + 1]
            fields.setdefault(_GROUPS[prefix], {})[name.removeprefix(prefix)] = value
        else:
            fields[name] = value
    if fields.get("stock") == "untracked":
        fields["stock"] = UNTRACKED
    try:
        if mapped.parent:
            known = {name: value for name, value in fields.items() if name in Common.__struct_fields__}
            common: Common = _checked(Common, known)
            return common
        if "sku" not in fields and isinstance(fields.get("product"), str):
            fields["sku"] = made_up_sku(fields["product"], fields)
        row: ProductRow = _checked(ProductRow, fields)
        row.before if row.compare_at is not None else row.money  # noqa: B018 - looked at for what it raises
    except Invalid as error:
        return _bad(number, error, fields)
    return row


def _checked(kind: Any, fields: dict[str, Any]) -> Any:
    """As ``convert`` does; what is good is looked at once."""
    try:
        row = msgspec.convert(fields, kind, strict=False)
    except msgspec.ValidationError:
        return convert(fields, kind, strict=False)
    for problem in _odd(row):
        raise Invalid([problem])
    return row


def _odd(row: Common) -> Iterator[Problem]:
    for field, value in (("product", row.product), ("seller", row.seller), ("title", row.title)):
        if value.isspace():
            yield Problem(f"/{field}", "length", "It shows nothing.")
    if "\0" in repr_of(row):
        yield Problem("", "format", "Text cannot hold NUL.")
    path = row.path
    if len(path) > MAX_DEPTH or any(len(name) > MAX_NAME for name in path):
        yield Problem(
            "/category", "length", f"A category has at most {MAX_DEPTH} levels, each of at most {MAX_NAME} characters."
        )
    if row.attributes:
        yield from _oversized(row.attributes)


def repr_of(row: Common) -> str:
    parts = [row.product, row.seller, row.title, row.description or "", row.category or "", row.brand or ""]
    if isinstance(row, ProductRow):
        parts += [row.sku, row.barcode or "", *row.options, *row.options.values()]
    return "".join(parts)


def _oversized(attributes: Mapping[str, Any]) -> Iterator[Problem]:
    """What no page shows: attributes of a book's length, or nested as no person nests them. Without recursion."""
    level: list[Any] = [attributes]
    for _ in range(MAX_NESTED):
        if any(isinstance(part, str) and "\0" in part for part in level):
            yield Problem("/attributes", "format", "Text cannot hold NUL.")
        if any(isinstance(part, float) and abs(part) >= 2**63 for part in level):
            yield Problem("/attributes", "range", "Expected a number of at most 64 bits.")
        level = [each for part in level for each in _parts(part)]
        if not level:
            break
    else:
        yield Problem("/attributes", "length", f"Attributes are nested at most {MAX_NESTED} deep.")
        return
    if len(msgspec.json.encode(attributes)) > MAX_ATTRIBUTES:
        yield Problem("/attributes", "length", f"Attributes take at most {MAX_ATTRIBUTES:,} bytes.")


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return list(value) if isinstance(value, (list, tuple)) else []


def made_up_sku(product: str, fields: Mapping[str, Any]) -> str:
    """The same at each run, wherever the row stands: made of what tells the variant from the product's others."""
    options = fields.get("options")
    named = {name.removeprefix("option."): value for name, value in fields.items() if name.startswith("option.")}
    named |= options if isinstance(options, dict) else {}
    values = [str(value) for _, value in sorted(named.items())]
    plain = "-".join("-".join(part.split()) for part in (product.strip(), *values)).upper()
    if len(plain) <= 100:
        return plain
    return f"{plain[:80]}-{hashlib.blake2b(plain.encode(), digest_size=8).hexdigest()}"


def _bad(number: int, error: Invalid, fields: Mapping[str, Any]) -> BadRow:
    first = error.errors[0]
    more = f" ({len(error.errors) - 1} more)" if len(error.errors) > 1 else ""
    pointer = first.pointer.lstrip("/")
    detail = f"{pointer or 'the row'}: {first.detail}{more}"
    said = fields.get(pointer.split("/")[0])
    value = None if said is None else (said if isinstance(said, str) else _short(said))
    return BadRow(number, first.code, detail, value[:_SHOWN] if value is not None else None)


def _short(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (RecursionError, msgspec.MsgspecError, ValueError, TypeError):
        return ""
