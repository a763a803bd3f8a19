"""A part of the Olist data set in which everything joins as in the whole, and what plain Python says of it."""

from __future__ import annotations

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from marketplace_olist import files

__all__ = ["Sums", "slice_of"]

Row = dict[str, str]
CONFIRMED = {"approved", "invoiced", "processing", "shipped", "delivered"}
SENT = {"shipped", "delivered"}


def rows(folder: Path, name: str) -> list[Row]:
    with (folder / name).open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def slice_of(source: Path, target: Path, *, orders: int, more: int, seed: int) -> Path:
    """So many orders by chance, beside those that have a review; all that joins to them, and as many as ``more`` products,
    sellers, payments and reviews that join to nothing."""
    chance = random.Random(seed)
    every = {name: rows(source, name) for name in (files.ORDERS, files.ITEMS, files.PAYMENTS, files.REVIEWS, files.CUSTOMERS)}
    said = {row["order_id"] for row in every[files.REVIEWS]}
    kept = [row for row in every[files.ORDERS] if row["order_id"] in said]
    named = {row["order_id"] for row in kept}
    kept += chance.sample([row for row in every[files.ORDERS] if row["order_id"] not in named], orders)
    keys, people = {row["order_id"] for row in kept}, {row["customer_id"] for row in kept}
    items = [row for row in every[files.ITEMS] if row["order_id"] in keys]

    def some(name: str, column: str, wanted: Iterable[str]) -> list[Row]:
        found, whole = set(wanted), rows(source, name)
        others = [row for row in whole if row[column] not in found]
        return [row for row in whole if row[column] in found] + chance.sample(others, min(more, len(others)))

    written = {
        files.ORDERS: kept,
        files.ITEMS: items,
        files.CUSTOMERS: [row for row in every[files.CUSTOMERS] if row["customer_id"] in people],
        files.PAYMENTS: some(files.PAYMENTS, "order_id", keys),
        files.REVIEWS: some(files.REVIEWS, "order_id", keys),
        files.SELLERS: some(files.SELLERS, "seller_id", (row["seller_id"] for row in items)),
        files.PRODUCTS: some(files.PRODUCTS, "product_id", (row["product_id"] for row in items)),
    }
    target.mkdir()
    for name, found in written.items():
        with (target / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(found[0]))
            writer.writeheader()
            writer.writerows(found)
    return target


def cents(amount: str) -> int:
    return int(Decimal(amount) * 100)


class Sums:
    """What a folder comes to, by month, as the reports should say. Nothing here knows of the marketplace."""

    def __init__(self, folder: Path, today: date) -> None:
        self.orders = {row["order_id"]: row for row in rows(folder, files.ORDERS)}
        self._states = {row["customer_id"]: row["customer_state"] for row in rows(folder, files.CUSTOMERS)}
        self.items: dict[str, list[Row]] = defaultdict(list)
        for row in rows(folder, files.ITEMS):
            self.items[row["order_id"]].append(row)
        self.payments = [row for row in rows(folder, files.PAYMENTS) if row["order_id"] in self.orders]
        said = [row for row in rows(folder, files.REVIEWS) if row["order_id"] in self.orders]
        self.of_nothing = [row for row in said if row["order_id"] not in self.items]
        seen = Counter[str]()
        self.reviews: list[Row] = []  # one of each item of an order, as they come
        for row in said:
            seen[row["order_id"]] += 1
            if seen[row["order_id"]] <= len(self.items.get(row["order_id"], ())):
                self.reviews.append(row)
        self._today = today.isoformat()

    def paid(self) -> int:
        return sum(cents(row["payment_value"]) for row in self.payments)

    def paid_by_month(self) -> dict[str, int]:
        """Of each month in which the payment was approved, or else the order placed."""
        found = Counter[str]()
        for row in self.payments:
            order = self.orders[row["order_id"]]
            found[(order["order_approved_at"] or order["order_purchase_timestamp"])[:7]] += cents(row["payment_value"])
        return {month: amount for month, amount in found.items() if amount}

    def states(self) -> dict[str, dict[str, int]]:
        """Orders that were confirmed, by the month of that and the state of their customer."""
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for key, month in self._confirmed():
            found[month][self._states[self.orders[key]["customer_id"]]] += 1
        return {month: dict(orders) for month, orders in found.items()}

    def _confirmed(self) -> Iterator[tuple[str, str]]:
        for key, row in self.orders.items():
            if (row["order_approved_at"] or row["order_status"] in CONFIRMED) and self.items[key]:
                yield key, (row["order_approved_at"] or row["order_purchase_timestamp"])[:7]

    def statuses(self) -> dict[str, int]:
        return dict(Counter(row["order_status"] for row in self.orders.values()))

    def sales(self) -> dict[str, tuple[int, int, int]]:
        """Orders, units and gross of those that were confirmed, by the month of that."""
        found: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        for key, at in self._confirmed():
            month = found[at]
            month[0] += 1
            month[1] += len(self.items[key])
            month[2] += sum(cents(item["price"]) + cents(item["freight_value"]) for item in self.items[key])
        return {month: (sums[0], sums[1], sums[2]) for month, sums in found.items()}

    def lateness(self) -> dict[str, tuple[int, int]]:
        """Parcels, one of each seller of an order, and those that came after the promised day, or not at all."""
        found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for key, row in self.orders.items():
            if row["order_status"] in SENT:
                parcels = len({item["seller_id"] for item in self.items[key]})
                sent = row["order_delivered_carrier_date"] or row["order_approved_at"] or row["order_purchase_timestamp"]
                came = row["order_delivered_customer_date"] or sent if row["order_status"] == "delivered" else self._today
                found[sent[:7]][0] += parcels
                found[sent[:7]][1] += parcels * (came[:10] > row["order_estimated_delivery_date"][:10])
        return {month: (sums[0], sums[1]) for month, sums in found.items() if sums[0]}

    def scores(self) -> dict[str, tuple[int, float]]:
        """Reviews and their average, by the month in which they were written."""
        found: dict[str, list[int]] = defaultdict(list)
        for row in self.reviews:
            found[row["review_creation_date"][:7]].append(int(row["review_score"]))
        return {month: (len(stars), round(sum(stars) / len(stars), 2)) for month, stars in found.items()}


def by_month(items: list[dict[str, Any]], told: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    return {item["from"][:7]: told(item) for item in items}
