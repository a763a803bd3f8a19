"""The first sheet of a workbook, as text."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from marketplace_core.cli._imports.cells import Cells
from marketplace_core.cli._imports.text import NotAProductFile

__all__ = ["read_sheet"]

#: A workbook is unpacked whole, unlike a table in text.
MAX_BYTES = 64 * 1_048_576


def read_sheet(path: Path) -> Iterator[Cells]:
    """Each row that is not empty with its number in the sheet. :raises NotAProductFile:"""
    from python_calamine import CalamineError, load_workbook  # noqa: PLC0415 - a library of its own

    if path.stat().st_size > MAX_BYTES:
        raise NotAProductFile(f"{path} is larger than {MAX_BYTES >> 20} MiB", "save it as CSV")
    try:
        workbook = load_workbook(str(path))
        sheet = workbook.get_sheet_by_index(0)
        rows = sheet.to_python(skip_empty_area=False)
    except (CalamineError, OSError, IndexError, ValueError) as error:
        raise NotAProductFile(f"{path} is no workbook that can be read ({error})", "save it as .xlsx or CSV") from error
    for number, row in enumerate(rows, start=1):
        cells = [_text(cell) for cell in row]
        if any(cells):
            yield number, cells


def _text(cell: Any) -> str:
    """As a person sees it: a sheet holds 5 as 5.0."""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 2**53 else repr(cell)
    if isinstance(cell, (date, datetime)):
        return cell.isoformat()
    return str(cell)
