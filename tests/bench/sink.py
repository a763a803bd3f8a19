"""Events through the sink of the reports, one SIGKILL in the middle, and reports over five million of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from itertools import islice
from pathlib import Path
from typing import Any

from figures import Bench, Line, figure
from sink_events import SHARES, TOPICS, messages
from sink_reader import GROUP
from sink_rows import EVENTS_IN_ALL

from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.native import EmbeddedRedis
from marketplace_core.adapters.redis.server import connect

EVENTS, PUBLISHED_AT_ONCE = 600_000, 2_000
HERE = Path(__file__).parent


@figure("sink")
async def sink(bench: Bench) -> list[Line]:
    """Events per second read, decoded and inserted, killed once in the middle; beside the same rows inserted by the driver."""
    events = EVENTS // 6 if bench.quick else EVENTS
    folder = bench.folder / "sink"
    folder.mkdir()
    server = EmbeddedRedis(folder, "lasting")
    await server.start()
    rates, whole, floors = [], [], []
    try:
        for number in range(1 if bench.quick else bench.runs):
            bench.say(f"sink, run {number + 1}: publishing {events:,} events")
            url, prefix, store = server.url, f"bus{number}", folder / f"chdb{number}"
            told = await _publish(url, prefix, events)
            bench.say("sink: reading")
            reading, every, again = await _read(url, prefix, store, events)
            _check(told, await _store("count", str(store)))
            rates.append(events / reading)
            whole.append(events / every)
            floors.append(events / (await _store("floor", str(folder / f"floor{number}"), str(events)))["seconds"])
    finally:
        await server.stop()
    note = f"{events:,} events, one SIGKILL: none is missing or counted twice, {again:,} came again in the last run"
    return [
        Line(name="events through the sink", unit="/s", ours=rates, at_least=50_000, note=note),
        Line(
            name="… beside the same rows inserted", unit="/s", ours=rates, floor=floors, note="by the driver, made beforehand"
        ),
        Line(name="… the start of another process included", unit="/s", ours=whole),
    ]


@figure("reports")
async def reports(bench: Bench) -> list[Line]:
    """Milliseconds of each report over 5,000,000 events of a year, as the command waits for it."""
    share = 0.1 if bench.quick else 1.0
    bench.say(f"reports: making {round(share * EVENTS_IN_ALL):,} events")
    folder = bench.folder / "reports"
    found = await _store("reports", str(folder), str(share), str(bench.runs))
    note = f"{found['events']:,} events"
    return [Line(name=f"report {name}", unit="ms", ours=took, at_most=1000, note=note) for name, took in found["took"].items()]


async def _publish(url: str, prefix: str, events: int) -> Counter[str]:
    """How many there are of each type."""
    told, source = Counter[str](), messages(events)
    async with connect(url) as redis:
        bus = RedisBus(redis, prefix=prefix, groups={GROUP: TOPICS})
        while batch := list(islice(source, PUBLISHED_AT_ONCE)):
            await bus.publish(batch)
            told.update(message.type for message in batch)
    return told


async def _read(url: str, prefix: str, store: Path, events: int) -> tuple[float, float, int]:
    """Seconds in which a process was reading, seconds in all, and how many events came to a second one again."""
    async with _reader(url, prefix, store) as first:
        began = time.perf_counter()
        while first.taken < events // 2:
            await first.more()
        first.process.send_signal(signal.SIGKILL)
        killed = time.perf_counter()
        await first.process.wait()
    async with connect(url) as redis, _reader(url, prefix, store) as second:
        reopened, bus = time.perf_counter(), RedisBus(redis, prefix=prefix)
        while second.taken < events - first.taken or await bus.lag({GROUP: TOPICS}):
            await second.more()
        ended = time.perf_counter()
    return killed - began + ended - reopened, ended - began, first.taken + second.taken - events


class _Reader:
    """A process that reads. ``taken``: so many events it says that it has written."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process, self.taken = process, 0
        self._stirred = asyncio.Event()

    async def more(self) -> None:
        """Waits until it has taken more, or a moment."""
        if self.process.returncode is not None:
            raise RuntimeError("the sink has ended")
        self._stirred.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stirred.wait(), 0.05)

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.taken = int(line)
            self._stirred.set()


@contextlib.asynccontextmanager
async def _reader(url: str, prefix: str, store: Path) -> AsyncIterator[_Reader]:
    with (store.parent / "reader.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(HERE / "sink_reader.py"), url, prefix, str(store)), stdout=PIPE, stderr=log
        )
    assert process.stdout is not None
    if await process.stdout.readline() != b"reads\n":
        raise RuntimeError((store.parent / "reader.log").read_text())
    reader = _Reader(process)
    listening = asyncio.create_task(reader.listen())
    try:
        yield reader
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await listening


async def _store(*arguments: str) -> dict[str, Any]:
    """What the program says that opens a folder of chdb: one process may open one."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "sink_store.py"), *arguments, stdout=PIPE, stderr=PIPE
    )
    output, errors = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(errors.decode()[-800:])
    found: dict[str, Any] = json.loads(output.splitlines()[-1])
    return found


def _check(told: Counter[str], found: dict[str, list[int]]) -> None:
    for cls in SHARES:
        _, rows, ids = found[cls.type]
        if not rows == ids == told[cls.type]:
            raise RuntimeError(f"of {told[cls.type]} {cls.type} {ids} are there, counted as {rows}")
