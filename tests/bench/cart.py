"""Adding to a cart, and what a large cart costs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator, Sequence
from functools import partial

import msgspec
from figures import Bench, Line, figure, pairs
from floor import Sent, Spec, floor
from load import CONNECTIONS, post_script, wrk
from market import Market, variants
from msgspec import Struct
from reads import replayed
from redis.asyncio.connection import AbstractConnection
from watch import SqlLog, Statement, redis_commands, transactions

from marketplace_core._runtime import serve as process_main
from marketplace_core.testing.client import Client, clients

CARTS = 64
LARGE = 60
ITEMS = "/buyer/v1/cart/items"


class Guest(Struct, frozen=True):
    """Somebody with a cart of ``variants``."""

    id: str
    token: str
    variants: list[str]

    @property
    def request(self) -> tuple[dict[str, str], str]:
        """One unit more of the first."""
        body = msgspec.json.encode({"variant_id": self.variants[0], "quantity": 1}).decode()
        return {"X-Cart-Token": self.token}, body


async def guest(client: Client, lines: Sequence[str]) -> Guest:
    client.headers.pop("X-Cart-Token", None)
    cart = {}
    for variant_id in lines:
        cart = await client.post("/cart/items", {"variant_id": variant_id, "quantity": 1})
        client.headers["X-Cart-Token"] = cart["token"]
    return Guest(cart["id"], cart["token"], list(lines))


async def guests(market: Market, lines: int, count: int = CARTS) -> list[Guest]:
    async with market.client() as client:
        ids = await variants(client, max(lines, 20))
        if len(ids) < lines:
            raise RuntimeError(f"the demo sells {len(ids)} products, and {lines} are wanted")
        return [await guest(client, [ids[(n + i) % len(ids)] for i in range(lines)]) for n in range(count)]


@figure("cart_add")
async def cart_add(bench: Bench) -> list[Line]:
    """Adding to a cart; the floor is a bare Quart route with the same commands to Redis and the same SQL."""
    async with bench.started() as market:
        carts = await guests(market, 1)
        url, dsn = market.url + ITEMS, market.resource("main")
        first = carts[0]
        watched = await watch_add(market, first)
        texts = b" ".join(argument for sent in watched.redis for command in sent.commands for argument in command)
        claims = {found.decode() for found in re.findall(rb"cart:claim:([0-9a-f-]{36})", texts)}
        spec = Spec(
            body=watched.body,
            redis=watched.redis,
            dsn=dsn,
            sql=await replayed(dsn, transactions(watched.sql)),
            values=[{first.id: cart.id} for cart in carts],
            fresh=sorted(claims),
        )
        script = post_script([cart.request for cart in carts])
        bench.say("add to cart")
        async with floor(spec, bench.folder) as bare:
            await wrk(url, 1, bench.folder, script=script)
            await wrk(bare, 1, bench.folder, script=script)
            ours, bottom = await pairs(
                lambda: wrk(url, bench.seconds, bench.folder, script=script),
                lambda: wrk(bare, bench.seconds, bench.folder, script=script),
                bench.runs,
            )
    return [Line(name="add to cart", unit="/s", ours=ours, floor=bottom, at_least=0.5, note=watched.summary)]


@figure("cart_size")
async def cart_size(bench: Bench) -> list[Line]:
    """One unit more in a cart of 60 lines against one in a cart of 1: commands, round trips, statements, time."""
    async with bench.started() as market:
        large, small = await guests(market, LARGE, 8), await guests(market, 1, 8)
        async with _counting(market) as trips:
            one, many = [await watch_add(market, each, trips) for each in (small[0], large[0])]
        url = market.url + ITEMS
        scripts = [post_script([each.request for each in some]) for some in (large, small)]
        timed = {}
        for connections in (CONNECTIONS, 1):
            bench.say(f"add to a cart of {LARGE}, {connections} at once")
            left, right = (partial(_rate, bench, url, script, connections) for script in scripts)
            await left()
            await right()
            timed[connections] = await pairs(left, right, bench.runs)
    name = f"cart of {LARGE} against 1"
    equal = [
        ("Redis commands", one.commands, many.commands),
        ("Redis round trips", one.trips, many.trips),
        ("SQL statements", len(one.sql), len(many.sql)),
    ]
    lines = [
        Line(name=f"{name}: {what}", unit="", ours=[float(b)], floor=[float(a)], at_least=1, at_most=1) for what, a, b in equal
    ]
    note = "half the rate is twice the time"
    for connections, (ours, bottom) in timed.items():
        called = f"{name}: adding, {connections} at once"
        lines.append(Line(name=called, unit="/s", ours=ours, floor=bottom, at_least=0.5, note=note))
    return lines


async def _rate(bench: Bench, url: str, script: str, connections: int) -> float:
    return await wrk(url, bench.seconds, bench.folder, script=script, connections=connections)


# ── what an addition asks of the servers ─────────────────────────────────────────────────────────────────────


class Watched(Struct, frozen=True):
    """``trips``: how often the API wrote to a Redis, where that was counted."""

    body: bytes
    redis: list[Sent]
    sql: list[Statement]
    trips: int

    @property
    def commands(self) -> int:
        return sum(len(sent.commands) for sent in self.redis)

    @property
    def summary(self) -> str:
        names = ", ".join(command[0].decode() for sent in self.redis for command in sent.commands)
        return f"Redis: {names}; {len(self.sql)} statements"


class Trips:
    """The API at ``url``, and how often it has written to a Redis."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.count = 0


async def watch_add(market: Market, cart: Guest, trips: Trips | None = None) -> Watched:
    """One unit more, once warm."""
    headers, body = cart.request
    trips = trips or Trips(market.url)
    answers: list[bytes] = []
    counts: list[int] = []

    async with clients(trips.url) as make:
        client = make("buyer")
        client.headers.update(headers)

        async def act() -> None:
            before = trips.count
            answers.append(msgspec.json.encode(await client.post("/cart/items", msgspec.json.decode(body))))
            counts.append(trips.count - before)

        await act()
        with market.worker_stopped():
            async with SqlLog(market) as log, contextlib.AsyncExitStack() as stack:
                urls = [market.resource(name) for name in ("lasting", "cache")]
                monitors = [await stack.enter_async_context(redis_commands(server)) for server in urls]
                sql = await log.during(act)
    sent = [Sent(server, list(commands)) for server, commands in zip(urls, monitors, strict=True) if commands]
    return Watched(answers[-1], sent, sql, counts[-1])


@contextlib.asynccontextmanager
async def _counting(market: Market) -> AsyncIterator[Trips]:
    """The API in this process, counting how often it writes to a Redis: a pipeline is written at once."""
    plain = AbstractConnection.send_packed_command
    async with (
        process_main.opened(market.deployment, market.data) as process,
        process_main.serving(process_main.application(process)) as url,
    ):
        trips = Trips(url)

        async def counted(self: AbstractConnection, *args: object, **options: object) -> None:
            trips.count += 1
            await plain(self, *args, **options)  # type: ignore[arg-type]

        AbstractConnection.send_packed_command = counted  # type: ignore[method-assign]
        try:
            yield trips
        finally:
            AbstractConnection.send_packed_command = plain  # type: ignore[method-assign]
