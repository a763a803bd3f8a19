from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psqlpy
import psutil
import pytest
import redis.asyncio
import sqlalchemy

from marketplace_core.adapters.embedded import DataFolder, EmbeddedError, EmbeddedPostgres, EmbeddedRedis

ROOT = os.geteuid() == 0

STARTER = """
import asyncio, signal, sys
from pathlib import Path
from marketplace_core.adapters.embedded import EmbeddedPostgres, EmbeddedRedis

async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, lambda: print("heard", flush=True))
    data = Path(sys.argv[1])
    redis = EmbeddedRedis(data, "lasting"), EmbeddedRedis(data, "cache")
    servers = EmbeddedPostgres(data, durable=False), *redis
    await asyncio.gather(*(server.start() for server in servers))
    print("up", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def data(short_folder: Path) -> Path:
    return short_folder / "data"


@pytest.fixture
async def postgres(data: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(data, durable=False)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def lasting(data: Path) -> AsyncIterator[EmbeddedRedis]:
    server = EmbeddedRedis(data, "lasting")
    await server.start()
    yield server
    await server.stop()


async def ask(dsn: str, *statements: str) -> object:
    pool = psqlpy.ConnectionPool(dsn=dsn, max_db_pool_size=2)
    try:
        async with pool.acquire() as connection:
            for statement in statements:
                rows = (await connection.execute(statement)).result()
        return next(iter(rows[0].values())) if rows else None
    finally:
        pool.close()


@contextlib.asynccontextmanager
async def client(server: EmbeddedRedis) -> AsyncIterator[redis.asyncio.Redis]:
    connection = redis.asyncio.Redis.from_url(server.url, decode_responses=True)
    try:
        yield connection
    finally:
        await connection.aclose()


@contextlib.asynccontextmanager
async def starter(data: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTER, str(data)),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"up\n"
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.communicate()
        await until_no_servers(data)


def servers(data: Path) -> list[psutil.Process]:
    """Those that work below the folder."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if Path(process.cwd()).is_relative_to(data.resolve()):
                found.append(process)
    return found


async def until_no_servers(data: Path, seconds: float = 3.0) -> None:
    deadline = time.monotonic() + seconds
    while left := servers(data):
        assert time.monotonic() < deadline, left
        await asyncio.sleep(0.02)


def matching(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


async def kill(server: EmbeddedPostgres | EmbeddedRedis) -> None:
    assert server.child is not None
    server.child.kill()
    await server.child.wait()


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
        assert {"postgres", "redis-server"} <= {found.name() for found in servers(data)}
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


async def test_a_second_marketplace_is_refused_with_the_pid_of_the_first(data: Path) -> None:
    async with starter(data) as process:
        assert DataFolder(data).holder == process.pid
        for server in EmbeddedPostgres(data), EmbeddedRedis(data, "lasting"):
            with pytest.raises(EmbeddedError, match=f"in use by pid {process.pid}") as caught:
                await server.start()
            assert "--data" in caught.value.remedy
        assert await ask(EmbeddedPostgres(data).dsn("postgres"), "SELECT 1") == 1


async def test_a_second_object_of_the_same_process_is_refused(postgres: EmbeddedPostgres, data: Path) -> None:
    with pytest.raises(EmbeddedError, match="in use by this process"):
        await EmbeddedPostgres(data).start()
    assert await ask(postgres.dsn("postgres"), "SELECT 1") == 1


@pytest.mark.parametrize("name", ["d" * 120, "with, comma and \"quote\" 100% 'ü'"])
async def test_long_and_odd_paths(short_folder: Path, name: str) -> None:
    data = short_folder / name
    server, cache = EmbeddedPostgres(data, durable=False), EmbeddedRedis(data, "cache")
    try:
        for _ in range(2):
            await asyncio.gather(server.start(), cache.start())
            assert len(os.fsencode(server.socket)) < 107
            assert await ask(server.dsn("postgres"), "SELECT 1") == 1
            assert await ask(EmbeddedPostgres(data).dsn("postgres"), "SELECT 1") == 1
            async with client(cache) as connection:
                assert await connection.ping()
            await asyncio.gather(server.stop(), cache.stop())
    finally:
        for folder in (server.socket.parent, cache.socket.parent):
            shutil.rmtree(folder)


async def test_a_client_with_another_temporary_folder_finds_a_long_path_too(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = short_folder / ("d" * 120)
    cache = EmbeddedRedis(data, "cache")
    await cache.start()
    monkeypatch.setattr(tempfile, "tempdir", str(short_folder))
    async with client(EmbeddedRedis(data, "cache")) as connection:
        assert await connection.ping()
    await cache.stop()
    shutil.rmtree(cache.socket.parent)


async def test_a_socket_folder_of_somebody_else_is_refused(short_folder: Path) -> None:
    cache = EmbeddedRedis(short_folder / ("d" * 120), "cache")
    folder = cache.socket.parent
    folder.symlink_to(short_folder)
    try:
        with pytest.raises(EmbeddedError, match="belongs to somebody else"):
            await cache.start()
    finally:
        folder.unlink()


async def test_a_moved_folder_works(short_folder: Path) -> None:
    data = short_folder / "a"
    data.mkdir()
    for name in ("a", "d" * 120, "b"):
        data = data.rename(short_folder / name)
        cache = EmbeddedRedis(data, "cache")
        await cache.start()
        async with client(cache) as connection:
            assert await connection.ping()
        await cache.stop()
        if not cache.socket.is_relative_to(data.resolve()):
            shutil.rmtree(cache.socket.parent)


@pytest.mark.skipif(not ROOT, reason="otherwise PostgreSQL runs as we do")
async def test_as_root_postgres_runs_as_nobody(postgres: EmbeddedPostgres, data: Path) -> None:
    assert postgres.child is not None
    assert psutil.Process(postgres.child.pid).username() == "nobody"
    assert postgres.socket.parent.stat().st_mode & 0o777 == 0o700
    assert (data / "postgres").stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not ROOT, reason="otherwise PostgreSQL runs as we do")
async def test_a_folder_that_the_user_cannot_pass_is_named(short_folder: Path) -> None:
    closed = short_folder / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError, match=f"cannot pass {closed}") as caught:
        await EmbeddedPostgres(closed / "deep" / "data").start()
    assert f"chmod o+x {closed}" in caught.value.remedy
    assert "--data" in caught.value.remedy


@pytest.mark.skipif(not ROOT, reason="otherwise PostgreSQL runs as we do")
@pytest.mark.parametrize(("user", "cause"), [("no-such-user", "no user"), ("root", "as root")])
async def test_a_wrong_user_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch, user: str, cause: str) -> None:
    monkeypatch.setenv("MARKETPLACE_POSTGRES_USER", user)
    with pytest.raises(EmbeddedError, match=cause):
        await EmbeddedPostgres(data).start()


@pytest.mark.skipif(not ROOT, reason="otherwise PostgreSQL runs as we do")
async def test_the_user_may_change(postgres: EmbeddedPostgres, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await ask(postgres.dsn("postgres"), "CREATE TABLE kept AS SELECT 42 AS answer")
    await postgres.stop()
    monkeypatch.setenv("MARKETPLACE_POSTGRES_USER", "daemon")
    await postgres.start()
    assert await ask(postgres.dsn("postgres"), "SELECT answer FROM kept") == 42


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


async def test_every_acknowledged_write_survives_a_killed_redis(lasting: EmbeddedRedis) -> None:
    acknowledged = 0

    async def write() -> None:
        nonlocal acknowledged
        async with client(lasting) as connection:
            while True:
                acknowledged = await connection.incr("count")
                await connection.xadd("orders", {"number": acknowledged})

    writer = asyncio.create_task(write())
    await asyncio.sleep(0.3)
    await kill(lasting)
    with pytest.raises(redis.exceptions.ConnectionError):
        await writer
    await lasting.start()
    async with client(lasting) as connection:
        assert acknowledged > 10
        assert int(await connection.get("count")) >= acknowledged
        assert await connection.xlen("orders") >= acknowledged - 1
        assert await connection.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


async def test_a_half_written_tail_is_dropped(lasting: EmbeddedRedis, data: Path) -> None:
    async with client(lasting) as connection:
        await connection.set("whole", "yes")
    await kill(lasting)
    written = [path for path in (data / "redis-lasting").rglob("*") if b"whole" in read(path)]
    with written[0].open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$4\r\nhal")
    await lasting.start()
    async with client(lasting) as connection:
        assert await connection.keys() == ["whole"]


def read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


async def test_the_cache_keeps_nothing(data: Path) -> None:
    cache = EmbeddedRedis(data, "cache", settings={"maxmemory": "32mb"})
    await cache.start()
    async with client(cache) as connection:
        await connection.set("a", "b")
        settings = await connection.config_get("maxmemory*")
        assert settings["maxmemory"] == str(32 << 20)
        assert settings["maxmemory-policy"] == "allkeys-lru"
    await cache.stop()
    await cache.start()
    async with client(cache) as connection:
        assert await connection.keys() == []
    await cache.stop()


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


async def test_files_of_a_later_redis_are_refused_by_an_earlier(
    data: Path, short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (data / "redis-lasting" / "appendonlydir").mkdir(parents=True)
    old = short_folder / "redis-server"
    old.write_text("#!/bin/sh\necho 'Redis server v=6.2.14 sha=0 malloc=libc bits=64'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{short_folder}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(EmbeddedError, match="written by Redis 7"):
        await EmbeddedRedis(data, "lasting").start()


def test_a_folder_of_another_format_is_refused(data: Path) -> None:
    with DataFolder(data):
        pass
    (data / "VERSION").write_text("99\n")
    with pytest.raises(EmbeddedError, match="format '99'") as caught:
        DataFolder(data).acquire()
    assert "the release that wrote it" in caught.value.remedy
    (data / "VERSION").write_text("1\n")
    with DataFolder(data):
        pass


def test_parts_of_one_process_share_the_lock(data: Path) -> None:
    assert DataFolder(data).holder is None
    with DataFolder(data, "one"):
        with DataFolder(data, "two"):
            pass
        assert DataFolder(data).holder == os.getpid()
        with pytest.raises(EmbeddedError, match="in use by this process"):
            DataFolder(data, "one").acquire()
    assert DataFolder(data).holder is None


def test_the_lock_is_that_of_the_file(data: Path) -> None:
    with DataFolder(data), (data / "lock").open() as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_folder_that_is_a_file_is_refused(data: Path) -> None:
    data.write_text("")
    with pytest.raises(EmbeddedError, match="cannot be used"):
        DataFolder(data).acquire()
