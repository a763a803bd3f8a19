"""What a part of the real invoices comes to by plain Python, and by the reports: to the penny and the count."""

from __future__ import annotations

import csv
import io
import lzma
import zlib
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from marketplace_analytics.commands import batches
from marketplace_online_retail.convert import NOT_GOODS
from marketplace_online_retail.history import import_history

from marketplace_core.capabilities.analytics import AdminReportQuery, Analytics, ReportName
from marketplace_core.testing.marketplace import Marketplace

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data" / "online_retail" / "online_retail.csv.xz"
Row = dict[str, str]
#: Of so many customers one, with all that they bought and took back; and of invoices without a customer.
ONE_OF = 151
PLUGINS = ("auth", "users", "catalog", "sellers", "cart", "orders", "payments", "logistics", "orchestrator", "analytics")


def part_of(source: Path, target: Path) -> list[Row]:
    """Written there, and given."""
    with lzma.open(source) as packed, io.TextIOWrapper(packed, encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines)
        names = next(reader)
        whose, of = names.index("CustomerID"), names.index("InvoiceNo")
        kept = [cells for cells in reader if zlib.crc32((cells[whose] or cells[of]).encode()) % ONE_OF == 0]
    with target.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([names, *kept])
    return [dict(zip(names, cells, strict=True)) for cells in kept]


def pence(text: str) -> int:
    return int((Decimal(text) * 100).to_integral_value())


class Sums:
    """By month: orders, units and pence that were bought, orders by country; and in all what was given back."""

    def __init__(self, rows: list[Row]) -> None:
        self.sold: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        self.countries: dict[str, Counter[str]] = defaultdict(Counter)
        self.cancelled = self.refunds = 0
        began: dict[str, str] = {}
        bought: dict[tuple[str, str], list[list[int]]] = defaultdict(list)  # units that are left, and their price
        for row in rows:
            number, units, price = row["InvoiceNo"], int(row["Quantity"]), pence(row["UnitPrice"])
            if not number.lstrip("C").isdecimal() or row["StockCode"] in NOT_GOODS or price <= 0:
                continue
            whose = (row["CustomerID"], row["StockCode"])
            if number.startswith("C"):
                self._take_back(bought[whose] if row["CustomerID"] else [], -units, price)
            elif units > 0:
                if number not in began:
                    began[number] = row["InvoiceDate"][:7]
                    self.sold[began[number]][0] += 1
                    self.countries[began[number]][row["Country"]] += 1
                self.sold[began[number]][1] += units
                self.sold[began[number]][2] += units * price
                bought[whose].append([units, price])

    def _take_back(self, owned: list[list[int]], units: int, price: int) -> None:
        """Of what was bought last, and at this price before any other; all of it or nothing."""
        if not 0 < units <= sum(left for left, _ in owned):
            return
        self.cancelled += 1
        for one in [one for one in owned[::-1] if one[1] == price] + [one for one in owned[::-1] if one[1] != price]:
            taken = min(units, one[0])
            one[0] -= taken
            units -= taken
            self.refunds += taken * one[1]


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not here: the data is not part of the project")
@pytest.mark.costly("half a million rows are read, and some thousand of them imported")
@pytest.mark.parametrize("runner", ["local"])
async def test_reports_tell_what_the_invoices_come_to(
    marketplace: Callable[..., Awaitable[Marketplace]], tmp_path: Path, runner: str
) -> None:
    rows = part_of(DATA, tmp_path / "part.csv")
    sums = Sums(rows)
    market = await marketplace([*PLUGINS], runner=runner)
    await market.stop_worker()
    report = await import_history(tmp_path / "part.csv", market.port)
    assert report.read == len(rows) == report.written + sum(report.rejected.values()) > 1000
    assert report.cancelled == sums.cancelled > 10
    assert report.orders == {"written": sum(month[0] for month in sums.sold.values()), "unchanged": 0, "rejected": 0}

    analytics = market.port(Analytics)
    for _ in range(2):  # as ``analytics rebuild`` does; what comes again stays one
        async for batch in batches(market.process, ()):
            assert await analytics.restore(batch) == len(batch)

    async def months(name: ReportName) -> list[dict[str, Any]]:
        query = AdminReportQuery(from_=date(2010, 12, 1), to=date(2011, 12, 31), interval="month", currency="GBP")
        return (await analytics.report(name, query)).items

    sales = await months("sales")
    sold = {item["from"][:7]: [item["orders"], item["units"], item["gross"]["amount"]] for item in sales}
    assert {month: found for month, found in sold.items() if any(found)} == sums.sold
    assert sum(item["refunds"]["amount"] for item in sales) == sums.refunds > 0
    regions = {item["from"][:7]: {one["region"]: one["orders"] for one in item["regions"]} for item in await months("overview")}
    assert {month: found for month, found in regions.items() if found} == sums.countries
