"""The second start, and the memory of a marketplace that has nothing to do."""

from __future__ import annotations

import asyncio
import json
from asyncio.subprocess import PIPE

from figures import Bench, Line, figure
from market import CLI

IDLE_SECONDS = 10


@figure("start")
async def start(bench: Bench) -> list[Line]:
    """Seconds of `marketplace up --json` on a data folder that was started before, until its line."""
    async with bench.started() as market:
        taken = []
        for number in range(bench.runs):
            bench.say(f"start {number + 1}")
            await market.stop()
            taken.append(await market.start())
    return [Line(name="second start until ready", unit="s", ours=taken, at_most=5)]


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
