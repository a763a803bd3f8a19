"""``import products``: good rows are written, bad ones told with their line, and a second run changes nothing."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from marketplace_core.capabilities.catalog import Catalog, ProductQuery
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.cli._imports.files import open_file
from marketplace_core.cli._imports.products import Report, import_products
from marketplace_core.cli._imports.rows import BadRow, ProductRow
from marketplace_core.cli._imports.text import NotAProductFile
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import Money

GOOD = {
    "product": "pot",
    "sku": "POT-RED",
    "title": "Tea Pot",
    "category": "Home > Kitchen",
    "seller": "Kettle & Sons",
    "price": "24.95",
    "currency": "EUR",
    "stock": 5,
    "options": {"colour": "red"},
    "attributes": {"litres": 1.2},
}
Open = Callable[..., Awaitable[Marketplace]]


def lines(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "products.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


async def imported(market: Marketplace, path: Path) -> Report:
    return await import_products(path, market.port(Catalog), market.port(Sellers), market.process.blobs)


def read_rows(path: Path) -> list[tuple[int, Any]]:
    return [(line, row) for line, _, row in open_file(path).rows]


# ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("change", "code", "detail"),
    [
        ({"price": "0"}, "range", "price: "),
        ({"price": "-1"}, "range", "price: "),
        ({"price": "1.999"}, "range", "price: A price is above 0 and has at most 2 decimal places."),
        ({"price": "NaN"}, "range", "price: "),
        ({"price": "ten"}, "range", "price: "),
        ({"stock": -1}, "range", "stock: "),
        ({"stock": "many"}, "type", "stock: "),
        ({"currency": "euro"}, "format", "currency: "),
        ({"title": ""}, "length", "title: "),
        ({"colour": "red"}, "unknown_field", "colour: "),
        ({"options": {"size": 1}}, "type", "options/size: "),
    ],
)
def test_a_bad_row_is_told_with_its_line_and_cause(tmp_path: Path, change: Any, code: str, detail: str) -> None:
    [(first, _), (number, row)] = read_rows(lines(tmp_path, GOOD, {**GOOD, **change}))
    assert (first, number) == (1, 2)
    assert isinstance(row, BadRow) and row.code == code and row.detail.startswith(detail)


def test_money_follows_the_currency(tmp_path: Path) -> None:
    rows = [{**GOOD, "currency": "JPY", "price": "300"}, {**GOOD, "currency": "KWD", "price": 1.5}, {**GOOD, "price": 12}]
    found = [row.money for _, row in read_rows(lines(tmp_path, *rows)) if isinstance(row, ProductRow)]
    assert found == [Money(300, "JPY"), Money(1500, "KWD"), Money(1200, "EUR")]


def test_what_is_not_json_is_a_bad_row(tmp_path: Path) -> None:
    [(_, row), (number, _)] = read_rows(lines(tmp_path, "{", "", GOOD))
    assert row == BadRow(1, "malformed", "The line is not JSON.", "{")
    assert number == 3, "an empty line is no row, and counts"


def test_csv_is_the_same_in_columns(tmp_path: Path) -> None:
    path = tmp_path / "products.csv"
    path.write_text(
        "product,sku,title,seller,price,currency,stock,option.colour,attr.litres\r\n"
        'pot,POT-RED,"Tea Pot, large",Kettle,24.95,EUR,5,red,1.2\r\n'
        "pot,POT-BLUE,,Kettle,24.95,EUR,5,blue,\r\n"
    )
    [(two, row), (three, bad)] = read_rows(path)
    assert (two, three) == (2, 3)
    assert isinstance(row, ProductRow)
    assert (row.title, row.options, row.attributes, row.stock) == ("Tea Pot, large", {"colour": "red"}, {"litres": "1.2"}, 5)
    assert isinstance(bad, BadRow) and bad.code == "required"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"product,sku\n", "lacks the column 'title'; it has the columns product, sku; nearest is our own"),
        ("a.csv", b"product,sku,title,seller,price,currency,stock,weight\n", "a column 'weight'"),
        ("a.csv", b"Handle,Title,Body (HTML)\n", "nearest is shopify, of which it lacks 'Variant Price'"),
        ("a.csv", b"Handle,Title,Variant Price\n", "does not say whose products they are"),
        ("a.jsonl", b"\xff\xfe", "is empty"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotAProductFile, match=said):
        list(read_rows(tmp_path / name))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotAProductFile, match="cannot be read"):
        list(read_rows(tmp_path / "nothing.jsonl"))


# ── products ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_second_run_changes_nothing_and_a_changed_row_is_written(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(["auth", "sellers", "catalog"])
    blue = {**GOOD, "sku": "POT-BLUE", "options": {"colour": "blue"}}
    path = lines(tmp_path, GOOD, blue)
    first = await imported(market, path)
    assert (first.products.written, first.variants.written, first.sellers.written) == (1, 2, 1)
    second = await imported(market, path)
    assert (second.products.unchanged, second.variants.unchanged, second.sellers.unchanged) == (1, 2, 1)
    third = await imported(market, lines(tmp_path, GOOD, {**blue, "price": "19.95"}))
    assert (third.products.written, third.products.unchanged) == (1, 0)
    [card] = (await market.port(Catalog).list_products(ProductQuery())).items
    assert (card.title, card.price, card.seller.name) == ("Tea Pot", Money(1995, "EUR"), "Kettle & Sons")
    page = (await market.port(Catalog).get_product(card.id)).page
    assert page is not None and page.category is not None and page.category.path == ["Home", "Kitchen"]


async def test_bad_rows_are_listed_and_nothing_else_is_lost(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(["auth", "sellers", "catalog"])
    report = await imported(
        market,
        lines(
            tmp_path,
            GOOD,
            {**GOOD, "price": "0"},
            GOOD,
            {**GOOD, "sku": "POT-2"},
            {**GOOD, "sku": "POT-3", "options": {}, "currency": "USD"},
            {**GOOD, "sku": "CUP", "product": "cup", "title": "Cup", "image": "nothing.png"},
            {**GOOD, "sku": "JUG", "product": "jug", "title": "Jug"},
        ),
    )
    assert [(row.line, row.code) for row in report.rejected] == [
        (2, "range"),
        (3, "duplicate"),
        (4, "duplicate"),
        (5, "unknown_value"),
        (6, "not_found"),
    ]
    assert (report.variants.read, report.variants.written, report.variants.rejected) == (7, 2, 5)
    assert (report.products.read, report.products.written, report.products.rejected) == (3, 2, 1)


async def test_pictures_are_stored_under_what_they_show(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(["auth", "sellers", "catalog"])
    Image.new("RGB", (800, 600), "red").save(tmp_path / "pot.png")
    (tmp_path / "cup.png").write_text("no picture")
    cup = {**GOOD, "sku": "CUP", "product": "cup", "title": "Cup", "image": "cup.png"}
    path = lines(tmp_path, {**GOOD, "image": "pot.png"}, cup, {**cup, "sku": "JUG", "product": "jug", "image": "../pot.png"})
    report = await imported(market, path)
    assert [(row.line, row.code) for row in report.rejected] == [(2, "format"), (3, "not_found")]
    [card] = (await market.port(Catalog).list_products(ProductQuery())).items
    assert card.image is not None and (card.image.width, card.image.height) == (480, 360)
    content = await market.process.blobs.get(card.image.url.removeprefix("/media/"))
    assert content is not None
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("WEBP", (480, 360))


async def test_a_sku_of_another_product_is_rejected_alone(tmp_path: Path, marketplace: Open) -> None:
    market = await marketplace(["auth", "sellers", "catalog"])
    await imported(market, lines(tmp_path, GOOD))
    other = {**GOOD, "product": "other", "title": "Other"}
    report = await imported(market, lines(tmp_path, other, {**other, "product": "third", "sku": "THIRD"}))
    assert [(row.line, row.code) for row in report.rejected] == [(1, "catalog.sku_taken")]
    assert report.products.written == 1
