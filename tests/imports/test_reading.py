"""What reading a file tells meanwhile, and what looking for skus that stand twice takes, in steps of the rows' database."""

from __future__ import annotations

import gzip
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from marketplace_core.cli._imports import products
from marketplace_core.cli._imports.files import open_file
from marketplace_core.cli._imports.report import Report
from marketplace_core.cli._imports.shops import Shops
from marketplace_core.cli._imports.spool import Spool, Spooled
from tests.imports.dirty import row, rows


def _rows(count: int) -> Iterator[Spooled]:
    """Of one seller, every tenth sku a second time."""
    for n in range(count):
        yield Spooled(n + 2, 0, f"p{n // 5}", f"s{n - 1 if n % 10 == 9 else n}", 0, b"")


def _spool(count: int) -> tuple[list[tuple[int, str, int]], int]:
    """The skus that stand twice, and the thousands of steps that it took to find them."""
    steps = 0

    def step() -> None:
        nonlocal steps
        steps += 1

    with Spool() as spool:
        spool.add(_rows(count))
        spool.close_in()
        database: sqlite3.Connection = spool._database
        database.set_progress_handler(step, 1000)
        return list(spool.twice()), steps


def test_what_stands_twice_is_told_by_the_line_before() -> None:
    found, _ = _spool(40)
    assert found == [(11, "s8", 10), (21, "s18", 20), (31, "s28", 30), (41, "s38", 40)]


@pytest.mark.parametrize("kind", [0, 1, 2])
def test_only_variants_stand_twice(kind: int) -> None:
    with Spool() as spool:
        spool.add([Spooled(2, 0, "p", "s", kind, b""), Spooled(3, 0, "p", "s", 0, b""), Spooled(4, 1, "p", "s", 0, b"")])
        spool.close_in()
        assert list(spool.twice()) == ([(3, "s", 2)] if kind == 0 else [])
        assert list(spool.twice()) == []


def test_the_steps_grow_with_the_rows_and_not_with_their_square() -> None:
    (few, steps), (many, more) = _spool(2_000), _spool(8_000)
    assert (len(few), len(many)) == (200, 800)
    assert more < 6 * steps


@pytest.mark.parametrize("name", ["products.csv", "products.csv.gz"])
def test_how_many_rows_a_file_has_is_told_while_it_is_read(name: str, tmp_path: Path) -> None:
    text = rows(*(row(n) for n in range(20_000))).encode()
    path = tmp_path / name
    path.write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    told: list[tuple[int, int]] = []
    with Spool() as spool:
        products._read(open_file(path), spool, Shops(), Report(), lambda done, total: told.append((done, total)))
    assert told[-1] == (20_000, 20_000)
    assert [done for done, _ in told[:-1]] == list(range(2_000, 20_001, 2_000))
    assert all(10_000 < total < 30_000 for _, total in told)
