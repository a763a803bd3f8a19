"""Public reads: warm, logged in, and without the cache."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import aiohttp
from figures import Bench, Line, figure, pairs
from floor import Sent, Spec, Sql, floor, program
from load import wrk
from market import Market
from replay import prepare
from watch import SqlLog, Transaction, redis_commands, transactions

LIST = "/buyer/v1/products?limit=20"


@figure("reads")
async def reads(bench: Bench) -> list[Line]:
    """List of 20 and product page out of the encoded reads; the floor is a bare Quart route with the same bytes."""
    async with bench.started() as market:
        return [
            await _compared(bench, f"{name}, warm", market.url + path, Spec(body=await fetch(market.url + path)), 1.0)
            for name, path in await paths(market)
        ]


@figure("reads_logged_in")
async def reads_logged_in(bench: Bench) -> list[Line]:
    """The same with a valid Authorization; the floor is a bare Quart route with the same commands to Redis."""
    lines = []
    async with bench.started() as market, market.client(logged_in=True) as client:
        headers = {"Authorization": client.headers["Authorization"]}
        cache = market.resource("cache")
        for name, path in await paths(market):
            url = market.url + path
            body = await fetch(url, headers)
            with market.worker_stopped():
                async with redis_commands(cache) as commands:
                    await fetch(url, headers)
            spec = Spec(body=body, redis=[Sent(cache, list(commands))])
            shown = ", ".join(command[0].decode() for command in commands)
            lines.append(await _compared(bench, f"{name}, warm, logged in", url, spec, 0.6, headers, f"Redis: {shown}"))
    return lines


@figure("reads_uncached")
async def reads_uncached(bench: Bench) -> list[Line]:
    """The same without the encoded reads; the floor is a bare Quart route with the same SQL by psqlpy's pool."""
    lines = []
    async with bench.started() as market, program(bench.folder, "uncached", str(market.data)) as address:
        dsn = market.resource("main")
        for name, path in await paths(market):
            url = address + path
            body = await fetch(url)
            with market.worker_stopped():
                async with SqlLog(market) as log:
                    found = transactions(await log.during(partial(fetch, url)))
            spec = Spec(body=body, dsn=dsn, sql=await replayed(dsn, found))
            note = f"{sum(len(each.statements) for each in found)} statements"
            lines.append(await _compared(bench, f"{name}, uncached", url, spec, 0.5, note=note))
    return lines


async def replayed(dsn: str, found: Sequence[Transaction]) -> list[Sql]:
    return [Sql(each.explicit, [(s.sql, s.params) for s in each.steps]) for each in await prepare(dsn, found)]


async def paths(market: Market) -> list[tuple[str, str]]:
    async with market.client() as client:
        page = await client.get("/products?limit=20")
    return [("list of 20", LIST), ("product page", f"/buyer/v1/products/{page['items'][0]['id']}")]


async def fetch(url: str, headers: dict[str, str] | None = None) -> bytes:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        answer.raise_for_status()
        return await answer.read()


async def _compared(
    bench: Bench, name: str, url: str, spec: Spec, at_least: float, headers: dict[str, str] | None = None, note: str = ""
) -> Line:
    bench.say(name)
    async with floor(spec, bench.folder) as bare:
        await wrk(url, 1, bench.folder, headers=headers)
        await wrk(bare, 1, bench.folder)
        ours, bottom = await pairs(
            lambda: wrk(url, bench.seconds, bench.folder, headers=headers),
            lambda: wrk(bare, bench.seconds, bench.folder, headers=headers),
            bench.runs,
        )
    return Line(name=name, unit="/s", ours=ours, floor=bottom, at_least=at_least, note=note)
