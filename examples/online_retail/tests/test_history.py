"""Each line of the invoices is written or rejected with its cause, and what is taken back is matched with what was bought."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from marketplace_online_retail.convert import InputError
from marketplace_online_retail.history import import_history
from marketplace_online_retail.invoices import read_history

from marketplace_core.capabilities.orders import AdminOrderQuery, Order, Orders
from marketplace_core.testing.marketplace import Marketplace

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data" / "online_retail" / "online_retail.csv.xz"
HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
ROWS = [
    "100,A1,TEA POT,5,2010-12-01 08:26:00,2.50,17.0,France",
    "100,A1,TEA POT,2,2010-12-01 08:27:00,2.00,17.0,France",
    "100,POST,POSTAGE,1,2010-12-01 08:27:00,18.00,17.0,France",
    "101,B2,LAMP,1,2010-12-02 09:00:00,4.00,,France",
    "C102,A1,TEA POT,-3,2010-12-05 10:00:00,2.50,17.0,France",  # of the five, at their price
    "C103,A1,TEA POT,-4,2010-12-06 10:00:00,2.50,17.0,France",  # the other two, and the two of another price
    "C104,A1,TEA POT,-1,2010-12-07 10:00:00,2.50,17.0,France",  # none is left
    "C105,B2,LAMP,-1,2010-12-07 10:00:00,4.00,,France",  # nobody knows whose
    "106,B2,LAMP,-7,2010-12-08 10:00:00,4.00,,France",
    "107,B2,,-7,2010-12-08 10:00:00,0.0,,France",
    "108,B2,LAMP,3,2010-12-08 10:00:00,0.001,,France",
    "A109,B2,Adjust bad debt,1,2010-12-08 10:00:00,11062.06,,France",
    "110,B2,LAMP,many,2010-12-08 10:00:00,4.00,,France",
    "111,B2,LAMP,2,2010-12-09 10:00:00,4.00,17.0,France",
]
REJECTED = {
    "malformed": 1,
    "adjustment": 1,
    "not_goods": 1,
    "price_not_positive": 1,
    "price_below_a_penny": 1,
    "quantity_not_positive": 1,
    "cancels_nothing": 2,
}


def file(folder: Path) -> Path:
    path = folder / "invoices.csv"
    path.write_text("\n".join([HEADER, *ROWS]) + "\n")
    return path


def test_what_is_taken_back_is_matched_with_what_was_bought(tmp_path: Path) -> None:
    found = read_history(file(tmp_path))
    assert (found.read, found.bought, found.cancelled, found.units_cancelled) == (14, 4, 2, 7)
    assert dict(found.rejected) == REJECTED
    assert [(line.quantity, line.cancelled) for line in found.invoices["100"].lines] == [(5, 5), (2, 2)]
    assert found.invoices["111"].lines[0].cancelled == 0


def test_another_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="has no column InvoiceNo"):
        read_history(path)


@pytest.mark.parametrize("runner", ["wire"])
async def test_invoices_are_orders_of_the_past(
    marketplace: Callable[..., Awaitable[Marketplace]], tmp_path: Path, runner: str
) -> None:
    plugins = ["auth", "users", "catalog", "sellers", "cart", "orders", "payments", "logistics", "orchestrator"]
    market = await marketplace(plugins, runner=runner)
    report = await import_history(file(tmp_path), market.port)
    assert (report.read, report.written, report.rejected) == (14, 6, REJECTED)
    assert report.orders == {"written": 3, "unchanged": 0, "rejected": 0}
    assert report.people == {"written": 1, "unchanged": 0, "rejected": 0}
    await market.settle()
    again = await import_history(file(tmp_path), market.port)
    assert (again.orders["unchanged"], again.people["unchanged"]) == (3, 1)

    async def order(number: str) -> Order:
        port = market.port(Orders)
        [row] = (await port.search_orders(AdminOrderQuery(number=f"online_retail:{number}"))).items
        [whole] = await port.get_orders([row.id])
        return whole

    cancelled, guest, kept = await order("100"), await order("101"), await order("111")
    assert [each.status for each in (cancelled, guest, kept)] == ["cancelled", "delivered", "delivered"]
    assert [(line.quantity, line.cancelled, line.shipped) for line in cancelled.packages[0].items] == [(5, 5, 0), (2, 2, 0)]
    assert (kept.total.amount, kept.total.currency, kept.created_at.year) == (800, "GBP", 2010)


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not here: the data is not part of the project")
@pytest.mark.costly("half a million rows")
def test_every_line_of_the_real_file_is_written_or_has_a_cause() -> None:
    found = read_history(DATA)
    counts: Any = found.rejected
    assert found.read == 541_909 == found.written + counts.total()
    assert dict(counts) == {
        "adjustment": 3,
        "not_goods": 3029,
        "price_not_positive": 2496,
        "price_below_a_penny": 3,
        "cancels_nothing": 1270,
    }
    assert (found.bought, found.cancelled, found.units_cancelled) == (527_675, 7433, 250_219)
    assert len(found.invoices) == 19_770
    units = sum(line.cancelled for invoice in found.invoices.values() for line in invoice.lines)
    assert units == found.units_cancelled
    assert all(0 <= line.cancelled <= line.quantity for invoice in found.invoices.values() for line in invoice.lines)
