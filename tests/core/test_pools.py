"""Pools for what computes, of threads and of processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from marketplace_core._runtime.pools import OwnPool, ProcessPool, ThreadPool
from marketplace_core.errors import Refused
from marketplace_core.ports import PoolFull, ProcessDied
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.marketplace import Marketplace

Make = Callable[..., OwnPool]


@pytest.fixture(params=[ThreadPool, ProcessPool])
def kind(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    return made


@contextlib.asynccontextmanager
async def opened(kind: Make, size: int = 2, waiting: int | None = None) -> AsyncIterator[OwnPool]:
    pool = kind("test", size, waiting)
    try:
        yield pool
    finally:
        await pool.close()


def children() -> list[psutil.Process]:
    own = psutil.Process().children(recursive=True)
    return [each for each in own if any("pool_process" in part for part in each.cmdline())]


def pid_after(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def refuse(code: str) -> None:
    raise Refused(code, "No.", retry_after=3)


class _Local(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__(one + two)


def raise_local() -> None:
    raise _Local(1, 2)


def say(text: str) -> str:
    print(text)
    os.write(1, b"raw")
    return text


def die_unless(path: str) -> str:
    """The first time it is done it ends its process."""
    if not os.path.exists(path):
        Path(path).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "done"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def test_work_gives_what_it_gives(kind: Make) -> None:
    async with opened(kind) as pool:
        big = os.urandom(3 << 20)
        assert await pool.run(bytes.hex, big) == big.hex()
        assert await asyncio.gather(*(pool.run(pow, n, 3) for n in range(50))) == [n**3 for n in range(50)]
        assert await pool.run(int, "ff", base=16) == 255


async def test_work_raises_what_it_raises(kind: Make) -> None:
    async with opened(kind) as pool:
        with pytest.raises(Refused) as refused:
            await pool.run(refuse, "http.conflict")
        assert (refused.value.code, refused.value.retry_after) == ("http.conflict", 3)
        with pytest.raises(_Local if kind is ThreadPool else RuntimeError, match=r"3|_Local"):
            await pool.run(raise_local)
        assert await pool.run(say, "said") == "said"


async def test_no_more_is_done_at_once_than_was_said(kind: Make) -> None:
    async with opened(kind, size=2) as pool:
        await asyncio.gather(*(pool.run(pid_after, 0.2) for _ in range(2)))  # started
        began = time.monotonic()
        await asyncio.gather(*(pool.run(pid_after, 0.2) for _ in range(6)))
        assert time.monotonic() - began >= 0.6


async def test_who_would_wait_too_long_is_told_at_once(kind: Make) -> None:
    async with opened(kind, size=1, waiting=2) as pool:
        asked = [asyncio.create_task(pool.run(pid_after, 0.1)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(PoolFull):
            await pool.run(pid_after, 0.1)
        await asyncio.gather(*asked)
        await pool.run(pid_after, 0.1)


async def test_processes_begin_when_they_are_needed_and_end_with_the_pool() -> None:
    async with opened(ProcessPool, size=2) as pool:
        assert children() == []
        pids = [await pool.run(os.getpid) for _ in range(3)]
        assert set(pids) == {each.pid for each in children()} and len(set(pids)) == 1 and os.getpid() not in pids
    assert children() == []


async def test_a_process_that_is_killed_is_replaced_and_its_work_done_again(tmp_path: Path) -> None:
    async with opened(ProcessPool, size=2) as pool:
        beside = asyncio.create_task(pool.run(pid_after, 1.0))
        assert await pool.run(die_unless, str(tmp_path / "died")) == "done"
        assert await beside in {each.pid for each in children()}  # what another does goes on
        for each in children():  # while they rest
            each.kill()
        assert await pool.run(pow, 2, 3) == 8


async def test_work_that_ends_its_process_twice_fails() -> None:
    async with opened(ProcessPool, size=2) as pool:
        beside = asyncio.create_task(pool.run(pid_after, 1.0))
        with pytest.raises(ProcessDied, match="test: die ended two"):
            await pool.run(die)
        await beside
        assert await pool.run(pow, 2, 3) == 8


async def test_work_that_nobody_waits_for_is_ended() -> None:
    async with opened(ProcessPool, size=1) as pool:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await pool.run(pid_after, 60)
        assert await pool.run(pow, 2, 3) == 8
        assert len(children()) == 1


async def test_processes_die_with_whoever_started_them() -> None:
    program = (
        "import asyncio, os, time\n"
        "from marketplace_core._runtime.pools import ProcessPool\n"
        "async def main():\n"
        "    pool = ProcessPool('doomed', 1)\n"
        "    print(await pool.run(os.getpid), flush=True)\n"
        "    await pool.run(time.sleep, 600)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    try:
        assert parent.stdout is not None
        child = int(await parent.stdout.readline())
        assert psutil.pid_exists(child)
    finally:
        parent.kill()
        await parent.wait()
    await eventually(lambda: not psutil.pid_exists(child))


async def test_a_plugin_has_a_pool_by_its_name(marketplace: Callable[..., Awaitable[Marketplace]]) -> None:
    market = await marketplace(["auth", "users"], worker=False)
    context = market.process.context("users")
    pool = context.pool("pictures", size=1, processes=True)
    assert context.pool("pictures") is pool and market.process.context("auth").pool("pictures") is not pool
    assert await pool.run(os.getpid) != os.getpid() == await context.pool("words").run(os.getpid)
    (child,) = children()
    await market.process.close()
    assert not child.is_running()
