"""``marketplace convert online_retail``: a command that needs no marketplace."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from marketplace_core.commands import Failed, Json, print_json, progress
from marketplace_online_retail.convert import CAUSES, SELLER, InputError, convert

app = typer.Typer()
converting = typer.Typer(help="Make a product file out of something else.", no_args_is_help=True)
app.add_typer(converting, name="convert")


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
