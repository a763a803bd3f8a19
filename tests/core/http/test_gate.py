"""Access tokens, the allow-list of sessions, and who may call what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from http_serving import app_of, served
from redis.asyncio import Redis

from marketplace_core import tokens
from marketplace_core.adapters.embedded import EmbeddedRedis
from marketplace_core.adapters.redis.reads import EncodedReads
from marketplace_core.adapters.redis.server import connect
from marketplace_core.capabilities.auth import SessionState
from marketplace_core.errors import Forbidden, Unavailable
from marketplace_core.http.gate import SessionGate, session_key
from marketplace_core.http.routing import Request, Router, ServerSentEvents, everybody_of
from marketplace_core.http.views import HttpOptions
from marketplace_core.testing.contracts import eventually
from marketplace_core.values import Audience, Clock

KEY = b"k" * 32
PUBLIC = tokens.public_key(KEY)
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Moved(Clock):
    """The deployment's clock, as an operator moves it."""

    def __init__(self) -> None:
        self.at = NOW

    def now(self) -> datetime:
        return self.at


class Rows:
    """The truth of sessions, in a hash of the same server; it counts how often it was asked."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.asked = 0
        self.away = False

    async def begin(self, session_id: str, account_id: str, *roles: str, listed: bool = False) -> None:
        raw = msgspec.msgpack.encode(SessionState(account_id, session_id, roles))
        await self._redis.hset("rows", session_id, raw)  # type: ignore[misc]
        if listed:
            await self._redis.set(session_key(session_id), raw, ex=60)

    async def end(self, session_id: str) -> None:
        await self._redis.hdel("rows", session_id)  # type: ignore[misc]
        await self._redis.delete(session_key(session_id))

    async def session_state(self, session_id: str) -> SessionState | None:
        self.asked += 1
        if self.away:
            raise Unavailable()
        raw = await self._redis.hget("rows", session_id)  # type: ignore[misc]
        return None if raw is None else msgspec.msgpack.decode(raw, type=SessionState)


#: Those of a test that are suspended on the way.
SUSPENDED: set[str] = set()


async def shops(account_id: str, acts: bool) -> tuple[str, str] | None:
    if (account_id == "suspended" and acts) or account_id in SUSPENDED:
        raise Forbidden("sellers.suspended", "Not for now.")
    return ("shop-1", "owner") if account_id in ("seller", "suspended") else None


def bearer(session_id: str, account_id: str, audience: Audience = "buyer", **options: Any) -> dict[str, str]:
    token = tokens.issue(KEY, audience=audience, account_id=account_id, session_id=session_id, now=NOW, **options)
    return {"Authorization": f"Bearer {token}"}


def routers() -> list[Router]:
    found = []
    audiences: tuple[Audience, ...] = ("buyer", "seller", "logistics", "admin")
    for audience in audiences:
        router = Router(audience, "who")
        for access in ("guest", "account", "shop", "staff", "anyone"):

            async def show(request: Request) -> dict[str, Any]:
                return {**msgspec.to_builtins(request.caller), "guest": request.call.guest}

            router.get(f"/{access}", access=access)(show)  # type: ignore[arg-type]

        async def kept() -> str:
            return "kept"

        router.get("/kept", access="anyone", cached="kept")(kept)
        router.get("/shown", access="guest", headers=["X-Order-Token"])(show)
        router.post("/act", access="shop")(kept)
        router.post("/ship", access="shop", while_suspended=True)(kept)
        if audience == "admin":
            router.get("/judge", access="staff", roles=["moderator"])(kept)
            router.get("/both", roles=everybody_of(audience))(kept)

        async def watch() -> ServerSentEvents:
            return ServerSentEvents(for_ever())

        router.get("/watch", access="shop" if audience == "seller" else "guest")(watch)
        found.append(router)
    return found


async def for_ever() -> AsyncIterator[tuple[str, str | None, Any] | None]:
    yield "order", "1", "first"
    await asyncio.sleep(60)


@pytest.fixture
def rows(redis: Redis) -> Rows:
    return Rows(redis)


@pytest.fixture
def clock() -> Moved:
    return Moved()


@pytest.fixture
async def client(redis: Redis, rows: Rows, clock: Moved) -> AsyncIterator[aiohttp.ClientSession]:
    gate = SessionGate([PUBLIC], clock, redis, rows, shops, with_reads=True)
    options = HttpOptions(ping_seconds=0.05)
    async with served(app_of(*routers(), gate=gate, reads=EncodedReads(redis), options=options)) as session:
        yield session


async def code_of(client: aiohttp.ClientSession, path: str, headers: dict[str, str]) -> tuple[int, str]:
    answer = await client.get(path, headers=headers)
    assert answer.headers.get("WWW-Authenticate") == ("Bearer" if answer.status == 401 else None)
    body = await answer.json()
    return answer.status, body["code"] if answer.status >= 400 else ""


# ── the gate ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_listed_session_is_not_asked_for(client: aiohttp.ClientSession, rows: Rows) -> None:
    await rows.begin("s1", "a1", listed=True)
    answer = await client.get("/buyer/v1/account", headers=bearer("s1", "a1"))
    assert await answer.json() == {"audience": "buyer", "account_id": "a1", "session_id": "s1", "guest": None}
    assert rows.asked == 0


async def test_what_is_not_listed_is_asked_for_and_not_written(client: aiohttp.ClientSession, rows: Rows, redis: Redis) -> None:
    await rows.begin("s1", "a1")
    assert await code_of(client, "/buyer/v1/account", bearer("s1", "a1")) == (200, "")
    assert rows.asked == 1
    assert not await redis.exists(session_key("s1"))
    await redis.set(session_key("s1"), b"\xc1 of another release")
    assert await code_of(client, "/buyer/v1/account", bearer("s1", "a1")) == (200, "")
    assert rows.asked == 2


@pytest.mark.behaviour("auth-2")
async def test_an_ended_session_is_out_at_once(client: aiohttp.ClientSession, rows: Rows) -> None:
    await rows.begin("s1", "a1", listed=True)
    for path in ("/buyer/v1/account", "/buyer/v1/guest", "/buyer/v1/anyone", "/buyer/v1/kept", "/buyer/v1/kept"):
        assert await code_of(client, path, bearer("s1", "a1")) == (200, "")
    await rows.end("s1")
    for path in ("/buyer/v1/account", "/buyer/v1/guest", "/buyer/v1/anyone", "/buyer/v1/kept"):
        assert await code_of(client, path, bearer("s1", "a1")) == (401, "auth.token_invalid")


async def test_a_token_that_is_sent_is_always_checked(client: aiohttp.ClientSession, rows: Rows, clock: Moved) -> None:
    await rows.begin("s1", "a1", listed=True)
    for path in ("/buyer/v1/account", "/buyer/v1/anyone", "/buyer/v1/kept"):
        clock.at = NOW
        assert await code_of(client, path, bearer("s1", "a1", "seller")) == (401, "auth.wrong_audience")
        assert await code_of(client, path, bearer("s1", "somebody else")) == (401, "auth.token_invalid")
        for other in ("Basic YTpi", "Bearer", "nonsense", "Bearer mk_1"):
            assert await code_of(client, path, {"Authorization": other}) == (401, "auth.token_invalid")
        assert await code_of(client, path, bearer("s1", "a1")) == (200, "")
        clock.at = NOW + timedelta(seconds=600)
        assert await code_of(client, path, bearer("s1", "a1")) == (401, "auth.token_expired")


async def test_auth_away_is_503(client: aiohttp.ClientSession, rows: Rows) -> None:
    rows.away = True
    assert await code_of(client, "/buyer/v1/account", bearer("s1", "a1")) == (503, "http.unavailable")
    assert await code_of(client, "/buyer/v1/kept", bearer("s1", "a1")) == (503, "http.unavailable")


async def test_redis_away_asks_auth(redis: Redis, rows: Rows, clock: Moved, tmp_path: Path) -> None:
    await rows.begin("s1", "a1")
    nobody = connect(EmbeddedRedis(tmp_path / "nowhere", "cache").url)
    gate = SessionGate([PUBLIC], clock, nobody, rows, shops)
    async with served(app_of(*routers(), gate=gate, reads=EncodedReads(nobody))) as client:
        for path in ("/buyer/v1/account", "/buyer/v1/kept"):
            assert await code_of(client, path, bearer("s1", "a1")) == (200, "")
            assert await code_of(client, path, bearer("s2", "a1")) == (401, "auth.token_invalid")
    await nobody.aclose()
    without = SessionGate([PUBLIC], clock, None, rows, None)
    caller = await without.identify("buyer", {"authorization": bearer("s1", "a1")["Authorization"]}, {})
    assert caller.account_id == "a1"
    assert await without.shop("seller") is None


# ── access levels ────────────────────────────────────────────────────────────────────────────────────────────


async def test_accounts_and_guests(client: aiohttp.ClientSession, rows: Rows) -> None:
    await rows.begin("s1", "a1")
    for access in ("account", "shop", "staff"):
        assert await code_of(client, f"/buyer/v1/{access}", {}) == (401, "auth.required")
    guest = await client.get("/buyer/v1/guest", headers={"X-Cart-Token": "cart"})
    assert await guest.json() == {"audience": "buyer", "guest": "cart"}
    known = await client.get("/buyer/v1/guest", headers={"X-Cart-Token": "cart", **bearer("s1", "a1")})
    assert (await known.json())["guest"] is None


async def test_shops(client: aiohttp.ClientSession, rows: Rows) -> None:
    for account in ("seller", "buyer", "suspended"):
        await rows.begin(account, account)
    answer = await client.get("/seller/v1/shop", headers=bearer("seller", "seller", "seller"))
    caller = await answer.json()
    assert (caller["seller_id"], caller["roles"]) == ("shop-1", ["shop:owner"])
    assert await code_of(client, "/seller/v1/shop", bearer("buyer", "buyer", "seller")) == (403, "sellers.no_shop")
    assert await code_of(client, "/seller/v1/account", bearer("buyer", "buyer", "seller")) == (200, "")


async def test_a_suspended_shop_looks_and_does_what_is_open_to_it(client: aiohttp.ClientSession, rows: Rows) -> None:
    await rows.begin("suspended", "suspended")
    headers = bearer("suspended", "suspended", "seller")
    assert await code_of(client, "/seller/v1/shop", headers) == (200, "")
    for path, status in (("act", 403), ("ship", 201)):
        answer = await client.post(f"/seller/v1/{path}", headers=headers)
        assert answer.status == status, path


async def test_moderators_have_what_names_them(client: aiohttp.ClientSession, rows: Rows) -> None:
    await rows.begin("s1", "a1", "moderator")
    await rows.begin("s2", "a2", "admin")
    found = [
        (await code_of(client, f"/admin/v1/{path}", bearer(session, account, "admin")))[0]
        for session, account in (("s1", "a1"), ("s2", "a2"))
        for path in ("account", "staff", "judge", "both")
    ]
    assert found == [403, 403, 200, 200, 200, 200, 403, 200]


@pytest.mark.parametrize(
    ("audience", "roles", "status"),
    [
        ("admin", ("admin",), 200),
        ("admin", ("moderator",), 403),
        ("admin", ("courier:post",), 403),
        ("admin", (), 403),
        ("logistics", ("courier:post",), 200),
        ("logistics", ("admin",), 403),
        ("buyer", (), 403),
    ],
)
async def test_staff(
    client: aiohttp.ClientSession, rows: Rows, audience: Audience, roles: tuple[str, ...], status: int
) -> None:
    await rows.begin("s1", "a1", *roles)
    answer = await client.get(f"/{audience}/v1/staff", headers=bearer("s1", "a1", audience))
    body = await answer.json()
    assert answer.status == status
    if status == 403:
        assert body["code"] == "auth.forbidden"
    else:
        assert body.get("carrier") == ("post" if audience == "logistics" else None)


async def test_what_is_not_the_same_for_all_is_kept_by_nobody(client: aiohttp.ClientSession, rows: Rows) -> None:
    await rows.begin("s1", "seller", "admin", "courier:post")
    for path in ("guest", "account", "shop", "staff", "anyone", "kept", "kept"):
        audience: Audience = {"shop": "seller", "staff": "admin"}.get(path, "buyer")  # type: ignore[assignment]
        for headers in ({}, bearer("s1", "seller", audience)):
            answer = await client.get(f"/{audience}/v1/{path}", headers=headers)
            assert answer.headers.getall("X-Content-Type-Options") == ["nosniff"], path
            assert answer.headers.getall("Referrer-Policy") == ["no-referrer"], path
            [policy] = answer.headers.getall("Content-Security-Policy")
            assert {"default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"} <= set(policy.split("; ")), path
            kept = answer.status == 200 and path in ("anyone", "kept")
            assert answer.headers.getall("Cache-Control", []) == ([] if kept else ["no-store"]), path
            tag = answer.headers.get("ETag")
            if tag is not None:
                again = await client.get(f"/{audience}/v1/{path}", headers={**headers, "If-None-Match": tag})
                assert (again.status, again.headers.getall("Cache-Control", [])) == (304, [] if kept else ["no-store"]), path


async def test_the_document_of_admin_is_for_its_staff(redis: Redis, rows: Rows, clock: Moved) -> None:
    for session, role in (("s1", "moderator"), ("s2", "courier:post"), ("s3", "admin")):
        await rows.begin(session, session, role)
    gate = SessionGate([PUBLIC], clock, redis, rows, shops)
    app = app_of(*routers(), gate=gate, options=HttpOptions(open_documents=False))
    async with served(app) as client:
        for path in ("openapi.json", "docs", "docs/start.js", "docs/swagger-ui.css"):
            assert (await client.get(f"/buyer/v1/{path}")).status == 200
            assert await code_of(client, f"/admin/v1/{path}", {}) == (401, "auth.required")
            assert await code_of(client, f"/admin/v1/{path}", bearer("s2", "s2", "admin")) == (403, "auth.forbidden")
            for session in ("s1", "s3"):
                answer = await client.get(f"/admin/v1/{path}", headers=bearer(session, session, "admin"))
                assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")


async def test_what_a_guest_shows_is_whose_his_keys_are(client: aiohttp.ClientSession) -> None:
    """Else two guests with one key would be answered each other's, or told that it was another's body."""

    async def of(**headers: str) -> str | None:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await client.get("/buyer/v1/shown", headers=sent)
        return (await answer.json())["guest"]  # type: ignore[no-any-return]

    one, other = await of(X_Order_Token="one"), await of(X_Order_Token="other")
    assert one is not None and other is not None and one != other and "one" not in one
    assert await of(X_Order_Token="one", X_Cart_Token="cart") == "cart"
    assert await of() is None


async def test_one_gate_serves_many_at_once(client: aiohttp.ClientSession, rows: Rows) -> None:
    for number in range(20):
        await rows.begin(f"s{number}", f"a{number}", listed=True)

    async def who(number: int) -> str:
        answer = await client.get("/buyer/v1/account", headers=bearer(f"s{number}", f"a{number}"))
        return str((await answer.json())["account_id"])

    assert await asyncio.gather(*(who(number) for number in range(20))) == [f"a{number}" for number in range(20)]


# ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────


async def ends(stream: aiohttp.ClientResponse, seconds: float = 5.0) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await stream.content.read()
    except TimeoutError:
        return False
    return True


@pytest.mark.behaviour("auth-2")
async def test_a_stream_ends_with_its_session(client: aiohttp.ClientSession, rows: Rows, clock: Moved) -> None:
    await rows.begin("s1", "ada", listed=True)
    async with client.get("/buyer/v1/watch", headers=bearer("s1", "ada")) as stream:
        clock.at = NOW + timedelta(hours=1)  # the token has run out, and the session goes on
        assert not await ends(stream, 0.3)
        await rows.end("s1")
        assert await ends(stream)


@pytest.mark.behaviour("auth-2", "sellers-2")
async def test_a_stream_ends_when_its_route_would_refuse(client: aiohttp.ClientSession, rows: Rows) -> None:
    await rows.begin("s2", "seller")
    async with client.get("/seller/v1/watch", headers=bearer("s2", "seller", "seller")) as stream:
        assert not await ends(stream, 0.2)
        SUSPENDED.add("seller")
        try:
            assert await ends(stream)
        finally:
            SUSPENDED.clear()


@pytest.mark.behaviour("all-8")
async def test_an_account_has_ten_streams_at_once(client: aiohttp.ClientSession, rows: Rows) -> None:
    for number in (3, 4):
        await rows.begin(f"s{number}", f"eve{number}")
    headers = bearer("s3", "eve3")
    streams = [await client.get("/buyer/v1/watch", headers=headers) for _ in range(10)]
    assert [stream.status for stream in streams] == [200] * 10
    assert await code_of(client, "/buyer/v1/watch", headers) == (429, "http.rate_limited")
    async with client.get("/buyer/v1/watch", headers=bearer("s4", "eve4")) as another:
        assert another.status == 200
    streams.pop().close()
    assert await eventually(lambda: reopened(client, headers))
    for stream in streams:
        stream.close()


async def reopened(client: aiohttp.ClientSession, headers: dict[str, str]) -> bool:
    async with client.get("/buyer/v1/watch", headers=headers) as stream:
        return stream.status == 200
