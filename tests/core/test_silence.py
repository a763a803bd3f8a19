"""Servers that take connections and do not answer: who waits for them is told so in time, and nothing is done twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import cast

import psycopg
import pytest
import sqlalchemy
from redis.asyncio import Redis
from sqlalchemy.exc import DBAPIError

from marketplace_core.adapters import _waits
from marketplace_core.adapters._waits import unhurried
from marketplace_core.adapters.dbos import connections
from marketplace_core.adapters.postgres import Connection, Database
from marketplace_core.adapters.postgres import lease as leases
from marketplace_core.adapters.postgres import outbox as postgres_outbox
from marketplace_core.adapters.postgres import server as postgres
from marketplace_core.adapters.postgres.outbox import PostgresOutbox
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis import server as redis
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.errors import Unavailable
from marketplace_core.ports import Claim, Delivery, Message, UnitOfWork
from marketplace_core.values import SystemClock
from tests.core.silence import Hole, hole_before

#: What a test gives an answer, in seconds.
SHORT = 0.5
CLAIM = Claim("somebody", "write", "key", b"digest")


@pytest.fixture
async def hole(database: Database) -> AsyncIterator[tuple[Hole, str]]:
    await database.execute("CREATE TABLE public.rows (text text)")
    async with hole_before(database.dsn) as behind:
        yield behind


@pytest.fixture
async def far(hole: tuple[Hole, str], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    """The same database, over the proxy."""
    monkeypatch.setattr(postgres, "ANSWER_SECONDS", SHORT)
    monkeypatch.setattr(postgres_outbox, "ANSWER_SECONDS", SHORT)
    monkeypatch.setattr(postgres, "_longest", lambda seconds: None if seconds is None else SHORT)
    far = Database(hole[1], size=2, name="far")
    await far.value("SELECT 1")
    yield far
    await far.close()


async def within(seconds: float, work: asyncio.Future[object] | asyncio.Task[object]) -> BaseException | None:
    """What it failed with. It took no longer."""
    began = time.monotonic()
    (failed,) = await asyncio.gather(work, return_exceptions=True)
    assert time.monotonic() - began < seconds
    return failed if isinstance(failed, BaseException) else None


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_time_for_an_answer_is_longer_than_what_the_server_gives_a_statement(database: Database) -> None:
    assert await database.value("SELECT current_setting('statement_timeout')") == "10s"
    assert _waits.STATEMENT_SECONDS + 2 <= _waits.ANSWER_SECONDS <= 15


async def test_a_statement_without_an_answer_is_unavailable_in_time(far: Database, hole: tuple[Hole, str]) -> None:
    hole[0].silent = True
    failed = await within(SHORT + 2, asyncio.ensure_future(far.value("SELECT 1")))
    assert isinstance(failed, Unavailable)
    assert failed.retry_after == 1


async def test_everybody_is_told_however_many_ask(far: Database, hole: tuple[Hole, str]) -> None:
    """Also those for whom there was no connection, and those whose connection is only being made."""
    hole[0].silent = True
    for _ in range(3):
        work = asyncio.gather(*(far.value("SELECT 1") for _ in range(10)), return_exceptions=True)
        began = time.monotonic()
        assert {type(each) for each in await work} == {Unavailable}
        assert time.monotonic() - began < 2 * SHORT + 2


async def test_it_is_asked_again_once_it_answers(far: Database, hole: tuple[Hole, str]) -> None:
    """Over new connections: on the old ones nothing comes even now."""
    hole[0].silent = True
    for _ in range(3):
        await asyncio.gather(*(far.value("SELECT 1") for _ in range(4)), return_exceptions=True)
    hole[0].silent = False
    assert [await far.value("SELECT 1 AS one") for _ in range(4)] == [1] * 4
    assert await asyncio.gather(*(far.value("SELECT pg_backend_pid()") for _ in range(4)))


async def test_a_connection_that_was_given_up_is_not_used_again(far: Database, hole: tuple[Hole, str]) -> None:
    async with far.connection() as connection:
        hole[0].silent = True
        with pytest.raises(Unavailable):
            await connection.value("SELECT 1")
        hole[0].silent = False
        with pytest.raises(Unavailable):
            await connection.value("SELECT 2")
    assert await far.value("SELECT 3 AS three") == 3


async def test_a_commit_without_an_answer_is_done_once(far: Database, hole: tuple[Hole, str], database: Database) -> None:
    """Nobody knows whether it was done: it is Unavailable, and the repeat finds the answer."""
    units = PostgresUnits(far, SystemClock(), "rows")
    proxy = hole[0]

    async def write(uow: UnitOfWork) -> str:
        await far.on(uow).execute("INSERT INTO public.rows VALUES ('one')")
        proxy.after = b"COMMIT"
        return "written"

    failed = await within(SHORT + 2, asyncio.ensure_future(units.once(CLAIM, str, write)))
    assert isinstance(failed, Unavailable)
    assert await database.value("SELECT count(*) FROM public.rows") == 1
    proxy.silent, proxy.after = False, None
    assert await units.once(CLAIM, str, write) == "written"
    assert await database.value("SELECT count(*) FROM public.rows") == 1


async def test_a_unit_that_got_no_answer_half_way_leaves_nothing(
    far: Database, hole: tuple[Hole, str], database: Database
) -> None:
    units = PostgresUnits(far, SystemClock(), "rows")
    proxy = hole[0]

    async def write(uow: UnitOfWork) -> str:
        await far.on(uow).execute("INSERT INTO public.rows VALUES ('one')")
        proxy.silent = True
        await far.on(uow).execute("INSERT INTO public.rows VALUES ('two')")
        return "written"

    assert isinstance(await within(SHORT + 2, asyncio.ensure_future(units.once(CLAIM, str, write))), Unavailable)
    proxy.silent = False
    proxy.tear()
    assert await database.value("SELECT count(*) FROM public.rows") == 0


async def test_a_relay_is_told_too(far: Database, hole: tuple[Hole, str]) -> None:
    hole[0].silent = True

    async def take() -> None:
        async with PostgresOutbox(far).lanes():
            pass

    failed = await within(4 * SHORT + 2, asyncio.ensure_future(take()))
    assert isinstance(failed, (Unavailable, OSError))


async def test_a_crowd_is_no_silence(far: Database) -> None:
    """Who does not get a connection because others use them is told so; the others go on."""
    pool = far.pool

    async def hold(connection: Connection) -> object:
        for _ in range(6):
            await connection.value("SELECT pg_sleep(0.2)::text")
        return await connection.value("SELECT 1 AS one")

    holding = [asyncio.ensure_future(far.transact(hold)) for _ in range(2)]
    await asyncio.sleep(0.1)
    with pytest.raises(Unavailable):
        await far.value("SELECT 1")
    assert await asyncio.gather(*holding) == [1, 1]
    assert far.pool is pool


async def test_a_statement_that_takes_too_long_ends_and_its_connection_stays(database: Database) -> None:
    hasty = Database(f"{database.dsn}&options=-c%20statement_timeout%3D200ms", size=2, name="hasty")
    async with hasty.connection() as connection:
        me = await connection.value("SELECT pg_backend_pid()")
        with pytest.raises(Unavailable):
            await connection.value("SELECT pg_sleep(5)::text")
        assert await connection.value("SELECT pg_backend_pid()") == me
    await hasty.close()


async def test_what_may_take_long_does(database: Database) -> None:
    hasty = Database(f"{database.dsn}&options=-c%20statement_timeout%3D200ms", size=2, name="hasty")

    async def sleep(connection: Connection) -> None:
        await connection.value("SELECT pg_sleep(0.5)::text")

    with unhurried(None):
        await hasty.value("SELECT pg_sleep(0.5)::text")
        await hasty.transact(sleep)
    for _ in range(2):  # and only that
        with pytest.raises(Unavailable):
            await hasty.value("SELECT pg_sleep(5)::text")
    with pytest.raises(Unavailable):
        await hasty.transact(sleep)
    await hasty.close()


# ── what a session holds whose process is cut off ────────────────────────────────────────────────────────────


async def test_a_lease_is_free_again_though_its_server_never_heard_of_the_end(
    far: Database, hole: tuple[Hole, str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "LEASE_IDLE_SECONDS", 2)
    async with leases.lease(far, "sagas") as watch:
        await asyncio.sleep(3)
        assert not watch.done(), "who asks now and then keeps it"
        hole[0].silent = True
        hole[0].deaf = True
        with pytest.raises(Unavailable):
            await watch
        async with asyncio.timeout(10), leases.lease(database, "sagas"):
            pass


async def test_lanes_are_free_again_likewise(
    far: Database, hole: tuple[Hole, str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_outbox, "_IDLE_SECONDS", 2)
    await database.execute(
        "INSERT INTO marketplace.outbox (kind, topic, type, key, lane, event_id, payload)"
        " VALUES ('event', 'rows', 'rows.written', 'key', 3, 'id', '{}')"
    )
    async with PostgresOutbox(far).lanes():
        hole[0].silent = True
        hole[0].deaf = True
        async with asyncio.timeout(10), PostgresOutbox(database).lanes() as others:
            assert await others.pending(10) == []
            while not await others.pending(10):
                await others.wait(0.5)


async def test_the_locks_of_a_unit_are_given_back_likewise(hole: tuple[Hole, str], database: Database) -> None:
    """Of which the server heard nothing any more, half way."""
    options = "options=-c%20idle_in_transaction_session_timeout%3D1s"
    cut_off = Database(f"{hole[1]}?{options}", size=2, name="cut off")
    await database.execute("INSERT INTO public.rows VALUES ('one')")

    async def lock(connection: Connection) -> None:
        await connection.execute("UPDATE public.rows SET text = 'two'")
        hole[0].silent = hole[0].deaf = True
        async with asyncio.timeout(10):
            await database.execute("UPDATE public.rows SET text = 'three'")
        hole[0].tear()

    with pytest.raises(Unavailable):
        await cut_off.transact(lock)
    assert await database.value("SELECT text FROM public.rows") == "three"
    await cut_off.close()


# ── Redis ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def far_redis(redis_lasting_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Hole, Redis]]:
    monkeypatch.setattr(redis, "ANSWER_SECONDS", SHORT)
    async with hole_before(redis_lasting_url) as (hole, url), redis.connect(url, size=4) as client:
        await client.flushdb()
        yield hole, client


async def test_a_redis_that_is_silent_is_unavailable_in_time_and_asked_again(far_redis: tuple[Hole, Redis]) -> None:
    hole, client = far_redis

    async def increase() -> object:
        with redis.redis_errors():
            return await client.incr("counted")

    await increase()
    hole.silent = True
    for _ in range(2):  # on a connection that was there, and on a new one
        assert isinstance(await within(SHORT + 2, asyncio.ensure_future(increase())), Unavailable)
    hole.silent = False
    counted = await asyncio.gather(*(increase() for _ in range(4)))
    assert sorted(cast("list[int]", counted)) == [3, 4, 5, 6]  # the first that was silent had been heard


async def test_waits_of_one_request_do_not_add_up(far_redis: tuple[Hole, Redis], monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks again while nothing was heard since is told soon; and the first answer makes us patient again."""
    hole, client = far_redis
    monkeypatch.setattr(redis, "ANSWER_SECONDS", 4.0)
    monkeypatch.setattr(redis, "SILENT_SECONDS", SHORT / 5)
    hole.silent = True

    async def ask() -> list[object]:
        return [await asyncio.gather(client.get("a"), return_exceptions=True) for _ in range(4)]

    await within(4.0 + 4 * 2 * SHORT, asyncio.ensure_future(ask()))
    hole.silent = False
    assert await client.blpop(["nothing"], timeout=SHORT / 10) is None
    assert await client.blpop(["nothing"], timeout=2 * SHORT) is None


async def test_a_consumer_goes_on_once_its_redis_answers(far_redis: tuple[Hole, Redis]) -> None:
    """Its blocking read got no answer, and would have waited for one as long as the connection stands."""
    hole, client = far_redis
    bus = RedisBus(client, groups={"group": ["rows"]}, lease=2.0)
    heard: list[str] = []

    async def deliver(delivery: Delivery) -> None:
        heard.append(delivery.message.envelope)

    async def until(count: int) -> None:
        async with asyncio.timeout(20):
            while len(heard) < count:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)

    consuming = asyncio.create_task(bus.consume("group", ["rows"]).run(deliver))
    await bus.publish([Message("rows", "rows.written", "key", 1, "first")])
    await until(1)
    hole.silent = True
    await asyncio.sleep(3 * SHORT)
    hole.silent = False
    await bus.publish([Message("rows", "rows.written", "key", 2, "second")])
    await until(2)
    consuming.cancel()
    await asyncio.gather(consuming, return_exceptions=True)
    assert heard == ["first", "second"]


# ── the saga engine ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_saga_engine_takes_a_silent_connection_for_lost(
    hole: tuple[Hole, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it asks again on another one."""
    monkeypatch.setattr(connections, "_longest", lambda seconds: SHORT)
    connections.library()
    engine = sqlalchemy.create_engine(connections.engine_url(hole[1]))

    def ask() -> object:
        with engine.connect() as connection:
            return connection.execute(sqlalchemy.text("SELECT 1")).scalar()

    assert await asyncio.to_thread(ask) == 1
    hole[0].silent = True
    failed = await within(SHORT + 2, asyncio.ensure_future(asyncio.to_thread(ask)))
    assert isinstance(failed, DBAPIError)
    assert failed.connection_invalidated
    hole[0].silent = False
    assert await asyncio.to_thread(ask) == 1
    engine.dispose()


async def test_the_saga_engine_may_wait_for_what_it_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_longest", lambda seconds: SHORT)
    connections.library()
    engine = sqlalchemy.create_engine(connections.engine_url(database.dsn))

    def listen() -> str:
        connection = cast("psycopg.Connection[object]", engine.raw_connection().dbapi_connection)
        connection.set_autocommit(True)
        connection.execute("LISTEN told")
        told = next(connection.notifies()).payload
        connection.close()
        return told

    listening = asyncio.ensure_future(asyncio.to_thread(listen))
    await asyncio.sleep(2 * SHORT)
    async with asyncio.timeout(10):
        while not listening.done():
            await database.execute("SELECT pg_notify('told', 'something')::text")
            await asyncio.sleep(0.05)
    assert await listening == "something"
    engine.dispose()
