"""A product file: what it is written in, whose shop's format it has, and its rows."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from marketplace_core.cli._imports.cells import DELIMITERS, Bad, Cells, delimiter_of, read_cells
from marketplace_core.cli._imports.formats import FIELDS, OWN, Format, Layout, Mapped, header_key, load_format, shipped
from marketplace_core.cli._imports.rows import BadRow, Row, check, json_rows
from marketplace_core.cli._imports.sheets import read_sheet
from marketplace_core.cli._imports.text import Line, NotAProductFile, Place, Text, look_at, read_lines

__all__ = ["OWN", "ProductFile", "Recognised", "open_file"]

REQUIRED = ("product", "sku", "title", "seller", "price", "currency", "stock")
_GROUPS = ("option.", "attr.")
_JSON = frozenset((".jsonl", ".ndjson", ".json"))
_TABLES = frozenset((".csv", ".tsv", ".txt", ".tab"))
_WRITTEN = {"utf-8-sig": "UTF-8 with a mark", "utf-8": "UTF-8", "cp1252": "Windows-1252"}


class Recognised(Struct, frozen=True):
    """What a file was taken for: ``format`` is one that is shipped, a mapping file's name, or ``marketplace``."""

    format: str
    kind: str
    encoding: str | None = None
    delimiter: str | None = None
    gzip: bool = False

    def __str__(self) -> str:
        said = [self.kind, self.encoding, self.delimiter and f"with {self.delimiter}s", "gzip" if self.gzip else None]
        return f"{self.format} ({', '.join(part for part in said if part)})"


class ProductFile:
    """``rows`` gives each row once: its line, what it says by our fields, and what it is. ``place``: how far it is read."""

    def __init__(self, recognised: Recognised, rows: Iterator[tuple[int, dict[str, Any], Row]], place: Place) -> None:
        self.recognised = recognised
        self.rows = rows
        self.place = place


def open_file(path: Path, form: str | None = None, constants: Mapping[str, str] | None = None) -> ProductFile:
    """:param form: a shipped format or a mapping file; None: recognised by the header.
    :param constants: field -> what no column says, such as a seller.
    :raises NotAProductFile: it can be read by none.
    """
    given = dict(constants or {})
    text = look_at(path)
    place = Place(text.size)
    if text.workbook:
        return _table(path, "workbook", None, None, iter(read_sheet(path)), form, given, place)
    lines = read_lines(text, place)
    first = next((line for line in lines if line.text is None or line.text.strip()), None)
    if first is None:
        raise NotAProductFile(f"{path} is empty", "give a file with a row for each variant")
    lines = itertools.chain([first], lines)
    if _is_json(path, first) and (form is None or form == OWN):
        recognised = Recognised(OWN, "JSON Lines", _encoding(text), None, text.gzipped)
        return ProductFile(recognised, json_rows(lines, given), place)
    delimiter = delimiter_of(first.text or "")
    return _table(path, "table", text, delimiter, read_cells(lines, delimiter), form, given, place)


def _is_json(path: Path, first: Line) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    last = suffixes[-1] if suffixes else ""
    return last in _JSON or (last not in _TABLES and (first.text or "").lstrip()[:1] == "{")


def _encoding(text: Text) -> str:
    return _WRITTEN.get(text.encoding, text.encoding.upper())


def _table(
    path: Path,
    kind: str,
    text: Text | None,
    delimiter: str | None,
    records: Iterator[Cells | Bad],
    form: str | None,
    constants: dict[str, str],
    place: Place,
) -> ProductFile:
    head = next(records, None)
    if head is None or len(head) == 3:
        raise NotAProductFile(f"the header of {path} cannot be read")
    header = [name.strip() for name in head[1]]
    chosen = _own(header, constants) if form == OWN else load_format(form) if form else _recognised(path, header, constants)
    layout = Layout(chosen, header, constants)
    _require(path, chosen, layout)
    said = Recognised(
        chosen.name,
        kind,
        _encoding(text) if text else None,
        DELIMITERS[delimiter] if delimiter else None,
        text.gzipped if text else False,
    )
    return ProductFile(said, _rows(records, layout, len(header)), place)


def _rows(records: Iterator[Cells | Bad], layout: Layout, width: int) -> Iterator[tuple[int, dict[str, Any], Row]]:
    for record in records:
        if len(record) == 3:
            line, code, detail = record
            yield line, {}, BadRow(line, code, detail)
            continue
        line, cells = record
        mapped = layout.row(cells)
        if mapped is None:
            continue
        if any(cell.strip() for cell in cells[width:]):
            detail = f"The row has {len(cells)} cells, the header {width}."
            yield line, mapped.fields, BadRow(line, "unknown_field", detail, next(c for c in cells[width:] if c.strip()))
        else:
            yield line, mapped.fields, check(line, Mapped(mapped.fields, mapped.parent))


# ── which format ─────────────────────────────────────────────────────────────────────────────────────────────


def _own(header: Sequence[str], constants: Mapping[str, str]) -> Format:
    columns = {name: _field(name) for name in header if name}
    return Format(name=OWN, columns=columns, split={"images": ",", "tags": ","}, unit="g")


def _field(name: str) -> str:
    """Fields are found whatever their case; of an option's name the case is its own."""
    prefix = next((prefix for prefix in _GROUPS if name.casefold().startswith(prefix)), None)
    return header_key(name) if prefix is None else prefix + name[len(prefix) :]


def _recognised(path: Path, header: Sequence[str], constants: Mapping[str, str]) -> Format:
    keys = {header_key(name) for name in header}
    known = {_field(name) for name in header if name} | constants.keys()
    missing = [name for name in REQUIRED if name not in known and name != "sku"]
    unknown = [name for name in header if name and _field(name) not in FIELDS and not _field(name).startswith(_GROUPS)]
    if not missing and not unknown:
        return _own(header, constants)
    for form in shipped().values():
        if {header_key(name) for name in form.recognise} <= keys:
            return form
    raise _not_understood(path, header, keys, missing, unknown)


def _not_understood(
    path: Path, header: Sequence[str], keys: set[str], missing: Sequence[str], unknown: Sequence[str]
) -> NotAProductFile:
    shares = {
        form.name: sum(header_key(name) in keys for name in form.columns) / max(len(keys), 1) for form in shipped().values()
    }
    shares[OWN] = sum(_field(name) in FIELDS for name in header if name) / max(len(keys), 1)
    nearest = max(shares, key=lambda name: shares[name])
    found = ", ".join(name for name in header[:20] if name) + (f" and {len(header) - 20} more" if len(header) > 20 else "")
    if nearest == OWN:
        why = f"lacks the column {missing[0]!r}" if missing else f"has a column {unknown[0]!r} that no product has"
        line = "write a mapping file: [columns] with one line for each header, as docs/reference/imports.md shows"
        if missing in (["seller"], ["seller", "currency"]) and not unknown:
            line = f"try: marketplace import products {shlex.quote(str(path))} --seller 'My shop'"
        return NotAProductFile(f"the header of {path} {why}; it has the columns {found}; nearest is our own format", line)
    lacks = ", ".join(repr(name) for name in shipped()[nearest].recognise if header_key(name) not in keys)
    line = f"try: marketplace import products {shlex.quote(str(path))} --format {nearest} --seller 'My shop'"
    cause = f"the header of {path} is no format that is known; it has the columns {found}"
    return NotAProductFile(f"{cause}; nearest is {nearest}, of which it lacks {lacks}", line)


def _require(path: Path, form: Format, layout: Layout) -> None:
    fields = layout.fields()
    lacking = [name for name in ("title", "price", "seller") if name not in fields]
    if not fields & {"product", "sku", "id"}:
        lacking.insert(0, "product")
    if not lacking:
        return
    if lacking == ["seller"]:
        line = f"try: marketplace import products {shlex.quote(str(path))} --format {form.name} --seller 'My shop'"
        raise NotAProductFile(f"{path} is a file of {form.name}, which does not say whose products they are", line)
    line = f"map a header of the file to {lacking[0]!r} in a mapping file"
    raise NotAProductFile(f"{path} read as {form.name} has nothing for {', '.join(lacking)}", line)
