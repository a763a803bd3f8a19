"""Faults by a seed: which, of whom, and at which moment of the load."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import psutil

from tests.faults.fire.deployment import Standing, processes_below

__all__ = ["KINDS", "Fault", "Injector"]

#: What is killed, or stopped for some seconds, by the name of the fault.
KINDS = (
    "kill api",
    "kill worker",
    "kill simulator",
    "kill postgres",
    "kill redis-lasting",
    "kill redis-cache",
    "kill supervisor",
    "stop api",
    "stop worker",
    "stop simulator",
    "stop postgres",
    "stop redis-lasting",
    "stop redis-cache",
    "stop supervisor",
)

#: Until a process that was told to end is there again, whatever else the machine does.
RESTART_SECONDS = 120.0


@dataclass
class Fault:
    """``at`` is of the monotonic clock; ``after``: of so many checkouts begun."""

    kind: str
    after: int
    victim: str = ""
    at: float = 0.0


class Injector:
    """Strikes while :meth:`begun` is told of checkouts."""

    def __init__(
        self,
        standing: Standing,
        kinds: Sequence[str],
        checkouts: int,
        chance: random.Random,
        stopped_seconds: float,
        more: Callable[[str, float], Awaitable[str]] | None = None,
        *,
        in_turn: bool = False,
    ) -> None:
        """``kinds``: one fault each, in an order and at moments of chance; half of them strike before the one before is got
        over. ``in_turn``: as they are given, each once the one before is got over. ``more``: carries out those of other kinds.
        """
        self._standing, self._chance, self._seconds, self._more = standing, chance, stopped_seconds, more
        self._in_turn = in_turn
        order = list(kinds) if in_turn else chance.sample(list(kinds), len(kinds))
        moments = sorted(chance.sample(range(2, max(3 + len(kinds), checkouts * 9 // 10)), len(kinds)))
        moments = [2] * len(kinds) if in_turn else moments
        self.faults = [Fault(kind, moment) for kind, moment in zip(order, moments, strict=True)]
        self._begun = 0
        self._stirred = asyncio.Event()
        self.over = False
        self.recovered: Callable[[Fault], bool] = lambda _: True

    def begun(self) -> None:
        """A checkout begins."""
        self._begun += 1
        self._stirred.set()

    async def run(self) -> None:
        """Until all faults have struck, one after the other."""
        for fault in self.faults:
            while self._begun < fault.after:
                self._stirred.clear()
                await self._stirred.wait()
            await asyncio.sleep(self._chance.uniform(0.0, 1.0))
            await self._strike(fault)
            if self._in_turn or self._chance.random() < 0.5:
                while not self.recovered(fault):  # noqa: ASYNC110 - shoppers see it, and nobody tells
                    await asyncio.sleep(0.05)
        self.over = True

    async def _strike(self, fault: Fault) -> None:
        act, _, whom = fault.kind.partition(" ")
        if self._more is not None and act not in {"kill", "stop", "restart"}:
            fault.at = time.monotonic()
            fault.victim = await self._more(fault.kind, self._seconds)
            return
        if fault.kind == "kill supervisor":
            fault.victim, fault.at = whom, time.monotonic()
            await self._standing.kill()
            await self._standing.start()
            return
        fault.victim, pid = await self._victim(whom)
        processes = processes_below(pid)
        fault.at = time.monotonic()
        if act == "restart":
            _signal(processes[:1], signal.SIGTERM)
            await self._back(fault.victim, pid)
        elif act == "kill":
            _signal(processes[:1], signal.SIGKILL)
        else:  # PostgreSQL's sessions are processes, too; but what the supervisor started goes on
            stopped = processes[:1] if whom == "supervisor" else processes
            _signal(stopped, signal.SIGSTOP)
            await asyncio.sleep(self._seconds)
            _signal(stopped, signal.SIGCONT)

    async def _back(self, name: str, former: int) -> None:
        """Until another process has its place and says that it is ready. :raises TimeoutError:"""
        async with asyncio.timeout(RESTART_SECONDS):
            while True:
                found = [process for process in self._standing.processes("api", "worker") if process.name == name]
                if found and found[0].pid != former and found[0].metrics is not None:
                    return
                await asyncio.sleep(0.1)

    async def _victim(self, whom: str) -> tuple[str, int]:
        """One of them that is there: perhaps they are just being started again."""
        if whom == "supervisor":
            return whom, self._standing.pid
        while True:
            standing = self._standing.processes("api", "worker", "server", "simulator", "edge")
            found = [process for process in standing if whom in {process.kind, process.name}]
            if found:
                chosen = self._chance.choice(sorted(found, key=lambda process: process.name))
                if chosen.pid is not None:
                    return chosen.name, chosen.pid
            await asyncio.sleep(0.1)


def _signal(processes: Sequence[psutil.Process], number: int) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.send_signal(number)
