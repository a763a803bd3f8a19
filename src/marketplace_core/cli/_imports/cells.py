"""Records of a delimited file. What is malformed is told by its first line, and reading goes on at the next one."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator

from marketplace_core.cli._imports.text import MAX_LINE, Line

__all__ = ["DELIMITERS", "Bad", "Cells", "delimiter_of", "read_cells"]

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab"}
#: Lines of one record: a quote that nobody closes must not take the rest of the file.
_MAX_LINES = 500

Cells = tuple[int, list[str]]
Bad = tuple[int, str, str]
"""A line, a code, a sentence."""

# The cells' own bound: what is longer is told as a row, with its line. csv has one for the whole process.
csv.field_size_limit(2 * MAX_LINE)


def delimiter_of(header: str) -> str:
    """The one that gives a header the most columns."""
    return max(DELIMITERS, key=lambda mark: len(_split(header, mark)))


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


class _Source:
    """Lines with those that were taken too early put back."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._again: deque[Line] = deque()

    def next(self) -> Line | None:
        return self._again.popleft() if self._again else next(self._lines, None)

    def put_back(self, lines: list[Line]) -> None:
        self._again.extendleft(reversed(lines))


def read_cells(lines: Iterator[Line], delimiter: str) -> Iterator[Cells | Bad]:
    """Each record with the number of its first line; the first one is the header. Empty lines are none."""
    source, width = _Source(lines), 0
    while (line := source.next()) is not None:
        if line.text is None:
            yield line.number, "malformed", line.problem
            continue
        if '"' not in line.text:
            text = line.text.rstrip("\r\n")
            if not text.strip(f" {delimiter}"):
                continue
            cells: list[str] | str = text.split(delimiter)
        else:
            cells = _record(source, line, delimiter, width)
        if isinstance(cells, str):
            yield line.number, "malformed", cells
            continue
        width = width or len(cells)
        yield line.number, cells


def _record(source: _Source, first: Line, delimiter: str, width: int) -> list[str] | str:
    """The cells, or what is wrong; then all but the first line are put back."""
    taken: list[Line] = []

    def texts() -> Iterator[str]:
        size, line = 0, first
        while True:
            taken.append(line)
            if line.text is None:
                return
            yield line.text
            size += len(line.text)
            following = source.next() if len(taken) < _MAX_LINES and size < MAX_LINE else None
            if following is None:
                return
            line = following

    try:
        cells = next(csv.reader(texts(), delimiter=delimiter, strict=True))
    except csv.Error as error:
        source.put_back(taken[1:])
        quote = "unexpected end" in str(error)
        return "A quote is opened and not closed." if quote else f"The line is no CSV ({error})."
    if len(taken) > 1 and len(cells) != width and taken[1].text and len(_split(taken[1].text, delimiter)) == width:
        source.put_back(taken[1:])  # the next line is a row of its own
        return "A quote is opened and not closed."
    return cells
