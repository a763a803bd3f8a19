"""How long an event takes from its commit to where another process has applied it."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence

from figures import Bench, Line, figure
from floor import program
from market import Market

RATE = 200
#: By how many milliseconds an event may take longer than the same XADD and XREADGROUP alone.
MORE = {50: 5.0, 99: 25.0}


@figure("events")
async def events(bench: Bench) -> list[Line]:
    """Milliseconds from commit to applied in another process, 200 events/s; the floor is XADD and XREADGROUP alone."""
    taken: dict[str, list[list[float]]] = {"ours": [], "floor": []}
    async with bench.started() as market:
        with market.worker_stopped():
            dsn = await market.empty_database("events")
            for number in range(bench.runs):
                bench.say(f"events, run {number + 1} of {bench.runs}")
                for kind, runs in taken.items():
                    runs.append(await _run(bench, market, dsn, kind))
    lines = []
    for percent, more in MORE.items():
        ours, floor = ([_percentile(run, percent) for run in taken[kind]] for kind in ("ours", "floor"))
        beside = f"XADD to XREADGROUP alone {statistics.median(floor):.2f} ms; {RATE}/s"
        extra = [mine - theirs for mine, theirs in zip(ours, floor, strict=True)]
        lines.append(
            Line(name=f"an event, commit to applied, p{percent}, more", unit="ms", ours=extra, at_most=more, note=beside)
        )
    return lines


async def _run(bench: Bench, market: Market, dsn: str, kind: str) -> list[float]:
    """Milliseconds of each event."""
    url = market.resource("lasting")
    file = bench.folder / "applied.json"
    async with program(bench.folder, "events_reader", dsn, url, kind, str(file)):
        arguments = (dsn, url, kind, str(RATE), f"{bench.seconds:g}")
        async with program(bench.folder, "events_writer", *arguments, patience=60 + bench.seconds) as line:
            ended = json.loads(line)
    applied = json.loads(file.read_text())
    lost = ended.keys() - applied.keys()
    if lost:
        raise RuntimeError(f"{len(lost)} of {len(ended)} events were not applied")
    return [1000 * (applied[id_] - at) for id_, at in ended.items()]


def _percentile(values: Sequence[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]
