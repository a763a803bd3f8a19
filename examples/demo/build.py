"""Makes ``products.jsonl`` from the files of ``catalogue/``, one per category: edit those, then run this.

``python build.py`` writes the file; ``python build.py --check`` only says whether it is up to date.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
CATALOGUE = HERE / "catalogue"
PRODUCTS = HERE / "products.jsonl"
CURRENCY = "EUR"

Row = dict[str, Any]


def rows(catalogue: Path = CATALOGUE) -> Iterator[Row]:
    """One row a variant, in the format of ``marketplace import products``."""
    for path in sorted(catalogue.glob("*.toml")):
        file = tomllib.loads(path.read_text(encoding="utf-8"))
        for product in file["product"]:
            yield from _variants(file["category"], product)


def text(catalogue: Path = CATALOGUE) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows(catalogue))


def _variants(category: str, product: Row) -> Iterator[Row]:
    names = product.get("options", [])
    for variant in product["variants"]:
        *values, price, stock = variant
        yield {
            "product": product["key"],
            "sku": "-".join(_slug(part) for part in [product["key"], *values]).upper(),
            "title": product["title"],
            "description": product["description"],
            "category": category,
            "seller": product["seller"],
            "price": price,
            "currency": CURRENCY,
            "stock": stock,
            "image": f"pictures/{product['key']}.png",
            "options": dict(zip(names, values, strict=True)),
            "attributes": product["attributes"],
        }


def _slug(value: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", value.lower()).strip("-")


def main() -> int:
    parser = argparse.ArgumentParser(description="Make products.jsonl from catalogue/*.toml.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if it is out of date")
    args = parser.parse_args()
    wanted = text()
    if args.check:
        if PRODUCTS.is_file() and PRODUCTS.read_text(encoding="utf-8") == wanted:
            return 0
        print(f"{PRODUCTS.name} is out of date; run: python build.py", file=sys.stderr)
        return 1
    PRODUCTS.write_text(wanted, encoding="utf-8")
    print(f"{PRODUCTS.name}: {wanted.count(chr(10))} variants", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
