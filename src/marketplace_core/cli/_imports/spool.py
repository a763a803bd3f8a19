"""Rows on the disk, in the order in which products are written: a file of any size takes the same memory.

It is a database of SQLite that nobody else sees, and that is gone afterwards.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

from msgspec import Struct

__all__ = ["Kind", "Spool", "Spooled"]

Kind = Literal[0, 1, 2]
"""0: a variant; 1: a bad row that names one; 2: what is common to a product."""

_TABLE = """
CREATE TABLE rows (line INTEGER PRIMARY KEY, seller INTEGER, product TEXT, sku TEXT, kind INTEGER, body BLOB);
CREATE TABLE products (first INTEGER PRIMARY KEY, seller INTEGER, product TEXT);
"""
#: Along the index of skus, whose condition each part repeats: without it SQLite looks through all rows of a seller for each.
_TWICE = """
SELECT r.line, r.sku, f.line FROM (
  SELECT seller, sku, min(line) AS line FROM rows WHERE kind = 0 GROUP BY seller, sku HAVING count(*) > 1) f
CROSS JOIN rows r ON r.kind = 0 AND r.seller = f.seller AND r.sku = f.sku AND r.line > f.line
"""
#: In the order of products' first rows; of each its rows: by nested loops, so that nothing is sorted.
_IN_ORDER = """
SELECT p.first, r.line, r.seller, r.product, r.sku, r.kind, r.body FROM products p
CROSS JOIN rows r ON r.seller = p.seller AND r.product = p.product ORDER BY p.first, r.line
"""


class Spooled(Struct, frozen=True, gc=False):
    """``seller`` is a number that the caller gives."""

    line: int
    seller: int
    product: str
    sku: str
    kind: int
    body: bytes


class Spool:
    def __init__(self, folder: Path | None = None) -> None:
        with tempfile.NamedTemporaryFile(prefix="marketplace-import-", suffix=".db", dir=folder, delete=False) as file:
            self._path = Path(file.name)
        # Written by a thread, then read by the loop: never by two at once.
        self._database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -32000", "temp_store = FILE"):
            self._database.execute(f"PRAGMA {setting}")
        self._database.executescript(_TABLE)

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()
        with suppress(FileNotFoundError):
            self._path.unlink()

    def add(self, rows: Iterable[Spooled]) -> None:
        values = ((row.line, row.seller, row.product, row.sku, row.kind, row.body) for row in rows)
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", values)

    def merge(self, seller: int, into: int) -> None:
        """Two names were one shop."""
        self._database.execute("UPDATE rows SET seller = ? WHERE seller = ?", (into, seller))

    def close_in(self) -> None:
        """Everything is there: now it can be looked for."""
        self._database.execute("CREATE INDEX by_sku ON rows (seller, sku, line) WHERE kind = 0")
        self._database.execute("CREATE INDEX by_product ON rows (seller, product, line)")

    def twice(self) -> Iterator[tuple[int, str, int]]:
        """Variants whose sku stands on an earlier line too: line, sku, and that line. Once all are told, they are variants no
        more."""
        yield from self._database.execute(f"{_TWICE} ORDER BY r.line")
        self._database.execute(f"UPDATE rows SET kind = 3 WHERE line IN (SELECT line FROM ({_TWICE}))")  # noqa: S608

    def order(self) -> int:
        """Gives how many products there are."""
        self._database.execute(
            "INSERT INTO products SELECT min(line), seller, product FROM rows GROUP BY seller, product ORDER BY 1"
        )
        return int(self._database.execute("SELECT count(*) FROM products").fetchone()[0])

    def products(self) -> Iterator[list[Spooled]]:
        """The rows of each product, in the order of the first of them."""
        before = 0
        rows: list[Spooled] = []
        for first, *row in self._database.execute(_IN_ORDER):
            if first != before and rows:
                yield rows
                rows = []
            before = first
            rows.append(Spooled(*row))
        if rows:
            yield rows

    def gives_away(self, seller: int, product: str, sku: str) -> bool:
        """Whether the file has variants of this product, and no row of it names ``sku``."""
        rows: Sequence[tuple[int, str]] = self._database.execute(
            "SELECT kind, sku FROM rows WHERE seller = ? AND product = ?", (seller, product)
        ).fetchall()
        return any(kind == 0 for kind, _ in rows) and all(named != sku for _, named in rows)
