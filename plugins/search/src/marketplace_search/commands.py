"""``marketplace search rebuild``, ``evaluate`` and ``report``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace_core.commands import (
    DATA,
    Data,
    Failed,
    Json,
    Marketplace,
    OnFile,
    on_marketplace,
    print_json,
    print_table,
    progress,
    unopened,
)

if TYPE_CHECKING:
    from marketplace_core.capabilities.search import Rebuilt, SearchReport
    from marketplace_search.evaluation import Figures

app = typer.Typer()
searching = typer.Typer(help="The index of the search, and what people search by.")
app.add_typer(searching, name="search")

REMEDY = "name a deployment that has the plugin search"
Day = Annotated[str | None, typer.Option(metavar="DAY", help="YYYY-MM-DD.")]


@searching.command()
def rebuild(file: OnFile = None, data: Data = DATA, json: Json = False) -> int:
    """Build the index from the catalogue, beside the one that is read until then; the synonyms are read again, too."""
    from marketplace_search import plugin  # noqa: PLC0415

    with progress() as bars:
        task = bars.add_task("products", total=None)

        async def act(market: Marketplace) -> Rebuilt:
            try:
                service = plugin.provide_search(market.context("search"))
            except KeyError as error:
                raise Failed("this deployment has no search", REMEDY) from error
            return await service.rebuild(lambda done, total: bars.update(task, completed=done, total=total))

        found = on_marketplace(file, data, act)
    if json:
        print_json(found)
    else:
        print(f"{found.products} products, {found.sellers} sellers in {found.seconds} s; {found.caught_up} changed meanwhile")
    return 0


@searching.command()
def evaluate(
    queries: Annotated[Path, typer.Argument(metavar="FILE", help="A line for each search: the words, a tab, the SKU.")],
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """How well the index finds known products. One in a folder needs no server."""
    from marketplace_search.evaluation import figures, read  # noqa: PLC0415
    from marketplace_search.plugin import STORES  # noqa: PLC0415

    try:
        pairs = read(queries.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failed(f"{queries}: {error}", "give a file with words, a tab and a SKU in each line", 2) from error

    async def act(market: Marketplace) -> Figures:
        try:
            context = market.context("search")
        except KeyError as error:
            raise Failed("this deployment has no search", REMEDY) from error
        return await figures(context.store(STORES), pairs)

    found = unopened(file, data, act)
    if json:
        print_json(found)
    else:
        print(f"{len(pairs)} searches: MRR {found.mrr:.4f}, first {found.hit1:.4f}, among ten {found.hit10:.4f}, ", end="")
        print(f"p99 {found.p99_ms:.1f} ms")
    return 0


@searching.command()
def report(
    from_: Annotated[str | None, typer.Option("--from", metavar="DAY", help="YYYY-MM-DD; 30 days ago, if not said.")] = None,
    to: Day = None,
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """What people searched by, what found nothing, and how far down they chose."""
    from marketplace_core.capabilities.search import Search  # noqa: PLC0415

    today = datetime.now(UTC).date()
    try:
        until = datetime.fromisoformat(to).date() if to else today
        since = datetime.fromisoformat(from_).date() if from_ else until - timedelta(days=30)
    except ValueError as error:
        raise Failed(str(error), "write days as 2026-01-31", 2) from error

    async def act(market: Marketplace) -> SearchReport:
        try:
            return await market.port(Search).report(since, until)
        except LookupError as error:
            raise Failed("this deployment has no search", REMEDY) from error

    found = on_marketplace(file, data, act)
    if json:
        print_json(found)
        return 0
    through = "-" if found.click_through is None else f"{found.click_through:.2f}"
    print(f"{found.searches} searches, {found.without_result} without result, {through} clicks for each")
    rows = [*found.top, *(each for each in found.nothing_found if each not in found.top)]
    print_table(
        ("query", "searches", "results", "clicks", "position"),
        [(each.query, each.searches, each.results, each.clicks, each.position) for each in rows],
    )
    return 0
