"""What the errors of servers become: one that cannot now is no mistake of whoever asked, and none tells what is in a row."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from psqlpy.exceptions import Error as DriverError
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from marketplace_core.adapters.postgres import Database, UniqueViolation
from marketplace_core.adapters.redis.native import EmbeddedRedis
from marketplace_core.adapters.redis.server import connect, redis_errors
from marketplace_core.errors import Invalid, Unavailable
from marketplace_core.testing.contracts import eventually

# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_standby_is_not_our_mistake_and_its_connections_are_asked_once(database: Database) -> None:
    await database.execute("CREATE TABLE public.t (a int)")
    async with database.connection() as connection:
        await connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(Unavailable):
        await database.execute("INSERT INTO public.t VALUES (1)")
    await database.execute("INSERT INTO public.t VALUES (2)")
    assert await database.value("SELECT a FROM public.t") == 2


async def test_a_statement_that_was_ended_is_not_our_mistake(database: Database) -> None:
    for setting in ("statement_timeout", "lock_timeout"):
        async with database.connection() as holder, database.connection() as connection:
            await holder.execute("SELECT pg_advisory_lock(1)::text")
            await connection.execute(f"SET {setting} = 20")
            with pytest.raises(Unavailable):
                await connection.execute("SELECT pg_advisory_lock(1)::text")
            await connection.execute(f"RESET {setting}")
            await holder.execute("SELECT pg_advisory_unlock(1)::text")


@pytest.mark.parametrize(
    "message",
    [
        'could not extend file "base/5/16384": No space left on device',
        'could not write to file "base/pgsql_tmp/pgsql_tmp7.0": No space left on device',
        'could not read blocks 0..0 in file "base/5/16384": Input/output error',
        "out of memory",
        "out of shared memory",
        "cannot execute nextval() during recovery",
    ],
)
async def test_a_server_that_is_full_is_not_our_mistake(message: str, database: Database) -> None:
    with pytest.raises(Unavailable):
        await database.execute(f"DO $$ BEGIN RAISE EXCEPTION '%', '{message}' USING DETAIL = 'More.', HINT = 'Less.'; END $$")


@pytest.mark.behaviour("all-8")
@pytest.mark.parametrize(
    ("statement", "value"),
    [
        ("SELECT $1::text", "a\0b"),
        ("SELECT ($1::text)::jsonb::text", '{"a": "\\u0000"}'),
        ("SELECT (($1::text)::numeric)::bigint", "1e30"),
        ("SELECT ($1::text)::timestamptz::text", "999999-01-01"),
    ],
)
async def test_what_no_store_can_hold_is_refused_and_no_failure_of_ours(statement: str, value: str, database: Database) -> None:
    with pytest.raises(Invalid):
        await database.value(statement, value)


async def test_words_of_a_caller_are_no_words_of_the_server(database: Database) -> None:
    with pytest.raises(DriverError):
        await database.value("SELECT ($1::text)::int", "out of memory: No space left on device")
    with pytest.raises(DriverError):
        await database.value("SELECT 1 / $1::int", 0)


async def test_no_error_tells_what_is_in_a_row(database: Database) -> None:
    """The server does, after the first line; and what nobody catches is logged."""
    await database.execute("CREATE TABLE public.t (email text PRIMARY KEY, name text NOT NULL)")
    await database.execute("INSERT INTO public.t VALUES ('ann@example.com', 'Ann')")
    for email, name in (("ann@example.com", "Ann"), ("ann@example.com", None)):
        with pytest.raises((UniqueViolation, DriverError)) as told:
            await database.execute("INSERT INTO public.t VALUES ($1, $2)", email, name)
        logged = "".join(traceback.format_exception(told.value))
        assert "ann@example.com" not in logged
        assert "violates" in logged


async def test_a_table_that_was_changed_is_prepared_anew(database: Database) -> None:
    """As a migration does beside processes of the release before: a connection would say so for ever."""
    await database.execute("CREATE TABLE public.t (a int)")
    await database.execute("INSERT INTO public.t VALUES (1)")
    assert await database.fetch("SELECT a FROM public.t") == [{"a": 1}]
    await database.execute("ALTER TABLE public.t ALTER a TYPE bigint")
    with pytest.raises(Unavailable):
        await database.fetch("SELECT a FROM public.t")
    assert await database.fetch("SELECT a FROM public.t") == [{"a": 1}]


# ── Redis ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def server() -> AsyncIterator[EmbeddedRedis]:
    with tempfile.TemporaryDirectory(prefix="mp-") as folder:
        server = EmbeddedRedis(Path(folder), "lasting", settings={"enable-protected-configs": "yes"})
        await server.start()
        yield server
        await server.stop()


@pytest.fixture
async def redis(server: EmbeddedRedis) -> AsyncIterator[Redis]:
    async with connect(server.url) as client:
        yield client


async def tell(redis: Redis) -> None:
    """A command, a pipeline, a transaction, a script: each is told in its own words."""
    for act in (
        partial(redis.set, "a", "b"),
        redis.pipeline(transaction=False).set("a", "b").execute,
        redis.pipeline().set("a", "b").execute,
        partial(redis.eval, "return redis.call('SET', KEYS[1], 'b')", 1, "a"),
    ):
        with pytest.raises(Unavailable), redis_errors():
            await act()


async def test_a_replica_is_not_our_mistake(redis: Redis) -> None:
    await redis.execute_command("REPLICAOF", "127.0.0.1", "1")
    await tell(redis)


async def test_a_redis_that_is_full_is_not_our_mistake(redis: Redis) -> None:
    await redis.config_set("maxmemory", 1)
    await tell(redis)


async def test_a_redis_that_cannot_save_is_not_our_mistake(redis: Redis) -> None:
    await redis.config_set("appendonly", "no")
    await redis.config_set("save", "3600 1")
    await redis.config_set("dir", "/proc")
    await redis.bgsave()
    await eventually(partial(cannot_save, redis))
    await tell(redis)
    await redis.config_set("save", "")  # else it would not end


async def cannot_save(redis: Redis) -> bool:
    return (await redis.info("persistence"))["rdb_last_bgsave_status"] == "err"


async def test_a_mistake_of_ours_stays_one(redis: Redis) -> None:
    await redis.set("a", "b")
    with pytest.raises(ResponseError), redis_errors():
        await redis.lpush("a", "OOM ")
