"""The converter on rows of our own, and on the real file where it is at hand."""

from __future__ import annotations

import json
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from marketplace_online_retail import convert

from marketplace_core.cli._run import run

HERE = Path(__file__).resolve().parent
REAL = HERE.parents[3] / "shared/data/online_retail/online_retail.csv.xz"  # beside the repository
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


def main(arguments: list[str]) -> int:
    return run(["convert", "online_retail", *arguments])


def _file(folder: Path, *rows: tuple[str, str, str], header: str = HEADER) -> Path:
    lines = [
        header,
        *(f'1,{code},"{text}",1,2011-01-01 10:00:00,{price},,Malta' for code, text, price in rows),
    ]
    path = folder / "invoices.csv.xz"
    path.write_bytes(lzma.compress("\n".join(lines).encode() + b"\n"))
    return path


def _converted(folder: Path, *rows: tuple[str, str, str]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    counts = convert.convert(_file(folder, *rows), folder / "out.jsonl")
    return counts, [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def test_one_product_a_code_with_most_frequent_title_and_median_price(tmp_path: Path) -> None:
    counts, products = _converted(
        tmp_path,
        ("10", "wobbly", "9.00"),
        ("10", "TIN LANTERN ", "1.00"),
        ("10", "TIN LANTERN", "2.00"),
        ("10", "", "3.00"),
    )
    assert products == [
        {
            "product": "10",
            "sku": "10",
            "title": "TIN LANTERN",
            "description": "Tin lantern, sold under the stock code 10.",
            "category": "Kitchen > Storage & Linen",
            "seller": "Retail Archive",
            "price": "2.50",
            "currency": "GBP",
            "stock": 100,
            "image": None,
            "options": {},
            "attributes": {},
        }
    ]
    assert (counts["codes"], counts["written"]) == (1, 1)


def test_first_of_equally_frequent_titles_wins(tmp_path: Path) -> None:
    _, products = _converted(tmp_path, ("1", "SECOND", "1"), ("1", "ALPHA", "1"), ("1", "SECOND", "1"), ("1", "ALPHA", "1"))
    assert [product["title"] for product in products] == ["SECOND"]


@pytest.mark.parametrize(("first", "second", "price"), [("1.00", "1.01", "1.00"), ("1.01", "1.02", "1.02")])
def test_half_a_penny_is_rounded_half_even(tmp_path: Path, first: str, second: str, price: str) -> None:
    _, products = _converted(tmp_path, ("1", "A", first), ("1", "A", second))
    assert products[0]["price"] == price


def test_each_rejected_code_has_its_cause(tmp_path: Path) -> None:
    source = _file(
        tmp_path,
        ("nameless", "  ", "0"),
        ("dear", "", "5"),
        ("free", "FREE BADGE", "0"),
        ("B", "Adjustment", "-10"),
        ("crumb", "CRUMB", "0.004"),
        ("POST", "POSTAGE", "18"),
        ("good", "GOOD MUG", "4.25"),
    )
    report = tmp_path / "rejected.jsonl"
    counts = convert.convert(source, tmp_path / "out.jsonl", report)
    assert [json.loads(line) for line in report.read_text().splitlines()] == [
        {"code": "nameless", "cause": "no_description", "also": ["price_not_positive"]},
        {"code": "dear", "cause": "no_description", "also": []},
        {"code": "free", "cause": "price_not_positive", "also": []},
        {"code": "B", "cause": "price_not_positive", "also": ["not_goods"]},
        {"code": "crumb", "cause": "price_below_a_penny", "also": []},
        {"code": "POST", "cause": "not_goods", "also": []},
    ]
    first = {"no_description": 2, "price_not_positive": 2, "price_below_a_penny": 1, "not_goods": 1}
    every = {"no_description": 2, "price_not_positive": 3, "price_below_a_penny": 1, "not_goods": 2}
    assert counts == {
        "codes": 7,
        "written": 1,
        "rejected": first,
        "causes": every,
        "shared_titles": 0,
        "shared_titles_written": 0,
    }


def test_codes_of_one_title_are_counted_and_written(tmp_path: Path) -> None:
    counts, products = _converted(tmp_path, ("1a", "BELL", "1"), ("1A", "BELL", "2"), ("2", "BELL", "0"), ("3", "", "0"))
    assert [product["sku"] for product in products] == ["1a", "1A"]
    assert (counts["shared_titles"], counts["shared_titles_written"]) == (3, 2)


@pytest.mark.parametrize(
    ("title", "category"),
    [
        ("SET OF 6 CHRISTMAS CANDLES", "Seasonal > Christmas"),
        ("BLUE MUGS", "Kitchen > Tableware"),
        ("HANGING T-LIGHT HOLDER", "Home > Candles & Lighting"),
        ("ROSE NECKLACES", "Accessories > Jewellery"),
        ("PENCILS, TUBE OF 12", "Stationery > Writing & Craft"),
        ("UNHEARD OF", "Home > Other"),
    ],
)
def test_category_by_words_of_the_title(title: str, category: str) -> None:
    assert convert.Categories().of(title) == category


def _fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    return err


def test_wrong_input_is_exit_2_with_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "out.jsonl"

    def said(source: Path) -> str:
        return _fails([str(source), "-o", str(output), "--json"], capsys)

    assert "No such file" in said(tmp_path / "nowhere.csv.xz")
    assert "no column StockCode, UnitPrice" in said(_file(tmp_path, header="Code,Description,Price"))
    assert "no rows" in said(_file(tmp_path))
    assert "line 3 has no" in said(_file(tmp_path, ("1", "A", "1"), ("2", "B", "cheap")))
    whole = _file(tmp_path, *((str(number), f"ROW {number}", "1") for number in range(5_000)))
    whole.write_bytes(whole.read_bytes()[:2_000])
    assert "not a whole xz file" in said(whole)
    whole.write_bytes(b"this is no archive")
    assert "not a whole xz file" in said(whole)
    latin = tmp_path / "latin.csv"
    latin.write_bytes(f"{HEADER}\n1,1,caf\xe9,1,,1,,".encode("latin-1"))
    assert "UTF-8" in said(latin)
    assert not output.exists()


def test_unwritable_output_is_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _file(tmp_path, ("1", "A", "1"))
    assert "cannot be written" in _fails([str(source), "-o", str(tmp_path / "no" / "out.jsonl")], capsys)


def test_json_is_one_line_on_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _file(tmp_path, ("1", "A", "1"))
    assert main([str(source), "-o", str(tmp_path / "out.jsonl"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["written"] == 1
    assert out.count("\n") == 1
    assert err == ""


def test_the_shop_may_be_another(tmp_path: Path) -> None:
    source, output = _file(tmp_path, ("1", "A", "1"), ("2", "B", "1")), tmp_path / "out.jsonl"
    assert main([str(source), "-o", str(output), "--seller", "Otter & Sons"]) == 0
    assert [json.loads(line)["seller"] for line in output.read_text().splitlines()] == ["Otter & Sons"] * 2


def test_interrupted_is_130_and_leaves_the_earlier_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("earlier")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    source = _file(tmp_path, ("1", "A", "1"))
    monkeypatch.setattr(convert, "product", interrupt)
    assert main([str(source), "-o", str(output)]) == 130
    assert output.read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["invoices.csv.xz", "out.jsonl"]


def test_the_real_file(tmp_path: Path) -> None:
    if not REAL.is_file():
        pytest.skip(f"the Online Retail data is not at {REAL}")
    report = tmp_path / "rejected.jsonl"
    counts = convert.convert(REAL, tmp_path / "out.jsonl", report)
    assert counts == {
        "codes": 4070,
        "written": 3906,
        "rejected": {
            "no_description": 112,
            "price_not_positive": 33,
            "price_below_a_penny": 1,
            "not_goods": 18,
        },
        "causes": {
            "no_description": 112,
            "price_not_positive": 145,
            "price_below_a_penny": 1,
            "not_goods": 19,
        },
        "shared_titles": 273,
        "shared_titles_written": 259,
    }
    products = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    rejects = [json.loads(line) for line in report.read_text(encoding="utf-8").splitlines()]
    assert len({row["sku"] for row in products} | {row["code"] for row in rejects}) == 4070
    assert len(products) + len(rejects) == 4070
    assert all(float(row["price"]) > 0 and row["title"] for row in products)
    assert {row["code"] for row in rejects} >= set(convert.NOT_GOODS)
    used = Counter(row["category"] for row in products)
    assert len(used) == 17
    assert used["Home > Other"] < len(products) / 5
