from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import psqlpy
import psutil
import pytest
import redis.asyncio
import sqlalchemy

from marketplace_core.adapters.embedded import DataFolder, EmbeddedError, EmbeddedPostgres, EmbeddedRedis
from tests.core.embedded.programs import ROOT, ask, client, kill, matching, servers, starter, until_no_servers


async def test_data_outlives_stop_and_start(postgres: EmbeddedPostgres) -> None:
    await postgres.create_database("marketplace")
    await ask(postgres.dsn(), "CREATE TABLE seller (name text)", "INSERT INTO seller VALUES ('Ümit')")
    await postgres.stop()
    assert postgres.child is None
    await postgres.start()
    assert await ask(postgres.dsn(), "SELECT upper(name) FROM seller") == "ÜMIT"


async def test_create_database_may_be_repeated_and_takes_any_name(postgres: EmbeddedPostgres) -> None:
    for name in ("marketplace", 'it\'s "quoted" / 100%'):
        await asyncio.gather(*(postgres.create_database(name) for _ in range(3)))
        assert await ask(postgres.dsn(name), "SELECT current_database()::text") == name


async def test_a_database_has_a_role_that_is_nobody_elsewhere(postgres: EmbeddedPostgres) -> None:
    await asyncio.gather(*(postgres.create_database(name) for name in ("one", "other")))
    own = postgres.owner_dsn("one")
    assert await ask(own, "CREATE SCHEMA s", "CREATE TABLE s.t (id int)", "SELECT current_user::text") == "db_one"
    assert await ask(own, "SELECT rolsuper OR rolcreaterole OR rolcreatedb FROM pg_roles WHERE rolname = current_user") is False
    for forbidden in ("COPY s.t FROM PROGRAM 'true'", "COPY s.t FROM '/etc/passwd'", "CREATE ROLE r", "SET ROLE postgres"):
        with pytest.raises(psqlpy.exceptions.Error):
            await ask(own, forbidden)
    with pytest.raises(psqlpy.exceptions.Error):
        await ask(postgres.dsn("other", "db_one"), "SELECT 1")


async def test_what_the_superuser_made_becomes_the_role_s(postgres: EmbeddedPostgres) -> None:
    """As 0.1.0 left it: tables, sequences, functions and types in schemas of ours."""
    await ask(postgres.dsn("postgres"), "CREATE DATABASE old")
    made = (
        "CREATE SCHEMA s; CREATE TYPE s.kind AS ENUM ('a'); CREATE TABLE s.t (id bigserial PRIMARY KEY, kind s.kind);"
        " CREATE TABLE s.g (id bigint GENERATED ALWAYS AS IDENTITY); CREATE SEQUENCE s.q; CREATE VIEW s.v AS SELECT * FROM s.t;"
        " CREATE FUNCTION s.f(n int) RETURNS int LANGUAGE sql AS 'SELECT n'; CREATE TABLE public.p (id int)"
    )
    await ask(postgres.dsn("old"), *made.split("; "), "INSERT INTO s.t (kind) VALUES ('a')")
    for _ in range(2):
        await postgres.create_database("old")
    own = postgres.owner_dsn("old")
    await ask(own, "ALTER TABLE s.t ADD more text", "ALTER TYPE s.kind ADD VALUE 'b'", "DROP VIEW s.v", "DROP SEQUENCE s.q")
    await ask(own, "DROP FUNCTION s.f(int)", "DROP TABLE s.g", "DROP TABLE public.p", "CREATE TABLE public.new (id int)")
    assert await ask(own, "INSERT INTO s.t (kind) VALUES ('a')", "SELECT max(id) FROM s.t") == 2


async def test_create_database_needs_the_server(data: Path) -> None:
    with pytest.raises(EmbeddedError, match="start it first"):
        await EmbeddedPostgres(data).create_database("marketplace")


async def test_start_of_a_running_server_does_nothing(postgres: EmbeddedPostgres) -> None:
    child = postgres.child
    await postgres.start()
    assert postgres.child is child


async def test_settings(postgres: EmbeddedPostgres, data: Path) -> None:
    async def setting(name: str) -> object:
        return await ask(postgres.dsn("postgres"), f"SELECT current_setting('{name}')")

    assert await setting("fsync") == "off"
    assert await setting("TimeZone") == "UTC"
    assert await setting("listen_addresses") == ""
    await postgres.stop()
    postgres = EmbeddedPostgres(data, settings={"max_connections": "17"})
    await postgres.start()
    try:
        assert await setting("fsync") == "on"
        assert await setting("max_connections") == "17"
    finally:
        await postgres.stop()


async def test_a_wrong_setting_is_told_in_the_words_of_the_server(data: Path) -> None:
    server = EmbeddedPostgres(data, durable=False, settings={"no_such_setting": "1"})
    with pytest.raises(EmbeddedError, match='unrecognized configuration parameter "no_such_setting"'):
        await server.start()
    assert server.child is None
    assert DataFolder(data).holder is None
    assert servers(data) == []


async def test_sqlalchemy_takes_its_url(postgres: EmbeddedPostgres) -> None:
    def name() -> object:
        engine = sqlalchemy.create_engine(postgres.sqlalchemy_url("postgres"))
        try:
            with engine.connect() as connection:
                return connection.execute(sqlalchemy.text("SELECT current_database()")).scalar()
        finally:
            engine.dispose()

    assert await asyncio.to_thread(name) == "postgres"


async def test_a_client_needs_no_more_than_the_folder(postgres: EmbeddedPostgres, lasting: EmbeddedRedis, data: Path) -> None:
    assert await ask(EmbeddedPostgres(data).dsn("postgres"), "SELECT 1") == 1
    async with client(EmbeddedRedis(data, "lasting")) as connection:
        assert await connection.ping()


async def test_a_killed_postmaster_is_followed_by_a_new_one(postgres: EmbeddedPostgres) -> None:
    dsn = postgres.dsn("postgres")
    await ask(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
    pool = psqlpy.ConnectionPool(dsn=dsn, max_db_pool_size=2)
    async with pool.acquire() as connection:
        await connection.execute("SELECT 1")
        await kill(postgres)
        await postgres.start()
    pool.close()
    assert await ask(dsn, "SELECT answer FROM kept") == 42


async def test_a_server_that_lost_its_supervisor_is_ended_first(postgres: EmbeddedPostgres, data: Path) -> None:
    """As if the parent-death signal had not worked."""
    first = postgres.child
    assert first is not None
    postgres._child = None
    postgres._folder.release()
    second = EmbeddedPostgres(data, durable=False)
    await second.start()
    assert not first.running
    assert await ask(second.dsn("postgres"), "SELECT 1") == 1
    await second.stop()


async def test_the_pid_of_a_former_server_may_be_another_process_now(postgres: EmbeddedPostgres, data: Path) -> None:
    pid_file, lock = data / "postgres" / "postmaster.pid", postgres.socket.with_name(".s.PGSQL.5432.lock")
    lines, locked = pid_file.read_text().splitlines(), lock.read_text().splitlines()
    await kill(postgres)
    owner = pid_file.stat()
    stranger = await asyncio.create_subprocess_exec("sleep", "60", user=owner.st_uid if ROOT else None)
    try:
        pid_file.write_text("\n".join([str(stranger.pid), *lines[1:], ""]))
        lock.write_text("\n".join([str(stranger.pid), *locked[1:], ""]))
        await postgres.start()
        assert await ask(postgres.dsn("postgres"), "SELECT 1") == 1
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


async def test_an_interrupted_initdb_leaves_nothing_behind(data: Path) -> None:
    half = data / "postgres.new-1"
    with DataFolder(data):
        half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    server = EmbeddedPostgres(data, durable=False)
    interrupted = asyncio.create_task(server.start())
    for _ in range(500):
        await asyncio.sleep(0.01)
        if matching(data, "postgres.new-*/base"):
            break
    interrupted.cancel()
    with pytest.raises(asyncio.CancelledError):
        await interrupted
    assert not matching(data, "postgres")
    await server.start()
    assert await ask(server.dsn("postgres"), "SELECT 1") == 1
    assert not matching(data, "postgres.new-*")
    await server.stop()


async def test_nothing_outlives_a_killed_supervisor(data: Path) -> None:
    async with starter(data) as process:
        assert {"postgres"} < {found.name() for found in servers(data)} <= {"postgres", "valkey-server", "redis-server"}
        process.kill()
        await process.wait()
        await until_no_servers(data, 3.0)
        again = EmbeddedPostgres(data, durable=False)
        await again.start()
        await again.stop()


async def test_a_start_right_after_a_killed_supervisor_waits_for_its_servers(data: Path) -> None:
    async with starter(data) as process:
        await ask(EmbeddedPostgres(data).dsn("postgres"), "CREATE TABLE kept AS SELECT 42 AS answer")
        process.kill()
        await process.wait()
        server, cache = EmbeddedPostgres(data, durable=False), EmbeddedRedis(data, "cache")
        await asyncio.gather(server.start(), cache.start())
        assert await ask(server.dsn("postgres"), "SELECT answer FROM kept") == 42
        await asyncio.gather(server.stop(), cache.stop())


async def test_ctrl_c_is_for_the_supervisor_alone(data: Path) -> None:
    async with starter(data) as process:
        assert process.stdout is not None
        before = psutil.Process(process.pid).children()  # not theirs: sessions come and go
        assert {child.pid for child in before} < {found.pid for found in servers(data)}
        os.killpg(process.pid, signal.SIGINT)
        assert await process.stdout.readline() == b"heard\n"
        await asyncio.sleep(0.3)
        assert before and before == psutil.Process(process.pid).children()
        assert await ask(EmbeddedPostgres(data).dsn("postgres"), "SELECT 1") == 1
        async with client(EmbeddedRedis(data, "cache")) as connection:
            assert await connection.ping()


async def test_files_of_a_postgres_that_is_not_there_are_refused(postgres: EmbeddedPostgres, data: Path) -> None:
    await postgres.stop()
    (data / "postgres" / "PG_VERSION").write_text("11\n")
    with pytest.raises(EmbeddedError, match="written by PostgreSQL 11"):
        await postgres.start()


async def test_both_start_in_time(data: Path) -> None:
    server, cache, lasting = (
        EmbeddedPostgres(data),
        EmbeddedRedis(data, "cache"),
        EmbeddedRedis(data, "lasting"),
    )
    begin = time.monotonic()
    await asyncio.gather(server.start(), cache.start(), lasting.start())
    assert time.monotonic() - begin < 5  # 0.8 s where this was written; machines differ
    await asyncio.gather(server.stop(), cache.stop(), lasting.stop())


async def test_servers_can_be_opened_to_tcp(data: Path) -> None:
    """On an address of this machine that nobody else uses, so that PostgreSQL keeps its port, by which its socket is found."""
    host = f"127.{os.getpid() % 250 + 1}.7.7"
    postgres = EmbeddedPostgres(data, durable=False, settings={"listen_addresses": host})
    cache = EmbeddedRedis(data, "cache", settings={"port": "6379", "bind": host})
    await asyncio.gather(postgres.start(), cache.start())
    try:
        assert await ask(f"postgres://postgres@{host}:5432/postgres", "SELECT 1") == 1
        assert await ask(postgres.dsn("postgres"), "SELECT 2") == 2
        async with redis.asyncio.Redis(host=host) as connection:
            assert await connection.ping()
        async with client(cache) as connection:
            assert await connection.ping()
    finally:
        await asyncio.gather(postgres.stop(), cache.stop())
