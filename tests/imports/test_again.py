"""Whatever stands in a file, and in the one before it: the end is the file's, and again changes nothing."""

from __future__ import annotations

import itertools
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.cli._imports import products
from marketplace_core.cli._imports.products import Report, import_products
from marketplace_core.testing.marketplace import Marketplace

Open = Callable[..., Awaitable[Marketplace]]
Row = tuple[str, str, str, bool]
"""A product, a sku, an option, whether the row is good."""

rows = st.tuples(
    st.sampled_from("abcd"), st.sampled_from("123456"), st.sampled_from("SML"), st.sampled_from([True, True, True, False])
)
files = st.lists(rows, min_size=1, max_size=12)

numbers = itertools.count(1)


class Files:
    def __init__(self, market: Marketplace, folder: Path) -> None:
        self._market, self._folder = market, folder

    async def run(self, seller: str, rows: list[Row]) -> Report:
        path = self._folder / "products.jsonl"
        path.write_text("\n".join(json.dumps(_line(seller, n, row)) for n, row in enumerate(rows)))
        return await import_products(path, self._market.port(Catalog), self._market.port(Sellers), self._market.process.blobs)

    async def variants(self, seller: str) -> dict[str, tuple[str, str]]:
        """By sku: its product's key, and its id."""
        found = await self._market.process.context("catalog").database.fetch(
            "SELECT v.sku, p.import_key, v.id FROM catalog.variants v JOIN catalog.products p ON p.id = v.product_id"
            " JOIN catalog.sellers s ON s.id = p.seller_id WHERE lower(s.name) = $1",
            seller,
        )
        return {row["sku"]: (row["import_key"], row["id"]) for row in found}


def _line(seller: str, n: int, row: Row) -> dict[str, Any]:
    product, sku, option, good = row
    shop = seller if n % 2 else seller.upper()
    price = "9.95" if good else "9,95"
    common = {"product": product, "sku": sku, "title": f"Pot {product}", "seller": shop, "currency": "EUR", "stock": 1}
    return {**common, "price": price, "options": {"size": option}}


@pytest_asyncio.fixture
async def every(marketplace: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Files:
    monkeypatch.setattr(products, "BATCH", 2)  # so that skus go from one batch to another
    return Files(await marketplace(["auth", "sellers", "catalog"]), tmp_path)


def _of(keys: str, skus: str, options: str = "SSSS") -> list[Row]:
    return [(key, sku, option, True) for key, sku, option in zip(keys, skus, options, strict=False)]


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=files, after=files)
@example(before=_of("ab", "12"), after=_of("ba", "12"))
@example(before=_of("aaa", "123", "SML"), after=[("a", "1", "S", True), ("a", "2", "M", False)])
@example(before=_of("abcd", "1234"), after=_of("abcd", "2341"))
async def test_again_changes_nothing(before: list[Row], after: list[Row], every: Files) -> None:
    seller = f"shop {next(numbers)}"
    _adds_up(await every.run(seller, before))
    known = await every.variants(seller)
    report = await every.run(seller, after)
    _adds_up(report)
    found = await every.variants(seller)
    _is_the_files(report, after, known, found)
    again = await every.run(seller, after)
    _adds_up(again)
    assert (again.products.written, again.variants.written, again.sellers.written) == (0, 0, 0)
    assert again.rejected == report.rejected
    assert await every.variants(seller) == found


def _adds_up(report: Report) -> None:
    for count in (report.products, report.variants, report.sellers):
        assert count.read == count.written + count.unchanged + count.rejected


def _is_the_files(report: Report, rows: list[Row], known: dict[str, Any], found: dict[str, Any]) -> None:
    bad = {row.line for row in report.rejected}
    good = {sku: product for line, (product, sku, _, _) in enumerate(rows, start=1) if line not in bad}
    for sku, product in good.items():
        assert found[sku][0] == product, "the file says whose it is"
    for line, (product, sku, _, _) in enumerate(rows, start=1):
        if line in bad and sku not in good and known.get(sku, ("",))[0] == product:
            assert found.get(sku) == known[sku], "a bad row keeps what it names"
    for sku in known.keys() & found.keys():
        if known[sku][0] == found[sku][0]:
            assert known[sku][1] == found[sku][1], "it is the same variant"
