from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import psutil
import pytest

from marketplace_core._supervisor.children import SystemUser
from marketplace_core.adapters.embedded import DataFolder, EmbeddedError, EmbeddedPostgres, EmbeddedRedis
from marketplace_core.adapters.native.folder import check_reachable
from tests.core.embedded.programs import ROOT, ask, client, starter


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
async def test_a_folder_that_the_user_cannot_pass_is_handed_to_it(short_folder: Path) -> None:
    """As root's own home is one: PostgreSQL gets what is its own, and can pass the folder no more than before."""
    closed = short_folder / "closed"
    closed.mkdir(mode=0o700)
    for _ in range(2):
        postgres = EmbeddedPostgres(closed / "deep" / "data")
        await postgres.start()
        assert await ask(postgres.dsn("postgres"), "SELECT 1 AS one") == 1
        with pytest.raises(Exception, match=r"[Pp]ermission denied"):
            await ask(postgres.dsn("postgres"), f"SELECT pg_read_file('{closed}/deep/data/postgres/PG_VERSION') AS read")
        await postgres.stop()
    assert closed.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(not ROOT, reason="otherwise PostgreSQL runs as we do")
def test_programs_that_the_user_cannot_pass_are_named(short_folder: Path) -> None:
    closed = short_folder / "closed"
    closed.mkdir(mode=0o700)
    (closed / "bin").mkdir()
    with pytest.raises(EmbeddedError, match=f"cannot pass {closed}") as caught:
        check_reachable(closed / "bin", SystemUser.named("nobody"), "install the wheel where everybody can read it")
    assert caught.value.remedy == f"install the wheel where everybody can read it, or `chmod o+x {closed}`"


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
