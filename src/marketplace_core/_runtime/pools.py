"""Pools for what computes: of threads, for libraries that let others run meanwhile, and of processes for all else.

A process of a pool is a program of its own (:mod:`marketplace_core._runtime.pool_process`) and no copy of this one: a copy
would be made of whatever our threads hold at that moment. It is started when it is first needed, and dies with us.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import struct
import sys
from abc import abstractmethod
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, ParamSpec, TypeVar, cast

import structlog

from marketplace_core.ports.pools import Pool, PoolFull, ProcessDied

__all__ = ["OwnPool", "ProcessPool", "ThreadPool"]

log = structlog.get_logger("marketplace.pools")

P = ParamSpec("P")
T = TypeVar("T")

PROGRAM = "marketplace_core._runtime.pool_process"
#: How much of an answer is read at a time.
BUFFER = 1 << 20
HEADER = struct.Struct("!Q")


class OwnPool(Pool):
    """``size`` of the work is done at a time, and ``waiting`` more may wait (None: any number)."""

    def __init__(self, name: str, size: int, waiting: int | None) -> None:
        self.name, self.size, self.waiting = name, size, waiting
        self._taken = 0

    @contextlib.contextmanager
    def _place(self) -> Iterator[None]:
        if self.waiting is not None and self._taken >= self.size + self.waiting:
            raise PoolFull("Too much of this is asked for at once; please come again.")
        self._taken += 1
        try:
            yield
        finally:
            self._taken -= 1

    @abstractmethod
    async def close(self) -> None: ...


class ThreadPool(OwnPool):
    def __init__(self, name: str, size: int, waiting: int | None = None) -> None:
        super().__init__(name, size, waiting)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=name)

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._place():
            return await asyncio.get_running_loop().run_in_executor(self._threads, partial(work, *args, **kwargs))

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class ProcessPool(OwnPool):
    def __init__(self, name: str, size: int, waiting: int | None = None) -> None:
        super().__init__(name, size, waiting)
        self._slots = asyncio.Semaphore(size)
        self._idle: list[_Child] = []

    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        packed = pickle.dumps((work, args, kwargs))
        with self._place():
            async with self._slots:
                answer = await self._done(await self._rested(), packed) or await self._done(await self._fresh(), packed)
        if answer is None:
            raise ProcessDied(f"{self.name}: {work.__qualname__} ended two processes that did it")
        result: T
        failed, result = pickle.loads(answer)  # noqa: S301 - our own child's
        if failed:
            raise result  # type: ignore[misc]
        return result

    async def _done(self, child: _Child, packed: bytes) -> bytes | None:
        """None: the process ended."""
        try:
            answer = await child.ask(packed)
        except (OSError, EOFError):
            log.warning("pool.process_ended", pool=self.name, code=await child.end())
            return None
        except BaseException:  # nobody waits for it, and another's answer would be taken for it
            await asyncio.shield(child.end())
            raise
        self._idle.append(child)
        return answer

    async def _rested(self) -> _Child:
        while self._idle:
            child = self._idle.pop()
            if child.runs:
                return child
        return await _Child.start()

    async def _fresh(self) -> _Child:
        """In the place of one that rests: whatever killed a process may have killed that, too, unnoticed by now."""
        if self._idle:
            await self._idle.pop().end()
        return await _Child.start()

    async def close(self) -> None:
        await asyncio.gather(*(child.end() for child in self._idle))
        self._idle.clear()


class _Child:
    """One message there, one back: its length in 8 bytes, and a pickle."""

    def __init__(self, process: asyncio.subprocess.Process, stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader) -> None:
        self._process, self._stdin, self._stdout = process, stdin, stdout

    @classmethod
    async def start(cls) -> _Child:
        """Nothing runs between its fork and its exec, so that our threads do not matter."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", PROGRAM, str(os.getpid())),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=BUFFER,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        return cls(process, cast(asyncio.StreamWriter, process.stdin), cast(asyncio.StreamReader, process.stdout))

    @property
    def runs(self) -> bool:
        return self._process.returncode is None and not self._stdout.at_eof()

    async def ask(self, packed: bytes) -> bytes:
        """:raises OSError: the process has ended; so for :class:`EOFError`."""
        self._stdin.write(HEADER.pack(len(packed)) + packed)
        await self._stdin.drain()
        (size,) = HEADER.unpack(await self._stdout.readexactly(HEADER.size))
        return await self._stdout.readexactly(size)

    async def end(self) -> int:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        code: Any = await self._process.wait()
        return int(code)
