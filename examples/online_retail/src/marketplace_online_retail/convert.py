"""Makes a product file for ``marketplace import products`` out of the UCI Online Retail invoices.

One product with one variant per stock code. Each code is written, or rejected with its cause.
"""

from __future__ import annotations

import csv
import io
import json
import lzma
import os
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from statistics import median
from typing import Any

SELLER = "Retail Archive"
CURRENCY = "GBP"
STOCK = 100
PENNY = Decimal("0.01")
CATEGORIES = Path(__file__).resolve().parent / "categories.toml"
ELSEWHERE = "Home > Other"
COLUMNS = ("StockCode", "Description", "UnitPrice")

NOT_GOODS = {
    "AMAZONFEE": "a fee",
    "B": "adjustment of bad debt",
    "BANK CHARGES": "bank charges",
    "C2": "carriage",
    "CRUK": "a commission",
    "D": "discount",
    "DOT": "postage",
    "M": "a manual entry",
    "m": "a manual entry",
    "POST": "postage",
    "S": "samples",
    "22016": "a gift voucher",
    "23444": "next day carriage",
    "23702": "a picture file",
    "gift_0001_10": "a gift voucher",
    "gift_0001_20": "a gift voucher",
    "gift_0001_30": "a gift voucher",
    "gift_0001_40": "a gift voucher",
    "gift_0001_50": "a gift voucher",
}

# In the order in which they are tested; a code is rejected for the first that applies.
NO_DESCRIPTION = "no_description"
PRICE_NOT_POSITIVE = "price_not_positive"
PRICE_BELOW_A_PENNY = "price_below_a_penny"
NOT_OF_GOODS = "not_goods"
CAUSES = (NO_DESCRIPTION, PRICE_NOT_POSITIVE, PRICE_BELOW_A_PENNY, NOT_OF_GOODS)

Row = dict[str, Any]
Progress = Callable[[int], None]


class InputError(Exception):
    """The input cannot be read as what it should be; the text is a sentence for the person who gave it."""


@dataclass
class Code:
    """What the invoices say of one stock code."""

    name: str
    descriptions: Counter[str] = field(default_factory=Counter)
    prices: Counter[str] = field(default_factory=Counter)

    @property
    def title(self) -> str:
        """The most frequent description; of several, the one that came first."""
        return self.descriptions.most_common(1)[0][0] if self.descriptions else ""

    def median_price(self) -> Decimal:
        return median([Decimal(price) for price in self.prices.elements()])

    def causes(self) -> list[str]:
        """Each cause that speaks against the code, the decisive one first."""
        price = self.median_price()
        applies = {
            NO_DESCRIPTION: not self.title,
            PRICE_NOT_POSITIVE: price <= 0,
            PRICE_BELOW_A_PENNY: price > 0 and not price.quantize(PENNY),
            NOT_OF_GOODS: self.name in NOT_GOODS,
        }
        return [cause for cause in CAUSES if applies[cause]]


def read(source: Path, progress: Progress = lambda _: None) -> dict[str, Code]:
    """All codes of the file in the order in which they occur; ``progress`` hears how many bytes are read."""
    codes: dict[str, Code] = {}
    with opened(source) as (lines, position):
        reader = csv.DictReader(lines, strict=True)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise InputError(f"{source}: not Online Retail, the header has no column {', '.join(missing)}.")
        for number, row in enumerate(reader, start=1):
            name, description, price = (row[column] for column in COLUMNS)
            if not name or description is None or not _is_decimal(price):
                raise InputError(f"{source}: line {reader.line_num} has no stock code, description or price.")
            code = codes.get(name)
            if code is None:
                code = codes[name] = Code(name)
            if description := description.strip():
                code.descriptions[description] += 1
            code.prices[price] += 1
            if number % 5_000 == 0:
                progress(position())
        progress(position())
    if not codes:
        raise InputError(f"{source}: has a header and no rows.")
    return codes


@contextmanager
def opened(source: Path) -> Iterator[tuple[io.TextIOBase, Callable[[], int]]]:
    try:
        with ExitStack() as stack:
            raw = stack.enter_context(source.open("rb"))
            plain = stack.enter_context(lzma.open(raw)) if source.suffix == ".xz" else raw
            yield stack.enter_context(io.TextIOWrapper(plain, encoding="utf-8", newline="")), raw.tell
    except OSError as error:
        raise InputError(f"{source}: cannot be read: {error.strerror or error}.") from error
    except (lzma.LZMAError, EOFError) as error:
        raise InputError(f"{source}: is not a whole xz file: {error}.") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{source}: is not CSV in UTF-8: {error}.") from error


def _is_decimal(price: str | None, known: dict[str, bool] = {}) -> bool:  # noqa: B006 -- a cache: few prices differ
    if price is None:
        return False
    if price not in known:
        try:
            known[price] = Decimal(price).is_finite()
        except InvalidOperation:
            known[price] = False
    return known[price]


class Categories:
    """The category of a title, by the words of ``categories.toml``."""

    def __init__(self, path: Path = CATEGORIES) -> None:
        file = tomllib.loads(path.read_text(encoding="utf-8"))
        self._words = {category: frozenset(words.split()) for category, words in file.items()}

    def of(self, title: str) -> str:
        found = set(re.findall(r"[a-z]+(?:-[a-z]+)*", title.lower()))
        found |= {word.removesuffix("s") for word in found} | {word.removesuffix("es") for word in found}
        return next((category for category, words in self._words.items() if words & found), ELSEWHERE)


def product(code: Code, categories: Categories, seller: str) -> Row:
    title = code.title
    return {
        "product": code.name,
        "sku": code.name,
        "title": title,
        "description": f"{title.capitalize()}, sold under the stock code {code.name}.",
        "category": categories.of(title),
        "seller": seller,
        "price": str(code.median_price().quantize(PENNY)),
        "currency": CURRENCY,
        "stock": STOCK,
        "image": None,
        "options": {},
        "attributes": {},
    }


def convert(
    source: Path, output: Path, report: Path | None = None, progress: Progress = lambda _: None, *, seller: str = SELLER
) -> Row:
    """Writes the products, and the rejected codes to ``report``; answers the counts."""
    codes = read(source, progress)
    categories = Categories()
    rejects = {name: causes for name, code in codes.items() if (causes := code.causes())}
    written = [code for name, code in codes.items() if name not in rejects]
    _write(output, (product(code, categories, seller) for code in written))
    if report is not None:
        lines = ({"code": name, "cause": causes[0], "also": causes[1:]} for name, causes in rejects.items())
        _write(report, lines)
    first = Counter(causes[0] for causes in rejects.values())
    every = Counter(cause for causes in rejects.values() for cause in causes)
    return {
        "codes": len(codes),
        "written": len(written),
        "rejected": {cause: first[cause] for cause in CAUSES},
        "causes": {cause: every[cause] for cause in CAUSES},
        "shared_titles": _shared(codes.values()),
        "shared_titles_written": _shared(written),
    }


def _shared(codes: Iterable[Code]) -> int:
    titles = Counter(code.title for code in codes if code.title)
    return sum(count for count in titles.values() if count > 1)


def _write(path: Path, rows: Iterator[Row]) -> None:
    """Whole or not at all: a file of an earlier run stays as it is until the new one is complete."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        unfinished.replace(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror or error}.") from error
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
