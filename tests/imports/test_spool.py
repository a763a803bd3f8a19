"""What looking for skus that stand twice takes, in steps of the database that the rows lie in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import pytest

from marketplace_core.cli._imports.spool import Spool, Spooled


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
