"""What the demo promises, checked on the data itself."""

from __future__ import annotations

import importlib.util
import json
import re
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from PIL import Image

HERE = Path(__file__).resolve().parent
KEYS = {
    "product",
    "sku",
    "title",
    "description",
    "category",
    "seller",
    "price",
    "currency",
    "stock",
    "image",
} | {
    "options",
    "attributes",
}
ROWS: list[dict[str, Any]] = [json.loads(line) for line in (HERE / "products.jsonl").read_text(encoding="utf-8").splitlines()]
PRODUCTS: dict[str, list[dict[str, Any]]] = defaultdict(list)
for _row in ROWS:
    PRODUCTS[_row["product"]].append(_row)


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"demo_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_file_is_built_from_the_catalogue() -> None:
    assert (HERE / "products.jsonl").read_text(encoding="utf-8") == _load("build").text()


def test_rows_have_the_format_of_the_import() -> None:
    for row in ROWS:
        assert set(row) == KEYS, row["sku"]
        assert re.fullmatch(r"[^>]+ > [^>]+", row["category"])
        assert row["currency"] == "EUR"
        assert re.fullmatch(r"\d+\.\d\d", row["price"])
        assert Decimal(row["price"]) > 0
        assert type(row["stock"]) is int
        assert row["stock"] >= 0
        assert row["image"] == f"pictures/{row['product']}.png"
        assert all(isinstance(value, str) and value for value in row["options"].values())


def test_there_are_enough_products_categories_and_sellers() -> None:
    assert len(PRODUCTS) >= 160
    categories = {row["category"] for row in ROWS}
    assert len(categories) == 12
    assert len({category.split(" > ")[0] for category in categories}) == 5
    owned = Counter(rows[0]["seller"] for rows in PRODUCTS.values())
    assert len(owned) == 8
    assert min(owned.values()) >= 15


def test_every_product_but_five_has_a_variant_with_twenty_units() -> None:
    low = {key: rows for key, rows in PRODUCTS.items() if max(row["stock"] for row in rows) < 20}
    assert len(low) == 5
    assert sum(all(row["stock"] == 0 for row in rows) for rows in low.values()) == 2


def test_variants_of_a_product_agree_and_differ_in_their_options() -> None:
    assert len({row["sku"] for row in ROWS}) == len(ROWS)
    shared = KEYS - {"sku", "price", "stock", "options"}
    for key, rows in PRODUCTS.items():
        assert 1 <= len(rows) <= 4, key
        assert all(row[name] == rows[0][name] for row in rows for name in shared), key
        assert len({tuple(row["options"]) for row in rows}) == 1, key
        assert len({tuple(row["options"].values()) for row in rows}) == len(rows), key
        assert len(rows) == 1 or rows[0]["options"], key


def test_titles_and_descriptions_are_their_own() -> None:
    titles = [rows[0]["title"] for rows in PRODUCTS.values()]
    assert len({title.casefold() for title in titles}) == len(titles)
    said: Counter[str] = Counter()
    for key, rows in PRODUCTS.items():
        sentences = re.split(r"(?<=[.!?])\s+", rows[0]["description"])
        assert 1 <= len(sentences) <= 3, key
        assert rows[0]["description"].endswith("."), key
        said.update(sentences)
    assert [sentence for sentence, times in said.items() if times > 1] == []


def test_no_two_descriptions_share_a_pattern() -> None:
    runs: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for key, rows in PRODUCTS.items():
        words = re.findall(r"\w+", rows[0]["description"].lower())
        for start in range(len(words) - 5):
            runs[tuple(words[start : start + 6])].add(key)
    assert {run: keys for run, keys in runs.items() if len(keys) > 1} == {}


def test_attributes_are_typed_and_a_key_has_one_type() -> None:
    types: dict[str, set[type]] = defaultdict(set)
    for rows in PRODUCTS.values():
        assert rows[0]["attributes"]
        for name, value in rows[0]["attributes"].items():
            types[name].add(type(value))
    assert {name: found for name, found in types.items() if len(found) > 1} == {}
    assert set.union(*types.values()) == {str, int, float, bool}


def test_each_category_is_drawn_in_its_own_way() -> None:
    shapes = _load("pictures")._shapes()
    assert set(shapes["categories"]) == {row["category"] for row in ROWS}
    assert all(name in shapes for _, name in shapes["categories"].values())


def test_pictures_are_small_distinct_and_the_same_each_time(tmp_path: Path) -> None:
    pictures = _load("pictures")
    seen: list[tuple[int, int]] = []
    drawn = pictures.draw_all(tmp_path / "one", lambda done, total: seen.append((done, total)))
    count = len(PRODUCTS)
    assert drawn == count
    assert seen == [(number, count) for number in range(1, count + 1)]
    files = sorted((tmp_path / "one").iterdir())
    assert {f"pictures/{file.name}" for file in files} == {row["image"] for row in ROWS}
    assert len({file.read_bytes() for file in files}) == count
    assert max(file.stat().st_size for file in files) < 20_000
    for file in files[::40]:
        with Image.open(file) as image:
            assert image.size == (800, 800)
    _load("pictures").draw_all(tmp_path / "two")
    assert [file.read_bytes() for file in sorted((tmp_path / "two").iterdir())] == [file.read_bytes() for file in files]


def test_only_what_is_missing_is_drawn(tmp_path: Path) -> None:
    pictures = _load("pictures")
    pictures.draw_all(tmp_path)
    lost, kept = sorted(tmp_path.iterdir())[:2]
    lost.unlink()
    kept.write_bytes(b"a picture of one's own")
    assert pictures.draw_all(tmp_path) == 1
    assert lost.exists()
    assert kept.read_bytes() == b"a picture of one's own"


def test_command_ends_with_130_when_interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pictures = _load("pictures")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pictures, "draw_all", interrupt)
    monkeypatch.setattr("sys.argv", ["pictures.py", str(tmp_path)])
    assert pictures.main() == 130
