"""How often a client may ask: addresses behind proxies, windows, counts shared on Redis, and what an application answers."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from http_serving import NoGate, app_of
from msgspec import Struct
from redis.asyncio import Redis

from marketplace_core._runtime.serve import serving
from marketplace_core.adapters.embedded import EmbeddedRedis
from marketplace_core.adapters.redis.rates import RedisRates
from marketplace_core.adapters.redis.reads import EncodedReads
from marketplace_core.adapters.redis.server import connect
from marketplace_core.deployment import Limits, Rate
from marketplace_core.errors import Unauthorized
from marketplace_core.http.addresses import FORWARDED, Addresses, _nearest
from marketplace_core.http.limits import LocalCounts, RateLimiter, window_of
from marketplace_core.http.routing import Request, Router
from marketplace_core.values import Audience, Caller, Clock

RATES = {"general": Rate(5, 60), "login": Rate(2, 60), "careful": Rate(3, 60)}


class Moved(Clock):
    """At the beginning of a minute, so that what is counted before has no part in it."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


# ── whose request it is ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("peer", "forwarded", "subject"),
    [
        ("198.51.100.7", [], "address:198.51.100.7"),
        ("198.51.100.7", ["203.0.113.9"], "address:198.51.100.7"),  # anybody can say so
        ("10.0.0.2", ["203.0.113.9"], "address:203.0.113.9"),
        ("10.0.0.2", ["1.2.3.4, 203.0.113.9"], "address:203.0.113.9"),  # the left one is the client's own invention
        ("10.0.0.2", ["1.2.3.4", "203.0.113.9, 10.9.9.9"], "address:203.0.113.9"),
        ("10.0.0.2", ["10.9.9.9"], "address:10.0.0.2"),
        ("10.0.0.2", [], "address:10.0.0.2"),
        ("10.0.0.2", ["203.0.113.9, nonsense"], "address:10.0.0.2"),
        ("10.0.0.2", ["203.0.113.9, 127.0.0.1"], None),
        ("10.0.0.2", ["1.2.3.4, " * 4000 + "203.0.113.9, 10.9.9.9"], "address:203.0.113.9"),
        ("10.0.0.2", ["203.0.113.9, " + "10.9.9.9," * 4000 + "10.9.9.9"], "address:10.0.0.2"),  # no chain of ours is so long
        ("::ffff:10.0.0.2", ["203.0.113.9"], "address:203.0.113.9"),
        ("2001:db8:1:2:3::4", [], "address:2001:db8:1:2::/64"),
        ("127.0.0.1", [], None),
        ("::1", [], None),
        (None, [], "address:local"),
    ],
)
def test_the_client_is_whom_the_last_of_our_proxies_heard(peer: str | None, forwarded: list[str], subject: str | None) -> None:
    addresses = Addresses(["10.0.0.0/8"], ["127.0.0.0/8", "::1/128"])
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    assert addresses.subject({"client": (peer, "1") if peer else None, "headers": headers}) == subject


# ── windows ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_window_slides() -> None:
    clock = Moved()
    limiter = RateLimiter(Limits(rates=RATES), clock, None)
    rooms = [limiter.general("a") for _ in range(5)]
    assert [(room.remaining, room.retry_after) for room in rooms] == [(left, 0) for left in (4, 3, 2, 1, 0)]
    assert {(room.limit, room.reset) for room in rooms} == {(5, 60)}
    refused = limiter.general("a")
    assert (refused.limit, refused.remaining, refused.retry_after) == (5, 0, 72)
    clock.advance(refused.retry_after - 1)
    assert limiter.general("a").retry_after == 1, "four fifths of the last minute are still within reach"
    clock.advance(1)
    assert limiter.general("a").retry_after == 0
    assert limiter.general("a").retry_after > 0, "there was room for one"
    assert limiter.general("b").remaining == 4, "others are not concerned"
    clock.advance(120)
    assert limiter.general("a").remaining == 4


def test_refused_requests_do_not_count() -> None:
    clock = Moved()
    limiter = RateLimiter(Limits(rates=RATES), clock, None)
    for _ in range(500):
        limiter.general("a")
    clock.advance(limiter.general("a").retry_after)
    assert limiter.general("a").retry_after == 0


def test_only_so_many_subjects_are_remembered() -> None:
    counts = LocalCounts(subjects=3)
    for name in ("a", "b", "a", "c", "d"):
        counts.hit([window_of("general", name, RATES["general"], 0)])
    known = [name for name in "abcd" if counts.known(window_of("general", name, RATES["general"], 0))]
    assert known == ["a", "c", "d"]


# ── counts on Redis ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.behaviour("all-5")
async def test_a_rate_of_its_own_is_exact_over_processes(redis: Redis) -> None:
    clock = Moved()
    processes = [RateLimiter(Limits(rates=RATES), clock, RedisRates(redis, patience=5)) for _ in range(3)]
    asked = [process.special("careful", ["address:1", f"subject:{turn}"]) for turn in range(4) for process in processes]
    rooms = await asyncio.gather(*asked)
    assert sorted(room.retry_after > 0 for room in rooms) == [False] * 3 + [True] * 9
    one = await processes[0].special("careful", ["address:2", "subject:x"])
    assert (one.limit, one.remaining) == (3, 2)
    await processes[1].special("careful", ["address:3", "subject:x"])
    await processes[2].special("careful", ["address:4", "subject:x"])
    refused = await processes[0].special("careful", ["address:5", "subject:x"])
    assert refused.retry_after > 0, "by whom it is about, wherever it comes from"
    assert (await processes[0].special("careful", ["address:5", "subject:y"])).remaining == 2, "and it cost the address nothing"
    clock.advance(180)
    assert (await processes[0].special("careful", ["address:1"])).remaining == 2
    keys = await redis.keys("*")
    assert not any(b"subject" in key for key in keys)
    assert all([0 < await redis.ttl(key) <= 120 for key in keys])


async def test_the_general_rate_is_added_up_in_the_background(redis: Redis) -> None:
    clock = Moved()
    first, second = (RateLimiter(Limits(rates=RATES), clock, RedisRates(redis, patience=5)) for _ in range(2))
    assert [first.general("a").remaining for _ in range(4)] == [4, 3, 2, 1]
    assert second.general("a").remaining == 4, "not yet heard of the first"
    for limiter in (first, second, first):  # the first hears of the second's request when it tells of its next
        if limiter.general("a").retry_after == 0:
            await _told(limiter)
    assert first.general("a").retry_after > 0
    assert second.general("a").retry_after > 0
    assert second.general("b").remaining == 4
    second.close()


async def _told(limiter: RateLimiter) -> None:
    """Until nothing goes on in the background."""
    async with asyncio.timeout(10):
        if limiter._telling is not None:
            await limiter._telling


async def test_without_redis_the_process_counts_alone(redis_server: EmbeddedRedis) -> None:
    redis = connect("unix:///nowhere/at-all.sock?db=0")
    limiter = RateLimiter(Limits(rates=RATES), Moved(), RedisRates(redis))
    rooms = [await limiter.special("login", ["address:1"]) for _ in range(3)]
    assert [room.retry_after > 0 for room in rooms] == [False, False, True]
    assert limiter.general("a").retry_after == 0, "the general rate goes on"
    limiter.close()
    await redis.aclose()


# ── what an application answers ──────────────────────────────────────────────────────────────────────────────


class Login(Struct, forbid_unknown_fields=True):
    email: str = ""


class Known(NoGate):
    """Everybody whose token begins with good; it counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def identify(self, audience: Audience, headers: Any, entries: Any) -> Caller:
        self.asked += 1
        token = headers["authorization"].removeprefix("Bearer ")
        if not token.startswith("good"):
            raise Unauthorized("auth.token_invalid")
        return Caller(audience=audience, account_id=token)


shop = Router("buyer", "shop")


@shop.get("/read", access="anyone", cached="read")
async def read() -> dict[str, int]:
    return {"n": 1}


@shop.get("/mine")
async def mine(request: Request) -> str:
    return request.account_id


@shop.post("/login", access="open", status=200, rate="login", subject=lambda body: body.email.lower())
async def log_in(body: Login) -> str:
    return body.email


@shop.post("/baskets", access="guest", status=200, rate="login", rated_for="guests")
async def fill() -> None:
    return None


@shop.post("/careful", status=200, rate="careful")
async def careful() -> None:
    return None


JSON = {"content-type": "application/json"}


class Edge:
    """An application whose clients come from where ``x-forwarded-for`` says."""

    def __init__(self, client: aiohttp.ClientSession, clock: Moved, gate: Known) -> None:
        self.client = client
        self.clock = clock
        self.gate = gate

    async def ask(
        self, path: str, address: str = "203.0.113.1", token: str | None = None, method: str = "GET", **options: Any
    ) -> aiohttp.ClientResponse:
        headers = (
            options.pop("headers", {}) | {"x-forwarded-for": address} | ({"authorization": f"Bearer {token}"} if token else {})
        )
        async with self.client.request(method, f"/buyer/v1{path}", headers=headers, **options) as answer:
            await answer.read()
            return answer

    async def statuses(self, count: int, *args: Any, **options: Any) -> list[int]:
        return [(await self.ask(*args, **options)).status for _ in range(count)]


@pytest.fixture
async def edge(redis: Redis) -> AsyncIterator[Edge]:
    clock, gate = Moved(), Known()
    limits = Limits(rates=RATES)
    app = app_of(
        shop,
        gate=gate,
        reads=EncodedReads(redis, patience=5),
        limits=(RateLimiter(limits, clock, RedisRates(redis, patience=5)), Addresses(["127.0.0.0/8"], limits.exempt)),
    )
    async with serving(app) as url, aiohttp.ClientSession(url) as client:
        yield Edge(client, clock, gate)


@pytest.mark.behaviour("all-5")
async def test_an_address_is_told_what_is_left_and_when_to_come_again(edge: Edge) -> None:
    for left in (4, 3, 2, 1, 0):
        answer = await edge.ask("/read")
        headers = {name.lower(): value for name, value in answer.headers.items() if name.lower().startswith("ratelimit")}
        assert (answer.status, headers) == (
            200,
            {"ratelimit-limit": "5", "ratelimit-remaining": str(left), "ratelimit-reset": "60"},
        )
    refused = await edge.ask("/read")
    problem = await refused.json(content_type="application/problem+json")
    assert (refused.status, problem["code"], problem["status"]) == (429, "http.rate_limited", 429)
    assert refused.headers["retry-after"] == refused.headers["ratelimit-reset"] == "72"
    assert refused.headers["ratelimit-remaining"] == "0"
    assert (await edge.ask("/read", "203.0.113.2")).status == 200
    edge.clock.advance(72)
    assert (await edge.ask("/read")).status == 200


async def test_every_path_counts_together(edge: Edge) -> None:
    assert await edge.statuses(2, "/nowhere") == [404, 404]
    assert await edge.statuses(1, "/read", method="DELETE") == [405]
    assert await edge.statuses(1, "/mine") == [401]
    assert await edge.statuses(1, "/login", method="POST", json=[]) == [422]
    assert await edge.statuses(1, "/login", method="POST", json={}) == [429]
    for watched in ("/healthz", "/readyz"):
        async with edge.client.get(watched) as answer:
            assert answer.status == 200 and "ratelimit-limit" not in answer.headers


async def test_an_account_counts_wherever_it_is_and_others_beside_it_do_not(edge: Edge) -> None:
    assert [(await edge.ask("/mine", f"203.0.113.{n}", "good-ada")).status for n in range(6)] == [200] * 5 + [429]
    assert await edge.statuses(1, "/read", token="good-ada") == [429]
    assert await edge.statuses(2, "/mine", token="good-bob") == [200, 200]
    assert (await edge.ask("/read")).headers["ratelimit-remaining"] == "4", "an account's requests are not its address's"
    assert await edge.statuses(4, "/nowhere", token="good-eve") == [404] * 4


async def test_guesses_are_not_looked_up_for_ever(edge: Edge) -> None:
    assert await edge.statuses(5, "/mine", token="bad") == [401] * 5
    asked = edge.gate.asked
    assert await edge.statuses(3, "/mine", token="bad") == [429] * 3
    assert await edge.statuses(1, "/read", token="bad") == [429]
    assert edge.gate.asked == asked
    assert await edge.statuses(1, "/mine", "203.0.113.2", token="good-ada") == [200]


@pytest.mark.behaviour("all-5")
async def test_a_login_counts_by_address_and_by_whom_it_is_about(edge: Edge) -> None:
    async def log_in(email: str, address: str) -> aiohttp.ClientResponse:
        return await edge.ask("/login", address, method="POST", json={"email": email})

    assert (await log_in("ada@x.org", "203.0.113.1")).headers["ratelimit-limit"] == "2"
    assert [(await log_in("bob@x.org", "203.0.113.1")).status, (await log_in("eve@x.org", "203.0.113.1")).status] == [200, 429]
    assert [(await log_in("ADA@x.org", f"203.0.113.{n}")).status for n in (2, 3)] == [200, 429]
    assert (await log_in("eve@x.org", "203.0.113.4")).status == 200, "what was refused cost nothing"


async def test_a_rate_of_its_own_without_a_subject_counts_the_account(edge: Edge) -> None:
    statuses = [
        (await edge.ask("/careful", f"203.0.113.{n}", "good-ada", method="POST")).status for n in range(4)
    ]  # from everywhere
    assert statuses == [204, 204, 204, 429]


async def test_loopback_is_exempt_where_it_is_said(redis: Redis) -> None:
    limits = Limits(rates=RATES, exempt=("127.0.0.0/8",))
    app = app_of(shop, limits=(RateLimiter(limits, Moved(), RedisRates(redis)), Addresses([], limits.exempt)))
    async with serving(app) as url, aiohttp.ClientSession(url) as client:
        answers = []
        for _ in range(7):
            async with client.get("/buyer/v1/read", headers={"x-forwarded-for": "203.0.113.1"}) as answer:
                answers.append((answer.status, "ratelimit-limit" in answer.headers))
    assert answers == [(200, False)] * 7


async def test_a_warm_read_costs_one_command_and_one_that_is_too_many_none(edge: Edge, redis_server: EmbeddedRedis) -> None:
    await edge.ask("/read")
    await edge.ask("/read", token="good-ada")
    async with connect(redis_server.url) as watching, watching.monitor() as monitor:
        seen: list[str] = []

        async def watch() -> None:
            async for command in monitor.listen():
                seen.append(command["command"].split(" ")[0])

        task = asyncio.create_task(watch())
        assert await edge.statuses(6, "/read") == [200] * 4 + [429] * 2
        assert await edge.statuses(3, "/read", token="good-ada") == [200] * 3
        await watching.ping()
        async with asyncio.timeout(10):
            while "PING" not in seen:  # noqa: ASYNC110 - what comes last
                await asyncio.sleep(0.02)
        with contextlib.suppress(asyncio.CancelledError):
            task.cancel()
            await task
    assert seen.count("MGET") == 7


@pytest.mark.behaviour("all-8")
async def test_a_long_header_of_proxies_is_not_remembered() -> None:
    addresses = Addresses(["10.0.0.0/8"], [])
    for number in range(100):
        forwarded = f"{number}, ".encode() * 2000 + b"203.0.113.9"
        assert addresses.subject({"client": ("10.0.0.2", 1), "headers": [(b"x-forwarded-for", forwarded)]}) is not None
    assert addresses._subject.cache_info().currsize <= 100
    assert len(_nearest(b"1.2.3.4," * 4000 + b"203.0.113.9")) <= FORWARDED


@pytest.mark.behaviour("all-8", "all-5")
async def test_a_rate_of_its_own_is_counted_before_the_body_is_read(edge: Edge) -> None:
    """What cannot be read is counted by its address; what is one too many is not read at all."""
    assert await edge.statuses(2, "/login", method="POST", data=b"{", headers=JSON) == [400, 400]
    assert await edge.statuses(1, "/login", method="POST", data=b"{", headers=JSON) == [429]


@pytest.mark.behaviour("all-8")
async def test_guests_have_a_rate_that_accounts_have_not(edge: Edge) -> None:
    assert await edge.statuses(3, "/baskets", method="POST") == [204, 204, 429]
    assert await edge.statuses(3, "/baskets", token="good-ada", method="POST") == [204, 204, 204]
