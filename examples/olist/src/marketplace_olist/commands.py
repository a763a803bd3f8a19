"""``marketplace import olist``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace_core.commands import DATA, Data, Failed, Json, Marketplace, OnFile, on_marketplace, print_json, progress

if TYPE_CHECKING:
    from marketplace_olist.history import OlistReport

app = typer.Typer()
importing = typer.Typer()
app.add_typer(importing, name="import")

SHOWN = 20
KINDS = ("sellers", "products", "customers", "orders", "items", "payments", "reviews")
STAGES = ("files", "sellers", "customers", "products", "orders", "reviews")


@importing.command()
def olist(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with the files of the Olist data set.")],
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """Write the sellers, products, people, orders, payments and reviews of a history. Running it again changes nothing."""
    from marketplace_olist.files import NotAnOlistFolder, check_folder  # noqa: PLC0415

    try:
        check_folder(source)  # before any server is started
        report = _import(source, file, data)
    except NotAnOlistFolder as error:
        raise Failed(str(error), "give the folder of the data set, with its own file names", 2) from error
    if json:
        print_json(report)
    else:
        _show(report)
    counts = (getattr(report, name) for name in KINDS)
    return 0 if any(count.written + count.unchanged for count in counts) else 2


def _import(source: Path, file: Path | None, data: Path) -> OlistReport:
    from marketplace_olist.history import Ports, import_olist  # noqa: PLC0415

    with progress() as bars:
        tasks = {name: bars.add_task(name, total=None) for name in STAGES}

        async def act(market: Marketplace) -> OlistReport:
            try:
                ports = Ports.of(market.port)
            except LookupError as error:
                remedy = "import into a deployment that has auth, sellers, catalog, orders and payments"
                raise Failed(str(error), remedy) from error
            return await import_olist(
                source, ports, lambda name, done, total: bars.update(tasks[name], completed=done, total=total)
            )

        return on_marketplace(file, data, act)


def _show(report: OlistReport) -> None:
    for name in KINDS:
        count = getattr(report, name)
        print(
            f"{name}: {count.read} read, {count.written} written, {count.unchanged} unchanged,"
            f" {count.rejected} rejected, {count.skipped} skipped"
        )
    print(f"{report.drafts} products without a sale; {report.orders_with_items} orders with items")
    found = report.reconciliation
    largest = f"{found.largest.amount / 100:.2f} {found.largest.currency}"
    print(
        f"paid as billed: {found.equal}, otherwise: {found.different}, by more than 0.05: {found.over_0_05}, at most {largest}"
    )
    for row in report.rejected[:SHOWN]:
        print(f"{row.file} line {row.line}: {row.code}: {row.detail}")
    if len(report.rejected) > SHOWN:
        print(f"… and {len(report.rejected) - SHOWN} more; --json lists them all")
    print(f"in {report.seconds} s: " + ", ".join(f"{name} {seconds} s" for name, seconds in report.took.items()))
