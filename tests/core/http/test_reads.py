"""Encoded public reads: what is kept, for how long, and that nothing old comes back."""

from __future__ import annotations

import asyncio
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from http_serving import NoGate, app_of, served
from msgspec import Struct, field
from redis.asyncio import Redis
from yarl import URL

from marketplace_core.adapters.embedded import EmbeddedRedis
from marketplace_core.adapters.redis.reads import FIRST_SECONDS, EncodedReads, Lookups, RedisCache
from marketplace_core.adapters.redis.server import connect
from marketplace_core.errors import NotFound, Unavailable
from marketplace_core.http.routing import Answer, Request, Router
from marketplace_core.values import Audience, Caller, Page, PageQuery


class Catalogue:
    """Titles that change, and how often each route was really read."""

    def __init__(self) -> None:
        self.titles = {"1": "old", "2": "other"}
        self.reads = 0
        self.hold: asyncio.Event | None = None
        self.reading = asyncio.Event()

    async def title(self, id: str) -> str:
        self.reads += 1
        if id not in self.titles:
            raise NotFound()
        title = self.titles[id]
        if self.hold is not None:
            self.reading.set()
            await self.hold.wait()  # after the read, before the answer
        return title


def router_of(catalogue: Catalogue) -> Router:
    router = Router("buyer", "catalog")

    @router.get("/products/special", access="anyone")
    async def special() -> str:
        return await catalogue.title("2")

    @router.get("/products/{id}", access="anyone", cached="product:{id}")
    async def product(id: str) -> str:
        return await catalogue.title(id)

    @router.get("/products", access="anyone", cached="lists")
    async def products(query: PageQuery) -> Page[str]:
        return Page([await catalogue.title("1")], query.cursor)

    @router.get("/sheet", access="anyone", cached="lists")
    async def sheet() -> Answer[str]:
        return Answer(await catalogue.title("1"), headers={"X-Own": "header"})

    @router.get("/facets", access="anyone", cached_seconds=0.5)
    async def facets(query: Facets) -> list[dict[str, str]]:
        return [query.option, {"title": await catalogue.title("1")}]

    @router.get("/feed", access="guest", cached="lists", cached_for="guests")
    async def feed(request: Request) -> Page[str]:
        whose = request.caller.account_id or request.call.guest or "nobody"
        return Page([whose, await catalogue.title("1")])

    return router


class AdasGate(NoGate):
    """Whoever has a token is Ada."""

    async def identify(self, audience: Audience, headers: Mapping[str, str], entries: Mapping[str, bytes | None]) -> Caller:
        return Caller(account_id="ada", audience=audience)


class Facets(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    option: dict[str, str] = field(default_factory=dict)


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture
def cache(redis: Redis) -> RedisCache:
    return RedisCache(redis, "catalog")


@pytest.fixture
async def client(redis: Redis, catalogue: Catalogue) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(app_of(router_of(catalogue), gate=AdasGate(), reads=EncodedReads(redis))) as session:
        yield session


async def title(client: aiohttp.ClientSession, path: str = "/products/1") -> Any:
    answer = await client.get(f"/buyer/v1{path}")
    assert answer.status == 200
    return await answer.json()


async def test_the_second_read_is_the_first_ones_bytes(client: aiohttp.ClientSession, catalogue: Catalogue) -> None:
    first = await client.get("/buyer/v1/products/1", headers={"X-Request-Id": "r1"})
    second = await client.get("/buyer/v1/products/1", headers={"X-Request-Id": "r2"})
    assert await first.read() == await second.read() == b'"old"'
    assert catalogue.reads == 1
    for name in ("Content-Type", "Content-Length", "ETag"):
        assert first.headers[name] == second.headers[name]
    assert (first.headers["X-Request-Id"], second.headers["X-Request-Id"]) == ("r1", "r2")


@pytest.mark.behaviour("all-4")
async def test_a_warm_read_may_be_conditional_or_a_head(client: aiohttp.ClientSession, catalogue: Catalogue) -> None:
    tag = (await client.get("/buyer/v1/products/1")).headers["ETag"]
    known = await client.get("/buyer/v1/products/1", headers={"If-None-Match": f"W/{tag}"})
    assert (known.status, await known.read(), known.headers["ETag"]) == (304, b"", tag)
    head = await client.head("/buyer/v1/products/1")
    assert (head.status, head.headers["Content-Length"], await head.read()) == (200, "5", b"")
    assert catalogue.reads == 1


async def test_a_conditional_read_fills_too(client: aiohttp.ClientSession, catalogue: Catalogue) -> None:
    assert (await client.get("/buyer/v1/products/1", headers={"If-None-Match": "*"})).status == 304
    assert (await client.head("/buyer/v1/products/2")).status == 200
    assert [await title(client), await title(client, "/products/2")] == ["old", "other"]
    assert catalogue.reads == 2


async def test_one_spelling_per_query(client: aiohttp.ClientSession, catalogue: Catalogue) -> None:
    for query in ("limit=5&cursor=", "cursor=&limit=5", "cursor=&limit=%35", "&limit=5&cursor"):
        assert (await client.get(f"/buyer/v1/products?{query}")).status == 200
    await title(client, "/products?limit=5")
    await title(client, "/products?limit=5")
    await title(client, "/products?limit=6")
    assert catalogue.reads == 1 + 2


async def test_parameters_of_a_prefix_are_in_the_key(client: aiohttp.ClientSession, catalogue: Catalogue) -> None:
    async def options(query: str) -> Any:
        answer = await client.get(URL(f"http://shop.test/buyer/v1/facets?{query}", encoded=True))
        return (await answer.json())[0] if answer.status == 200 else answer.status

    for query in ("option.a=1&option.b=2", "option.b=2&option.a=1", "option.%61=1&option.b=%32"):
        assert await options(query) == {"a": "1", "b": "2"}
    assert catalogue.reads == 1
    assert await options("option.a=1") == {"a": "1"}
    assert await options("option.a=1%26option.b=2") == {"a": "1&option.b=2"}  # no two queries have one key
    assert await options("option.a=1%26option.b%3D2") == {"a": "1&option.b=2"}
    assert await options("option.a%3D1%26option.b=2") == {"a=1&option.b": "2"}
    assert catalogue.reads == 4
    assert [await options(query) for query in ("option.a=1&option.a=2", "option.=1", "option=1", "more.a=1")] == [422] * 4


async def test_what_is_kept_for_a_while_goes_by_itself(
    client: aiohttp.ClientSession, catalogue: Catalogue, cache: RedisCache
) -> None:
    assert [await title(client, "/facets") for _ in range(3)] == [[{}, {"title": "old"}]] * 3
    assert catalogue.reads == 1
    catalogue.titles["1"] = "new"
    await asyncio.sleep(0.6)
    assert await title(client, "/facets") == [{}, {"title": "new"}]
    catalogue.titles["1"] = "newer"
    await cache.drop_all()
    assert await title(client, "/facets") == [{}, {"title": "newer"}]


async def test_what_is_kept_for_guests_is_shown_to_nobody_else(client: aiohttp.ClientSession, catalogue: Catalogue) -> None:
    async def feed(**headers: str) -> tuple[str, str | None]:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await client.get("/buyer/v1/feed", headers=given)
        assert answer.status == 200
        return (await answer.json())["items"][0], answer.headers["ETag"]

    ada = {"Authorization": "Bearer ada"}
    for _ in range(2):
        assert (await feed(**ada))[0] == "ada"
        assert (await feed(X_Cart_Token="guest"))[0] == "guest"
    assert catalogue.reads == 4
    first, second = await feed(), await feed()
    assert first == second and first[0] == "nobody"
    assert catalogue.reads == 5
    assert [(await feed(**ada))[0], (await feed())[0]] == ["ada", "nobody"]
    assert catalogue.reads == 6


@pytest.mark.parametrize(
    "options",
    [
        {"access": "guest", "cached": "lists"},
        {"access": "account", "cached": "lists", "cached_for": "guests"},
        {"access": "guest", "cached_for": "guests"},
        {"access": "anyone", "cached_seconds": 0},
        {"access": "account", "cached_seconds": 5},
    ],
)
def test_what_cannot_be_kept(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cached"):
        Router("buyer", "catalog").get("/x", **options)


async def test_what_is_not_kept(client: aiohttp.ClientSession, catalogue: Catalogue, redis: Redis) -> None:
    for path, status in (
        ("/products/none", 404),
        ("/products?limit=x", 422),
        ("/products?nope=1", 422),
        ("/products?limit=1&limit=2", 422),
        ("/products?limit=%ff", 400),
        ("/products/special", 200),
        ("/sheet", 200),
        ("/products?cursor=" + "x" * 2000, 200),
    ):
        for _ in range(2):
            answer = await client.get(f"/buyer/v1{path}")
            assert (answer.status, path) == (status, path)
    assert await redis.keys("read:*") == []
    assert (await client.post("/buyer/v1/products/1")).status == 405


async def test_drop_is_seen_by_the_next_read(client: aiohttp.ClientSession, catalogue: Catalogue, cache: RedisCache) -> None:
    assert [await title(client), await title(client, "/products/2")] == ["old", "other"]
    catalogue.titles["1"] = "new"
    assert await title(client) == "old"
    await cache.drop(["product:1", "product:1"])
    assert [await title(client), await title(client, "/products/2")] == ["new", "other"]
    assert catalogue.reads == 3
    await cache.drop([])
    await RedisCache(cache._redis, "another").drop_all()
    assert await title(client) == "new"
    assert catalogue.reads == 3
    await cache.drop_all()
    assert [await title(client), await title(client, "/products/2")] == ["new", "other"]
    assert catalogue.reads == 5


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("everything", [False, True])
async def test_a_slow_reader_puts_nothing_old_back(
    client: aiohttp.ClientSession, catalogue: Catalogue, cache: RedisCache, warm: bool, everything: bool
) -> None:
    if warm:  # the tokens are there already
        await cache.drop(["product:1"])
        await cache.drop_all()
    catalogue.hold = asyncio.Event()
    slow = asyncio.create_task(title(client))
    await catalogue.reading.wait()
    catalogue.titles["1"] = "new"
    await (cache.drop_all() if everything else cache.drop(["product:1"]))
    catalogue.hold.set()
    assert await slow == "old"  # it had begun before
    catalogue.hold = None
    assert [await title(client) for _ in range(3)] == ["new"] * 3
    assert catalogue.reads == 2


async def test_no_read_after_a_drop_is_older_than_it(
    client: aiohttp.ClientSession, catalogue: Catalogue, cache: RedisCache
) -> None:
    """Readers at full speed against a writer: what is answered was never older than the last drop before the question."""
    committed, done = 0, asyncio.Event()
    catalogue.titles["1"] = "0"

    async def read() -> int:
        count = 0
        while not done.is_set():
            oldest = committed
            assert int(await title(client)) >= oldest
            count += 1
        return count

    readers = [asyncio.create_task(read()) for _ in range(8)]
    for number in range(1, 101):
        catalogue.titles["1"] = str(number)
        await cache.drop(["product:1"])
        committed = number
        await asyncio.sleep(0.002)
    done.set()
    counts = await asyncio.gather(*readers)
    assert min(counts) > 1
    assert catalogue.reads < sum(counts)


async def test_entries_are_short_lived(redis: Redis, catalogue: Catalogue) -> None:
    async with served(app_of(router_of(catalogue), reads=EncodedReads(redis, seconds=0.1))) as client:
        await title(client)
        await asyncio.sleep(0.15)
        await title(client)
    assert catalogue.reads == 2
    assert await redis.ttl("readgen:catalog") > 86400


async def test_losing_the_tokens_loses_the_entries(client: aiohttp.ClientSession, catalogue: Catalogue, redis: Redis) -> None:
    await title(client)
    for name in ("readgen:catalog", "readver:catalog:product:1"):
        before = catalogue.reads
        await redis.delete(name)
        await title(client)
        assert catalogue.reads == before + 1


async def test_one_round_trip(client: aiohttp.ClientSession, redis: Redis) -> None:
    await title(client)
    await redis.config_resetstat()
    for _ in range(10):
        await title(client)
    stats = await redis.info("commandstats")
    assert stats["cmdstat_mget"]["calls"] == 10
    assert set(stats) <= {"cmdstat_mget", "cmdstat_info", "cmdstat_config|resetstat", "cmdstat_config"}


async def test_those_who_wait_together_share_a_round_trip(redis: Redis) -> None:
    await redis.mset({"a": b"1", "b": b"2"})
    lookups = Lookups(redis)
    await lookups.get(["a"])
    await redis.config_resetstat()
    found = await asyncio.gather(*(lookups.get(keys) for keys in (["a"], ["b", "x"], [], ["b", "a", "a"])))
    assert found == [[b"1"], [b"2", None], [], [b"2", b"1", b"1"]]
    assert (await redis.info("commandstats"))["cmdstat_mget"]["calls"] == 1
    given_up = asyncio.create_task(lookups.get(["a"]))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await lookups.get(["b"]) == [b"2"]


# ── Redis away ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def own_redis() -> AsyncIterator[EmbeddedRedis]:
    folder = Path(tempfile.mkdtemp(prefix="mp-http-"))
    server = EmbeddedRedis(folder / "data", "cache")
    await server.start()
    yield server
    await server.stop()
    shutil.rmtree(folder)


async def test_without_redis_reads_go_on_and_drops_do_not(own_redis: EmbeddedRedis, catalogue: Catalogue) -> None:
    redis = connect(own_redis.url)
    cache = RedisCache(redis, "catalog")
    async with served(app_of(router_of(catalogue), reads=EncodedReads(redis))) as client:
        assert [await title(client), await title(client)] == ["old", "old"]
        assert catalogue.reads == 1
        await own_redis.stop()
        begin = time.monotonic()
        assert [await title(client) for _ in range(5)] == ["old"] * 5
        assert time.monotonic() - begin < 1
        assert catalogue.reads == 6
        with pytest.raises(Unavailable):
            await cache.drop(["product:1"])
        with pytest.raises(Unavailable):
            await cache.drop_all()
        await own_redis.start()
        for _ in range(300):
            before = catalogue.reads
            await title(client)
            if catalogue.reads == before:
                break
            await asyncio.sleep(0.01)
        assert catalogue.reads == before
    await redis.aclose()


async def test_a_redis_that_hangs_holds_nobody_up(own_redis: EmbeddedRedis, catalogue: Catalogue) -> None:
    redis = connect(own_redis.url)
    async with served(app_of(router_of(catalogue), reads=EncodedReads(redis, patience=0.3))) as client:
        await title(client)
        assert own_redis.child is not None
        own_redis.child.send(signal.SIGSTOP)
        begin = time.monotonic()
        assert await asyncio.gather(*(title(client) for _ in range(20))) == ["old"] * 20
        assert [await title(client) for _ in range(10)] == ["old"] * 10  # not asked again for each
        assert time.monotonic() - begin < 2
        own_redis.child.send(signal.SIGCONT)
        catalogue.titles["1"] = "new"
        await RedisCache(redis, "catalog").drop(["product:1"])
        assert await title(client) == "new"
    await redis.aclose()


@pytest.mark.behaviour("all-8")
async def test_a_token_stays_only_for_what_there_is(redis: Redis) -> None:
    reads = EncodedReads(redis)
    there = await reads.look("/products/1", "catalog", "product:1")
    assert there.ticket is not None
    await reads.look("/products/nowhere", "catalog", "product:nowhere")
    await reads.keep(there.ticket, '"1"', b"one")
    assert await redis.ttl("readver:catalog:product:nowhere") <= FIRST_SECONDS
    assert await redis.ttl("readver:catalog:product:1") > 86400
    assert await redis.ttl("readgen:catalog") > 86400
