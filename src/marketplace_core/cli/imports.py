"""``marketplace import``: files that become products, and another marketplace's history."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace_core.cli._common import Data, Failed, Json, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.progress import Progress

    from marketplace_core.cli._imports.olist import OlistReport
    from marketplace_core.cli._imports.products import Report
    from marketplace_core.cli._imports.rows import BadRow

app = typer.Typer()
importing = typer.Typer(help="Bring products, or another marketplace's history, into a marketplace.", no_args_is_help=True)
app.add_typer(importing, name="import")

SHOWN = 20
OLIST = ("sellers", "products", "customers", "orders", "items", "payments", "reviews")
STAGES = ("files", "sellers", "customers", "products", "orders")
OnFile = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="The deployment; the embedded one, if not said.")]


@importing.command()
def products(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines, or CSV with a header: one row a variant.")],
    file: OnFile = None,
    data: Data = Path(".data"),
    json: Json = False,
) -> int:
    """Write the good rows, list the bad ones with line and cause. Running it again changes nothing."""
    import uvloop  # noqa: PLC0415

    from marketplace_core.cli._imports.rows import NotAProductFile  # noqa: PLC0415

    try:
        report = uvloop.run(_import(source, file, data))
    except NotAProductFile as error:
        raise Failed(str(error), "give JSON Lines or CSV as docs/reference/imports.md says", 2) from error
    if json:
        print_json(report)
    else:
        _show(report)
    good = report.variants.written + report.variants.unchanged
    return 2 if good == 0 else 0


async def _import(source: Path, file: Path | None, data: Path) -> Report:
    from marketplace_core.capabilities.catalog import Catalog  # noqa: PLC0415
    from marketplace_core.capabilities.sellers import Sellers  # noqa: PLC0415
    from marketplace_core.cli._imports.products import import_products  # noqa: PLC0415
    from marketplace_core.cli._marketplace import marketplace  # noqa: PLC0415

    with _progress() as progress:
        task = progress.add_task("products", total=None)
        async with marketplace(file, data) as process:
            return await import_products(
                source,
                process.port(Catalog),
                process.port(Sellers),
                process.blobs,
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )


def _show(report: Report) -> None:
    for name in ("products", "variants", "sellers"):
        count = getattr(report, name)
        print(f"{name}: {count.read} read, {count.written} written, {count.unchanged} unchanged, {count.rejected} rejected")
    _show_rejected(report.rejected)
    print(f"in {report.seconds} s")


@importing.command()
def olist(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="A folder with the files of the Olist data set.")],
    file: OnFile = None,
    data: Data = Path(".data"),
    json: Json = False,
) -> int:
    """Write the sellers, products, people, orders and payments of a history. Running it again changes nothing."""
    import uvloop  # noqa: PLC0415

    from marketplace_core.cli._imports.olist_files import NotAnOlistFolder  # noqa: PLC0415

    try:
        report = uvloop.run(_import_olist(source, file, data))
    except NotAnOlistFolder as error:
        raise Failed(str(error), "give the folder of the data set, with its own file names", 2) from error
    if json:
        print_json(report)
    else:
        _show_olist(report)
    counts = (getattr(report, name) for name in OLIST)
    return 0 if any(count.written + count.unchanged for count in counts) else 2


async def _import_olist(source: Path, file: Path | None, data: Path) -> OlistReport:
    from marketplace_core.cli._imports.olist import Ports, import_olist  # noqa: PLC0415
    from marketplace_core.cli._imports.olist_files import check_folder  # noqa: PLC0415
    from marketplace_core.cli._marketplace import marketplace  # noqa: PLC0415

    check_folder(source)  # before any server is started
    with _progress() as progress:
        tasks = {name: progress.add_task(name, total=None) for name in STAGES}
        async with marketplace(file, data) as process:
            try:
                ports = Ports.of(process.port)
            except LookupError as error:
                raise Failed(
                    str(error), "import into a deployment that has auth, sellers, catalog, orders and payments"
                ) from error
            return await import_olist(
                source, ports, lambda name, done, total: progress.update(tasks[name], completed=done, total=total)
            )


def _show_olist(report: OlistReport) -> None:
    for name in OLIST:
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
    _show_rejected(report.rejected)
    print(f"in {report.seconds} s: " + ", ".join(f"{name} {seconds} s" for name, seconds in report.took.items()))


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    """Bars on a terminal, on standard error; elsewhere nothing."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        yield progress


def _show_rejected(rejected: Sequence[BadRow]) -> None:
    for row in rejected[:SHOWN]:
        place = f"{getattr(row, 'file', '')} line {row.line}".strip()
        print(f"{place}: {row.code}: {row.detail}")
    if len(rejected) > SHOWN:
        print(f"… and {len(rejected) - SHOWN} more; --json lists them all")
