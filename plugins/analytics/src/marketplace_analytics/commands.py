"""``marketplace report`` and ``marketplace analytics rebuild``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import msgspec
import typer

from marketplace_core.commands import DATA, Data, Failed, Json, Marketplace, OnFile, on_marketplace, print_json, progress
from marketplace_core.events import decode_envelope

if TYPE_CHECKING:
    from marketplace_core.capabilities.analytics import Report
    from marketplace_core.ports.outbox import OutboxRow

app = typer.Typer()
analytics = typer.Typer(help="What is kept of events.")
app.add_typer(analytics, name="analytics")

REMEDY = "name a deployment that has the plugin analytics"
BATCH = 5000
Day = Annotated[str | None, typer.Option(metavar="DAY", help="YYYY-MM-DD, in UTC.")]
Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="sales, funnel, returns, cohorts, lateness, search, ratings, moderation, performance, overview."
    ),
]


@app.command()
def report(
    name: Name,
    from_: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="YYYY-MM-DD, in UTC; 30 days ago, if not said.")
    ] = None,
    to: Day = None,
    by: Annotated[str, typer.Option("--by", "--interval", metavar="INTERVAL", help="day, week or month.")] = "day",
    currency: Annotated[str | None, typer.Option(metavar="CODE", help="Of this currency only.")] = None,
    seller: Annotated[str | None, typer.Option(metavar="ID", help="Of this shop only.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the rows there, amounts as decimals.")] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.png", help="Draw them there.")] = None,
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """Figures of the marketplace by interval."""
    from marketplace_analytics import showing  # noqa: PLC0415
    from marketplace_core.capabilities.analytics import AdminReportQuery, Analytics, Interval, ReportName  # noqa: PLC0415

    names, intervals = get_args(ReportName), get_args(Interval)
    if name not in names:
        raise Failed(f"there is no report {name!r}", f"use {', '.join(names)}", 2)
    if by not in intervals:
        raise Failed(f"there is no interval {by!r}", f"use {', '.join(intervals)}", 2)
    query = AdminReportQuery(from_=_day(from_), to=_day(to), interval=by, currency=currency, seller_id=seller)  # type: ignore[arg-type]

    async def act(market: Marketplace) -> Report:
        try:
            return await market.port(Analytics).report(name, query)  # type: ignore[arg-type]
        except LookupError as error:
            raise Failed("this deployment has no analytics", REMEDY) from error

    found = on_marketplace(file, data, act)
    if csv is not None:
        showing.write_csv(csv, name, found)
    if plot is not None:
        showing.draw(plot, name, found)
    if json:
        print_json(found)
    else:
        showing.print_report(name, found)
    return 0


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise Failed(f"{text!r} is no day", "write days as 2026-01-31", 2) from error


@analytics.command()
def rebuild(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Envelopes as JSON, one a line; what is kept of outboxes, if none."),
    ] = None,
    file: OnFile = None,
    data: Data = DATA,
    json: Json = False,
) -> int:
    """Take events in again, those that the outboxes still have or those in files; what is known stays one."""
    from marketplace_core.capabilities.analytics import Analytics  # noqa: PLC0415

    with progress("events") as bars:
        task = bars.add_task("events", total=None)

        async def act(market: Marketplace) -> dict[str, int]:
            try:
                port = market.port(Analytics)
            except LookupError as error:
                raise Failed("this deployment has no analytics", REMEDY) from error
            read = taken = 0
            async for batch in batches(market, files or ()):
                taken += await port.restore(batch)
                read += len(batch)
                bars.update(task, advance=len(batch))
            return {"read": read, "taken": taken}

        found: dict[str, Any] = on_marketplace(file, data, act)
    if json:
        print_json(found)
    else:
        print(f"{found['read']} events were read and {found['taken']} taken in")
    return 0


async def batches(market: Marketplace, files: Sequence[Path]) -> AsyncIterator[list[str]]:
    """Envelopes as JSON, of files or of what the outboxes still have."""
    for truth in () if files else market.places().values():
        rows = await truth.outbox.kept(0, BATCH)
        while rows:
            yield [_envelope(row) for row in rows]
            rows = await truth.outbox.kept(rows[-1].id, BATCH)
    for path in files:
        lines: list[str] = []
        with path.open(encoding="utf-8") as opened:
            for line in opened:
                if line.strip():
                    lines.append(line)
                if len(lines) == BATCH:
                    yield lines
                    lines = []
        if lines:
            yield lines


def _envelope(row: OutboxRow) -> str:
    return msgspec.json.encode(decode_envelope(row.payload, row.sequence or 0, row.writer)).decode()
