"""Confirmed orders per second, against the same statements without us and against the engine alone."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import replay
from cpu import spent
from figures import Bench, Line, figure
from floor import program
from market import variants
from msgspec import Struct
from purchase import Basket, checkouts, count, fill, place, until_confirmed

from marketplace_core.testing.client import Client, clients

CLIENTS = 8
CLONE = "floor"


class Spec(Struct, frozen=True):
    """``orders`` replays by ``CLIENTS``, each with new ids for ``fresh`` and another of ``variants`` for the first."""

    dsn: str
    orders: int
    transactions: list[replay.Replayed]
    fresh: list[str]
    variants: list[str]


@figure("checkout")
async def checkout(bench: Bench) -> list[Line]:
    """Confirmed orders per second by 8 clients; the floor is every statement of a checkout replayed by psqlpy alone."""
    orders = 40 if bench.quick else 200
    async with bench.started() as market:
        bench.say("watching checkouts")
        watched = await checkouts(market)
        await market.clone(CLONE)
        clone = market.database(CLONE)
        await clone.execute("UPDATE catalog.variants SET on_hand = 1000000")
        steps = await clone.value(
            "SELECT count(*) FROM dbos.operation_outputs WHERE workflow_uuid = ANY($1::text[])", watched.fresh
        )
        await clone.close()
        async with market.client() as client:
            others = [id_ for id_ in await variants(client, 100) if id_ != watched.variant]
        dsn = market.postgres.dsn(CLONE)
        spec = bench.folder / "checkout.spec"
        replayed = await replay.prepare(dsn, watched.everything)
        spec.write_bytes(msgspec.msgpack.encode(Spec(dsn, orders, replayed, watched.fresh, [watched.variant, *others])))
        ours: list[float] = []
        bottom: list[float] = []
        engine: list[float] = []
        middles: list[float] = []
        used: list[Mapping[str, float]] = []
        for number in range(bench.runs):
            bench.say(f"{orders} orders, run {number + 1}")
            before = spent(market)
            rate, waits = await confirmed(market.audiences, orders)
            used.append({name: (after - before.get(name, 0.0)) / orders for name, after in spent(market).items()})
            ours.append(rate)
            middles.append(statistics.median(waits))
            async with program(bench.folder, "checkout", str(spec)) as line:
                bottom.append(float(line))
            async with program(bench.folder, "engine", dsn, str(steps), str(orders), str(CLIENTS)) as line:
                engine.append(float(line))
    parts = ", ".join(f"{name} {statistics.median(each[name] for each in used) * 1000:.0f}" for name in used[0])
    note = f"{count(watched.ours)} statements of ours and {count(watched.engine)} of the engine"
    return [
        Line(name="confirmed orders", unit="/s", ours=ours, floor=bottom, at_least=0.3, note=note),
        Line(name="confirmed orders, p50", unit="s", ours=middles, at_most=0.4),
        Line(
            name="processor per confirmed order",
            unit="ms",
            ours=[sum(each.values()) * 1000 for each in used],
            at_most=60,
            note=f"{parts}; the cart that is ordered is filled within, by a client that is not counted",
        ),
        Line(name="the engine alone", unit="/s", ours=engine, note=f"{steps} empty steps each"),
    ]


async def confirmed(where: Mapping[str, str], orders: int) -> tuple[float, list[float]]:
    """Orders per second, and the seconds that each took. ``where``: the prefix of each audience."""
    async with clients(where) as make:
        parts = [await fill(make("buyer"), orders // CLIENTS) for _ in range(CLIENTS)]
        began = time.perf_counter()
        waits = await asyncio.gather(*(_shopper(make("buyer"), baskets) for baskets in parts))
        taken = time.perf_counter() - began
    found = [each for some in waits for each in some]
    return len(found) / taken, found


async def _shopper(client: Client, baskets: list[Basket]) -> list[float]:
    waits = []
    for basket in baskets:
        began = time.perf_counter()
        await until_confirmed(client, await place(client, basket))
        waits.append(time.perf_counter() - began)
    return waits


# ── the program of the floor ─────────────────────────────────────────────────────────────────────────────────


async def _replay(spec: Spec) -> float:
    connections = replay.pool(spec.dsn, CLIENTS)
    await replay.run(connections, spec.transactions, _values(spec, 0))
    numbers = iter(range(1, spec.orders + 1))

    async def shopper() -> None:
        for number in numbers:
            await replay.run(connections, spec.transactions, _values(spec, number))

    began = time.perf_counter()
    await asyncio.gather(*(shopper() for _ in range(CLIENTS)))
    return spec.orders / (time.perf_counter() - began)


def _values(spec: Spec, number: int) -> dict[str, str]:
    return {**replay.fresh(spec.fresh), spec.variants[0]: spec.variants[number % len(spec.variants)]}


if __name__ == "__main__":
    import uvloop

    print(uvloop.run(_replay(msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Spec))), flush=True)
