"""What other shops call things. A mapping file is all that a format is; those that are shipped lie in ``formats/``."""

from __future__ import annotations

import html
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from msgspec import Struct

from marketplace_core.cli._imports.text import NotAProductFile
from marketplace_core.errors import Invalid
from marketplace_core.validation import convert

__all__ = ["FIELDS", "OWN", "Format", "Layout", "Mapped", "header_key", "load_format", "shipped"]

#: The format that is this marketplace's.
OWN = "marketplace"
#: What a column can be, beside ``option.*`` and ``attr.*``.
FIELDS = frozenset(
    (
        *("product", "sku", "title", "description", "category", "seller", "country", "price", "currency", "stock", "image"),
        *("images", "status", "compare_at", "weight_g", "brand", "tags", "barcode", "digital"),
    )
)
_FOLDER = Path(__file__).parent / "formats"
_PRICE = re.compile(r"\s*(?:([A-Z]{3})\s*)?([-+]?[\d.,'\s\u00a0\u202f]*\d)\s*([A-Z]{3})?\s*")
_WEIGHT = re.compile(r"\s*([\d.,]+)\s*(kg|g|lb|lbs|oz)?\s*", re.IGNORECASE)
_GRAMS = {"kg": Decimal(1000), "g": Decimal(1), "lb": Decimal("453.59237"), "lbs": Decimal("453.59237")}
_GRAMS["oz"] = Decimal("28.349523125")


class Rule(Struct, frozen=True, forbid_unknown_fields=True):
    """A row whose ``column`` says one of ``values``."""

    column: str
    values: tuple[str, ...]


class Format(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the rows of another shop's file are read.

    :param recognise: headers that together no other format has.
    :param columns: header -> field; of several headers for one field the first that is not empty counts, pictures are joined.
    :param options: header of an option's name -> header of its value.
    :param constants: field -> what no column says.
    :param values: field -> what the file calls it -> what it is.
    :param ditto: fields whose empty cell takes the product's row above.
    :param html: fields that come as HTML.
    :param first: fields of which what stands before this mark counts.
    :param split: field -> what stands between several of them.
    :param unit: of a weight without one.
    :param decimal: the mark before a price's decimals.
    :param parents: rows that say what is common to a product, and are no variant.
    :param skip: rows that are no product of a shop's own.
    :param untracked: rows whose stock nobody counts.
    :param before: header of the price before a reduction.

    Fields beside a product's own: ``id`` and ``parent`` name the product of a row that has no ``product``; ``available`` is the
    stock where ``stock`` is empty.
    """

    name: str
    columns: dict[str, str]
    recognise: tuple[str, ...] = ()
    options: dict[str, str] = {}
    constants: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    ditto: tuple[str, ...] = ()
    html: tuple[str, ...] = ()
    first: dict[str, str] = {}
    split: dict[str, str] = {}
    unit: str = "g"
    decimal: str = "."
    parents: Rule | None = None
    skip: Rule | None = None
    untracked: Rule | None = None
    before: str = ""


class Mapped(Struct):
    """A row by our fields. ``parent``: it says what is common to its product, and is no variant."""

    fields: dict[str, Any]
    parent: bool = False


def header_key(name: str) -> str:
    return " ".join(unicodedata.normalize("NFC", name).casefold().split())


@cache
def shipped() -> dict[str, Format]:
    return {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.toml"))}


def load_format(name: str) -> Format:
    """One that is shipped, or a mapping file. :raises NotAProductFile:"""
    if name in shipped():
        return shipped()[name]
    if not name.endswith(".toml"):
        raise NotAProductFile(
            f"there is no format {name!r}", f"use {', '.join(shipped())}, or the path of a mapping file (.toml)"
        )
    return _read(Path(name))


def _read(path: Path) -> Format:
    try:
        found = convert({"name": path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))}, Format)
    except OSError as error:
        raise NotAProductFile(f"{path} cannot be read ({error.strerror})", "give the path of a mapping file") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NotAProductFile(f"{path} is not TOML ({error})", "see docs/reference/imports.md for a mapping file") from error
    except Invalid as error:
        first = error.errors[0]
        raise NotAProductFile(f"{path}: {first.pointer.lstrip('/')}: {first.detail}", "mend the mapping file") from error
    known = {*FIELDS, "available", "id", "parent"}
    for field in [*found.columns.values(), *found.constants]:
        if field not in known and not field.startswith(("option.", "attr.")):
            raise NotAProductFile(f"{path}: no product has a field {field!r}", f"use one of {', '.join(sorted(known))}")
    return found


class Layout:
    """A format laid on the header of one file."""

    def __init__(self, form: Format, header: Sequence[str], constants: Mapping[str, str]) -> None:
        self.form = form
        self._constants = {**form.constants, **constants}
        places = {header_key(name): place for place, name in reversed(list(enumerate(header)))}
        self._columns: list[tuple[str, int]] = [
            (field, places[header_key(name)]) for name, field in form.columns.items() if header_key(name) in places
        ]
        self._options = [
            (places[header_key(name)], places[header_key(value)])
            for name, value in form.options.items()
            if header_key(name) in places and header_key(value) in places
        ]
        self._rules = {
            name: (places[header_key(rule.column)], {header_key(value) for value in rule.values})
            for name, rule in (("parents", form.parents), ("skip", form.skip), ("untracked", form.untracked))
            if rule is not None and header_key(rule.column) in places
        }
        self._before = places.get(header_key(form.before)) if form.before else None
        self._above: dict[str, Any] = {}
        self._names: dict[int, str] = {}

    def fields(self) -> set[str]:
        """What the file can say with it."""
        return {field for field, _ in self._columns} | self._constants.keys()

    def row(self, cells: Sequence[str]) -> Mapped | None:
        """None: the row is to be left out."""
        said = {name for name, (place, values) in self._rules.items() if header_key(_cell(cells, place)) in values}
        if "skip" in said:
            return None
        found: dict[str, Any] = {}
        for field, place in self._columns:
            cell = _cell(cells, place)
            if not cell:
                continue
            if field == "images":
                found.setdefault("images", []).extend(self._several("images", cell))
            elif field not in found:
                found[field] = cell
        alone = self._name(found)
        options = self._options_of(cells, found.get("product"))
        # Of a row that is for a further picture, or for what variants have in common, nothing is sold.
        parent = "parents" in said or not (options or found.keys() & {"sku", "price"})
        if "untracked" in said and not parent:
            found["stock"] = "untracked"
        self._take_from_above(found)
        self._shape(found, cells)
        kind = "attr" if alone and self.form.parents is not None else "option"
        found |= {f"{kind}.{name}": value for name, value in options.items()}
        return Mapped({**self._constants, **found}, parent)

    def _options_of(self, cells: Sequence[str], product: str | None) -> dict[str, str]:
        """The name of an option stands in each row, or in a product's first one only."""
        if product != self._above.get("product"):
            self._names = {}
        found = {}
        for name, value in self._options:
            said = self._names[name] = _cell(cells, name) or self._names.get(name, "")
            if said and (chosen := _cell(cells, value)):
                found[said] = chosen
        # What a shop says of a product without options.
        return {} if found == {"Title": "Default Title"} else found

    def _several(self, field: str, cell: str) -> list[str]:
        mark = self.form.split.get(field)
        return [part for part in (piece.strip() for piece in cell.split(mark)) if part] if mark else [cell]

    def _name(self, found: dict[str, Any]) -> bool:
        """A product is called by its own key, else by its parent's, else as its only row is: whether it is alone."""
        id_, parent = found.pop("id", None), found.pop("parent", None)
        if "product" not in found and (key := parent or found.get("sku") or (f"id:{id_}" if id_ else None)):
            found["product"] = key
        return parent is None

    def _take_from_above(self, found: dict[str, Any]) -> None:
        if not self.form.ditto:
            return
        same = found.get("product", self._above.get("product")) == self._above.get("product")
        if same:
            for field in self.form.ditto:
                if field in self._above:
                    found.setdefault(field, self._above[field])
        self._above = found.copy()

    def _shape(self, found: dict[str, Any], cells: Sequence[str]) -> None:
        form = self.form
        for field, names in form.values.items():
            if field in found:
                found[field] = next((v for k, v in names.items() if header_key(k) == header_key(found[field])), found[field])
        for field in found.keys() & set(form.html):
            found[field] = text_of(found[field])
        for field in found.keys() & form.first.keys():
            found[field] = found[field].split(form.first[field])[0].strip()
        if "weight_g" in found:
            found["weight_g"] = _grams(found["weight_g"].replace(form.decimal, "."), form.unit)
        if "tags" in found and isinstance(found["tags"], str):
            found["tags"] = self._several("tags", found["tags"])
        self._count(found)
        self._prices(found, cells)

    def _count(self, found: dict[str, Any]) -> None:
        available = found.pop("available", None)
        if available is not None:
            found.setdefault("stock", available)
        if self.form.name != OWN and re.fullmatch(r"-\d+", found.get("stock", "")):
            found["stock"] = "0"  # sold, and not there

    def _prices(self, found: dict[str, Any], cells: Sequence[str]) -> None:
        if self.form.name == OWN:
            return
        for field in ("price", "compare_at"):
            if field in found:
                self._price(found, field)
        if self._before is not None and "compare_at" not in found and (before := _cell(cells, self._before)):
            found["compare_at"] = before
            self._price(found, "compare_at")
        if "compare_at" in found and _number(found["compare_at"]) <= _number(found.get("price", "")):
            del found["compare_at"]  # nothing is reduced

    def _price(self, found: dict[str, Any], field: str) -> None:
        match = _PRICE.fullmatch(found[field])
        if match is None:
            return
        before, number, after = match.groups()
        found[field] = number.replace(" ", "").replace("\u00a0", "").replace("\u202f", "").replace("'", "")
        if self.form.decimal == ",":
            found[field] = found[field].replace(".", "").replace(",", ".")
        if before or after:
            found["currency"] = before or after


def _cell(cells: Sequence[str], place: int) -> str:
    return cells[place].strip() if place < len(cells) else ""


def _number(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        return Decimal(0)
    return found if found.is_finite() else Decimal(0)


def _grams(cell: str, unit: str) -> Any:
    match = _WEIGHT.fullmatch(cell)
    if match is None:
        return cell
    try:
        return int((Decimal(match[1]) * _GRAMS[(match[2] or unit).lower()]).to_integral_value())
    except (InvalidOperation, OverflowError):
        return cell


class _Text(HTMLParser):
    _BLOCKS = frozenset(["p", "br", "div", "li", "ul", "ol", "tr", "table", "h1", "h2", "h3", "h4", "h5", "h6", "section"])
    _HIDDEN = frozenset(("script", "style"))

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, _: Iterable[Any]) -> None:
        self._hidden += tag in self._HIDDEN
        if tag in self._BLOCKS:
            self.parts.append("\n- " if tag == "li" else "\n")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in self._HIDDEN and self._hidden > 0
        if tag in self._BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.parts.append(data)


def text_of(markup: str) -> str:
    """What a person reads of HTML: a line for each block."""
    if "<" not in markup and "&" not in markup:
        return markup
    parser = _Text()
    parser.feed(html.unescape(markup) if "&lt;" in markup and "<" not in markup else markup)
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.parts).split("\n"))
    return "\n".join(line for line in lines if line)
