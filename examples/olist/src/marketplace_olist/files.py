"""The files of an Olist folder, row by row. A bad row is told with its file, its line and its cause.

Times have no zone there and are taken for UTC; amounts are decimals of reais.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from msgspec import Meta, Struct

from marketplace_core.errors import Invalid, Problem
from marketplace_core.validation import convert
from marketplace_core.values import LARGEST_AMOUNT

__all__ = [
    "CUSTOMERS",
    "ITEMS",
    "ORDERS",
    "PAYMENTS",
    "PRODUCTS",
    "REVIEWS",
    "SELLERS",
    "BadOlistRow",
    "CustomerRow",
    "ItemRow",
    "NotAnOlistFolder",
    "OrderRow",
    "PaymentRow",
    "ProductRow",
    "ReviewRow",
    "SellerRow",
    "check_folder",
    "read",
]

R = TypeVar("R", bound=Struct)

Key = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{1,64}\Z")]
Place = Annotated[str, Meta(min_length=1, max_length=200)]
Amount = Annotated[int, Meta(ge=0, le=LARGEST_AMOUNT)]
Price = Annotated[int, Meta(ge=1, le=LARGEST_AMOUNT)]
Number = Annotated[int, Meta(ge=0, le=2_000_000_000)]

SELLERS = "olist_sellers_dataset.csv"
PRODUCTS = "olist_products_dataset.csv"
CUSTOMERS = "olist_customers_dataset.csv"
ORDERS = "olist_orders_dataset.csv"
ITEMS = "olist_order_items_dataset.csv"
PAYMENTS = "olist_order_payments_dataset.csv"
REVIEWS = "olist_order_reviews_dataset.csv"


class NotAnOlistFolder(Exception):
    """A file is not there, or is something else."""


class BadOlistRow(Struct, frozen=True):
    """A row that is rejected, and why. ``line`` counts from 1, which is the header; ``file`` is its file's name."""

    line: int
    code: str
    detail: str
    file: str


class SellerRow(Struct, frozen=True):
    seller_id: Key
    seller_city: Place


class ProductRow(Struct, frozen=True):
    """Sizes in grams and centimetres."""

    product_id: Key
    product_category_name: Annotated[str, Meta(max_length=200)] = ""
    product_weight_g: Number | None = None
    product_length_cm: Number | None = None
    product_height_cm: Number | None = None
    product_width_cm: Number | None = None


class CustomerRow(Struct, frozen=True):
    """A customer is one order's; ``customer_unique_id`` is the person."""

    customer_id: Key
    customer_unique_id: Key
    customer_zip_code_prefix: Annotated[str, Meta(min_length=1, max_length=20)]
    customer_city: Place
    customer_state: Place


class OrderRow(Struct, frozen=True):
    order_id: Key
    customer_id: Key
    order_status: Literal["created", "approved", "invoiced", "processing", "shipped", "delivered", "unavailable", "canceled"]
    order_purchase_timestamp: datetime
    order_approved_at: datetime | None = None
    order_delivered_carrier_date: datetime | None = None
    order_delivered_customer_date: datetime | None = None
    order_estimated_delivery_date: datetime | None = None


class ItemRow(Struct, frozen=True):
    order_id: Key
    order_item_id: Annotated[int, Meta(ge=1, le=100_000)]
    product_id: Key
    seller_id: Key
    price: Price
    freight_value: Amount


class PaymentRow(Struct, frozen=True):
    order_id: Key
    payment_sequential: Annotated[int, Meta(ge=1, le=100_000)]
    payment_type: Annotated[str, Meta(min_length=1, max_length=50)]
    payment_value: Amount


class ReviewRow(Struct, frozen=True):
    """What somebody said of an order. ``order_id`` stands first: it says whether the row is wanted."""

    order_id: Key
    review_id: Key
    review_score: Annotated[int, Meta(ge=1, le=5)]
    review_creation_date: datetime
    review_comment_title: Annotated[str, Meta(max_length=200)] = ""
    review_comment_message: Annotated[str, Meta(max_length=5000)] = ""


def check_folder(folder: Path) -> None:
    """:raises NotAnOlistFolder: at the first file that is missing."""
    for name in (SELLERS, PRODUCTS, CUSTOMERS, ORDERS, ITEMS, PAYMENTS, REVIEWS):
        if not (folder / name).is_file():
            raise NotAnOlistFolder(f"{folder} has no {name}")


def read(
    folder: Path, name: str, kind: type[R], wanted: Callable[[str], bool] = lambda _key: True
) -> Iterator[tuple[int, R | BadOlistRow | None]]:
    """The rows of a file with their lines.

    :param wanted: asked with a row's first column; None is given for a row that is not, whatever else is in it.
    :raises NotAnOlistFolder: the file lacks a column, or is no CSV.
    """
    prepare = {name: _PREPARED[name] for name in kind.__struct_fields__ if name in _PREPARED}
    for line, cells in _cells(folder, name, kind.__struct_fields__):
        if cells is None:
            yield line, BadOlistRow(line, "malformed", "The row has another number of cells than the header.", name)
        elif not wanted(cells[kind.__struct_fields__[0]]):
            yield line, None
        else:
            yield line, _row(name, line, cells, kind, prepare)


def _cells(folder: Path, name: str, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str] | None]]:
    """The named cells of each row, with its line; None where the row does not have the header's cells."""
    try:
        with (folder / name).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            missing = [column for column in columns if column not in header]
            if missing:
                raise NotAnOlistFolder(f"the header of {name} lacks the column {missing[0]!r}")
            places = [(column, header.index(column)) for column in columns]
            line = reader.line_num + 1
            for cells in reader:
                if cells:
                    fits = len(cells) == len(header)
                    yield line, {column: cells[place] for column, place in places} if fits else None
                line = reader.line_num + 1
    except csv.Error as error:
        raise NotAnOlistFolder(f"line {reader.line_num} of {name} is not CSV ({error})") from error
    except UnicodeDecodeError as error:
        raise NotAnOlistFolder(f"{name} is not UTF-8 (byte {error.start})") from error
    except OSError as error:
        raise NotAnOlistFolder(f"{name} cannot be read ({error.strerror})") from error


def _row(name: str, line: int, cells: dict[str, str], kind: type[R], prepare: dict[str, Any]) -> R | BadOlistRow:
    try:
        given: dict[str, Any] = {column: cell for column, cell in cells.items() if cell != ""}
        for column in prepare.keys() & given.keys():
            given[column] = prepare[column](column, given[column])
        return convert(given, kind, strict=False)
    except Invalid as error:
        first = error.errors[0]
        more = f" ({len(error.errors) - 1} more)" if len(error.errors) > 1 else ""
        return BadOlistRow(line, first.code, f"{first.pointer.lstrip('/') or 'the row'}: {first.detail}{more}", name)


def _time(_: str, cell: str) -> str:
    return cell.replace(" ", "T", 1) + "Z"


def _centavos(column: str, cell: str) -> int:
    try:
        amount = Decimal(cell).scaleb(2)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount != amount.to_integral_value():
        raise Invalid([Problem(f"/{column}", "range", "An amount has at most 2 decimal places.")])
    return int(amount)


_TIMES = [
    name for kind in (OrderRow, ReviewRow) for name in kind.__struct_fields__ if name.endswith(("_timestamp", "_at", "_date"))
]
_PREPARED: dict[str, Callable[[str, str], Any]] = {
    **dict.fromkeys(("price", "freight_value", "payment_value"), _centavos),
    **dict.fromkeys(_TIMES, _time),
}
