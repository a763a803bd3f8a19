"""``marketplace convert online_retail``, a command that needs no marketplace, and ``marketplace import online-retail``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace_core.commands import DATA, Data, Failed, Json, Marketplace, OnFile, on_marketplace, print_json, progress
from marketplace_online_retail.convert import CAUSES, SELLER, InputError, convert

if TYPE_CHECKING:
    from marketplace_online_retail.history import RetailReport

app = typer.Typer()
converting = typer.Typer(help="Make a product file out of something else.", no_args_is_help=True)
app.add_typer(converting, name="convert")
importing = typer.Typer()
app.add_typer(importing, name="import")


@converting.command("online_retail")
def online_retail(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="online_retail.csv.xz, or the same as plain .csv.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The product file (JSON Lines) to write.")],
    report: Annotated[Path | None, typer.Option(help="Write each rejected code with its cause (JSON Lines).")] = None,
    seller: Annotated[str, typer.Option(help="The shop that sells them: its name or id.")] = SELLER,
    json: Json = False,
) -> int:
    """Make a product of each stock code of the invoices; what cannot be one is rejected with its cause."""
    try:
        with progress() as bars:
            size = source.stat().st_size if source.is_file() else None
            task = bars.add_task(source.name, total=size)
            counts = convert(source, output, report, lambda read: bars.update(task, completed=read), seller=seller)
    except InputError as error:
        raise Failed(str(error), "give it the invoices of Online Retail, and a file that can be written", 2) from error
    if json:
        print_json(counts)
        return 0
    print(f"{counts['codes']} codes: {counts['written']} written to {output}, the others rejected:")
    for cause in CAUSES:
        print(f"  {cause}: {counts['rejected'][cause]} (applies to {counts['causes'][cause]})")
    print(f"{counts['shared_titles']} codes share their title with another, which is no error.")
    return 0


@importing.command("online-retail")
def import_online_retail(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="online_retail.csv.xz, or the same as plain .csv.")],
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """Write the invoices as orders of the past, and their customers. Running it again changes nothing."""
    from marketplace_online_retail.history import import_history  # noqa: PLC0415

    with progress() as bars:
        tasks = {name: bars.add_task(name, total=None) for name in ("people", "orders")}

        async def act(market: Marketplace) -> RetailReport:
            try:
                return await import_history(
                    source, market.port, lambda name, done, total: bars.update(tasks[name], completed=done, total=total)
                )
            except LookupError as error:
                raise Failed(str(error), "import into a deployment that has auth and orders") from error

        try:
            report: RetailReport = on_marketplace(file, data, act)
        except InputError as error:
            raise Failed(str(error), "give it the invoices of Online Retail", 2) from error
    if json:
        print_json(report)
        return 0
    print(f"{report.read} lines: {report.bought} bought, {report.cancelled} take units back, the others rejected:")
    for cause, count in report.rejected.items():
        print(f"  {cause}: {count}")
    for name, counts in (("orders", report.orders), ("people", report.people)):
        print(f"{name}: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    return 0
