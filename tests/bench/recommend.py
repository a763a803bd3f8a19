"""The base feed, signals, and how good the model is on a file of sequences."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable

import aiohttp
from figures import Bench, Line, figure, pairs
from floor import Sent, Spec, floor
from load import wrk
from market import CLI, Market
from reads import fetch
from watch import redis_commands

#: A file with one person a line, the person and then items in order; it is no part of the project.
SEQUENCES = "MARKETPLACE_SEQUENCES"
#: What a plain item kNN reaches on S3-Rec's Beauty, last one out, all items ranked, ties against it.
FLOOR = {"hr@10": 0.0929, "ndcg@10": 0.0591}
GOALS = {"hr@10": 0.10, "ndcg@10": 0.065}
BATCH, BATCHES_A_SECOND = 50, 100


@figure("feed")
async def feed(bench: Bench) -> list[Line]:
    """A page of the feed; the floor is a bare ASGI route that reads the same key from Redis."""
    async with bench.started() as market:
        url = f"{market.url}/buyer/v1/feed?limit=20"
        body = await fetch(url)
        while not json.loads(body)["items"]:  # it is built a moment after the demo has been loaded
            await asyncio.sleep(0.5)
            body = await fetch(url)
        cache = market.resource("cache")
        with market.worker_stopped():
            async with redis_commands(cache) as commands:
                await fetch(url)
        sent = [command for command in commands if command[0].upper() in {b"GET", b"MGET", b"EVALSHA", b"HMGET"}][:1]
        bench.say("feed page")
        async with floor(Spec(body=body, redis=[Sent(cache, sent)], bare=True), bench.folder) as bare:
            await wrk(url, 1, bench.folder)
            await wrk(bare, 1, bench.folder)
            ours, bottom = await pairs(
                lambda: wrk(url, bench.seconds, bench.folder), lambda: wrk(bare, bench.seconds, bench.folder), bench.runs
            )
    note = ", ".join(command[0].decode() for command in sent)
    return [Line(name="feed page", unit="/s", ours=ours, floor=bottom, at_least=0.9, note=note)]


@figure("signals")
async def signals(bench: Bench) -> list[Line]:
    """5,000 signals a second, 50 a request, into one API process; the floor of the shop's p99 is the same without them."""
    async with bench.started() as market, aiohttp.ClientSession() as session:
        page = json.loads(await fetch(f"{market.url}/buyer/v1/products?limit=50"))
        products = [card["id"] for card in page["items"]]
        body = {"items": [{"type": "view", "product_id": products[n % len(products)]} for n in range(BATCH)]}
        accepted: list[float] = []

        async def given() -> None:
            async with session.post(f"{market.url}/buyer/v1/events", json=body) as answer:
                answer.raise_for_status()

        async def with_signals() -> float:
            began, sending = time.monotonic(), asyncio.ensure_future(_paced(given, BATCHES_A_SECOND, bench.seconds))
            found = await _p99(session, market, products, bench.seconds)
            accepted.append(BATCH * await sending / (time.monotonic() - began))
            return found

        bench.say("signals")
        ours, without = await pairs(with_signals, lambda: _p99(session, market, products, bench.seconds), bench.runs)
    return [
        Line(name="signals accepted", unit="/s", ours=accepted, at_least=0.99 * BATCH * BATCHES_A_SECOND),
        Line(name="p99 of the shop meanwhile", unit="ms", ours=ours, floor=without, at_most=1.2),
    ]


async def _p99(session: aiohttp.ClientSession, market: Market, products: list[str], seconds: float) -> float:
    """Of product pages, 100 a second, in milliseconds."""
    took: list[float] = []

    async def look() -> None:
        began = time.perf_counter()
        async with session.get(f"{market.url}/buyer/v1/products/{products[len(took) % len(products)]}") as answer:
            await answer.read()
        took.append(1000 * (time.perf_counter() - began))

    await _paced(look, 100, seconds)
    return statistics.quantiles(took, n=100)[98]


async def _paced(act: Callable[[], Awaitable[None]], rate: int, seconds: float) -> int:
    """Begin one every 1/rate seconds, whatever becomes of those before; gives how many were begun, all of which have ended."""
    began, tasks = time.perf_counter(), []
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        tasks.append(asyncio.ensure_future(act()))
    await asyncio.gather(*tasks)
    return len(tasks)


@figure("recommendations")
async def recommendations(bench: Bench) -> list[Line]:
    """Last items among the first ten, on the file that MARKETPLACE_SEQUENCES names; the goals are for Beauty.txt."""
    file = os.environ.get(SEQUENCES)
    if file is None:
        bench.say(f"without {SEQUENCES} nothing is evaluated")
        return []
    bench.say("evaluating")
    argv = (*CLI, "recommendations", "evaluate", file, "--json")
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE)
    output, _ = await process.communicate()
    found = json.loads(output.decode().splitlines()[-1])
    lines = [
        Line(name=name, unit="", ours=[found[name]], at_least=goal, note=f"item kNN {FLOOR[name]}")
        for name, goal in GOALS.items()
    ]
    return [
        *lines,
        Line(name="training", unit="s", ours=[found["seconds"]], at_most=180.0),
        Line(name="memory", unit="MB", ours=[found["memory"] / 1e6], at_most=1500.0),
        Line(name="coverage", unit="", ours=[found["coverage"]]),
    ]
