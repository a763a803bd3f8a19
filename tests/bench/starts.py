"""The second start, and what a marketplace takes that has nothing to do: memory, and a share of a core."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE

import psutil
from figures import Bench, Line, figure
from market import CLI

IDLE_SECONDS = 10
REST_SECONDS = 60


@figure("start")
async def start(bench: Bench) -> list[Line]:
    """Seconds of `marketplace up --json` on a data folder that was started before, until its line."""
    async with bench.started() as market:
        taken = []
        for number in range(bench.runs):
            bench.say(f"start {number + 1}")
            await market.stop()
            taken.append(await market.start())
    return [Line(name="second start until ready", unit="s", ours=taken, at_most=3)]


@figure("memory")
async def memory(bench: Bench) -> list[Line]:
    """PSS of all processes of `marketplace ps` with their children, after 10 s without work."""
    async with bench.started() as market:
        bench.say("idle memory")
        await market.stop()
        await market.start()
        await asyncio.sleep(IDLE_SECONDS)
        asked = await asyncio.create_subprocess_exec(*CLI, "ps", "--json", "--data", str(market.data), stdout=PIPE)
        output, _ = await asked.communicate()
        items = json.loads(output.splitlines()[-1])["items"]
    parts = ", ".join(f"{item['name']} {item['memory'] / 1e6:.0f}" for item in items)
    total = sum(item["memory"] for item in items) / 1e6
    return [Line(name="idle memory", unit="MB", ours=[total], at_most=600, note=parts)]


@figure("idle")
async def idle(bench: Bench) -> list[Line]:
    """Share of a core, in percent, that all processes of an `up` take together over 60 s without work."""
    async with bench.started() as market:
        await market.stop()
        await market.start()
        await asyncio.sleep(IDLE_SECONDS)
        seconds = IDLE_SECONDS if bench.quick else REST_SECONDS
        bench.say(f"{seconds} s at rest")
        before = _spent(market.state.supervisor)
        await asyncio.sleep(seconds)
        after = _spent(market.state.supervisor)
    shares = {name: 100 * (spent - before.get(name, 0)) / seconds for name, spent in after.items()}
    parts = ", ".join(f"{name} {share:.2f}" for name, share in shares.items() if share >= 0.01)
    return [Line(name="at rest, all processes", unit="%", ours=[sum(shares.values())], at_most=1, note=parts)]


def _spent(supervisor: int) -> dict[str, float]:
    """Seconds of CPU of a process and all below it, by name and pid."""
    found = {}
    for process in [root := psutil.Process(supervisor), *root.children(recursive=True)]:
        times = process.cpu_times()
        found[f"{process.name()} {process.pid}"] = times.user + times.system
    return found
