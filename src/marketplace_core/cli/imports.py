"""``marketplace import``: files that become products."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace_core.cli._common import Data, Failed, Json, print_json

if TYPE_CHECKING:
    from marketplace_core._imports.products import Report

app = typer.Typer()
importing = typer.Typer(help="Bring products into a marketplace.", no_args_is_help=True)
app.add_typer(importing, name="import")

SHOWN = 20
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

    from marketplace_core._imports.rows import NotAProductFile  # noqa: PLC0415

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
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import Progress  # noqa: PLC0415

    from marketplace_core._imports.products import import_products  # noqa: PLC0415
    from marketplace_core.capabilities.catalog import Catalog  # noqa: PLC0415
    from marketplace_core.capabilities.sellers import Sellers  # noqa: PLC0415
    from marketplace_core.cli._marketplace import marketplace  # noqa: PLC0415

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
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
    for row in report.rejected[:SHOWN]:
        print(f"line {row.line}: {row.code}: {row.detail}")
    if len(report.rejected) > SHOWN:
        print(f"… and {len(report.rejected) - SHOWN} more; --json lists them all")
    print(f"in {report.seconds} s")
