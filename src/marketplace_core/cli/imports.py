"""``marketplace import products``: a file that becomes products. Plugins add other kinds of files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace_core.commands import DATA, Data, Failed, Json, Marketplace, OnFile, on_marketplace, print_json, progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketplace_core.cli._imports.products import Report
    from marketplace_core.cli._imports.rows import BadRow

app = typer.Typer()
importing = typer.Typer(help="Bring products, or another marketplace's history, into a marketplace.", no_args_is_help=True)
app.add_typer(importing, name="import")

SHOWN = 20


@importing.command()
def products(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines, or CSV with a header: one row a variant.")],
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """Write the good rows, list the bad ones with line and cause. Running it again changes nothing."""
    from marketplace_core.cli._imports.rows import NotAProductFile  # noqa: PLC0415

    try:
        report = _import(source, file, data)
    except NotAProductFile as error:
        raise Failed(str(error), "give JSON Lines or CSV as docs/reference/imports.md says", 2) from error
    if json:
        print_json(report)
    else:
        _show(report)
    good = report.variants.written + report.variants.unchanged
    return 2 if good == 0 else 0


def _import(source: Path, file: Path | None, data: Path) -> Report:
    from marketplace_core.capabilities.catalog import Catalog  # noqa: PLC0415
    from marketplace_core.capabilities.sellers import Sellers  # noqa: PLC0415
    from marketplace_core.cli._imports.products import import_products  # noqa: PLC0415

    with progress() as bars:
        task = bars.add_task("products", total=None)

        async def act(market: Marketplace) -> Report:
            return await import_products(
                source,
                market.port(Catalog),
                market.port(Sellers),
                market.blobs,
                progress=lambda done, total: bars.update(task, completed=done, total=total),
            )

        return on_marketplace(file, data, act)


def _show(report: Report) -> None:
    for name in ("products", "variants", "sellers"):
        count = getattr(report, name)
        print(f"{name}: {count.read} read, {count.written} written, {count.unchanged} unchanged, {count.rejected} rejected")
    _show_rejected(report.rejected)
    print(f"in {report.seconds} s")


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────


def _show_rejected(rejected: Sequence[BadRow]) -> None:
    for row in rejected[:SHOWN]:
        place = f"{getattr(row, 'file', '')} line {row.line}".strip()
        print(f"{place}: {row.code}: {row.detail}")
    if len(rejected) > SHOWN:
        print(f"… and {len(rejected) - SHOWN} more; --json lists them all")
