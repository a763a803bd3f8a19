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


Form = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help="shopify, woocommerce, google, or a mapping file; else by the header."),
]
Seller = Annotated[str | None, typer.Option("--seller", help="Whose products they are, where no column says it.")]
Owner = Annotated[str | None, typer.Option("--owner", metavar="EMAIL", help="The account that owns the shop, if it is made.")]
Currency = Annotated[str | None, typer.Option("--currency", help="Of prices without one; the deployment's, if not said.")]
Country = Annotated[str | None, typer.Option("--country", help="Of the shops that are made, where no column says it.")]


@importing.command()
def products(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines, a table or a workbook: one row a variant.")],
    form: Form = None,
    seller: Seller = None,
    owner: Owner = None,
    currency: Currency = None,
    country: Country = None,
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """Write the good rows, list the bad ones with line and cause. Running it again changes nothing."""
    from marketplace_core.cli._imports.text import NotAProductFile  # noqa: PLC0415

    said = {"seller": seller, "currency": currency, "country": country}
    try:
        report = _import(source, form, {name: value for name, value in said.items() if value}, owner, file, data)
    except NotAProductFile as error:
        raise Failed(str(error), error.remedy, 2) from error
    if json:
        print_json(report)
    else:
        _show(report)
    good = report.variants.written + report.variants.unchanged
    return 2 if good == 0 else 0


def _import(
    source: Path, form: str | None, constants: dict[str, str], owner: str | None, file: Path | None, data: Path
) -> Report:
    from marketplace_core.capabilities.catalog import Catalog  # noqa: PLC0415
    from marketplace_core.capabilities.sellers import Sellers  # noqa: PLC0415
    from marketplace_core.cli._imports.files import open_file  # noqa: PLC0415
    from marketplace_core.cli._imports.products import import_products  # noqa: PLC0415

    open_file(source, form, {"currency": "XXX", **constants})  # what cannot be read is told before a server is started
    with progress("rows") as bars:
        reads, writes = bars.add_task("reading", total=None), bars.add_task("writing", total=None, start=False)

        def on_read(done: int, total: int) -> None:
            bars.update(reads, completed=done, total=total or None)

        def on_written(done: int, total: int) -> None:
            bars.start_task(writes)
            bars.update(writes, completed=done, total=total)

        async def act(market: Marketplace) -> Report:
            return await import_products(
                source,
                market.port(Catalog),
                market.port(Sellers),
                market.blobs,
                owner_id=await _account(market, owner),
                form=form,
                constants={"currency": market.context("catalog").currency, **constants},
                progress=on_written,
                reading=on_read,
                sizes=market.context("catalog").pictures.sizes,
            )

        return on_marketplace(file, data, act)


async def _account(market: Marketplace, email: str | None) -> str | None:
    if email is None:
        return None
    from marketplace_core.capabilities.auth import AccountQuery, Auth  # noqa: PLC0415

    found = (await market.port(Auth).list_accounts(AccountQuery(email=email))).items
    if not found:
        raise Failed(f"there is no account {email}", "have its owner register first", 2)
    return found[0].id


def _show(report: Report) -> None:
    if report.format is not None:
        print(f"read as {report.format}")
    for name in ("products", "variants", "sellers"):
        count = getattr(report, name)
        print(f"{name}: {count.read} read, {count.written} written, {count.unchanged} unchanged, {count.rejected} rejected")
    _show_rejected(report.rejected)
    print(f"in {report.seconds} s")


# ── parts ────────────────────────────────────────────────────────────────────────────────────────────────────


def _show_rejected(rejected: Sequence[BadRow]) -> None:
    for row in rejected[:SHOWN]:
        place = f"{getattr(row, 'file', '')} line {row.line}".strip()
        value = getattr(row, "value", None)
        print(f"{place}: {row.code}: {row.detail}{f' It says {value!r}.' if value else ''}")
    if len(rejected) > SHOWN:
        print(f"… and {len(rejected) - SHOWN} more; --json lists them all")
