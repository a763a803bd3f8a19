"""Keeping processes alive: started again when they end, at once the first time, then ever later; stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from marketplace_core._supervisor.children import Child, Readiness, spawn
from marketplace_core._supervisor.state import Kind, ProcessState
from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.adapters.native.startup import last_lines, size

__all__ = ["CannotStart", "Policy", "ProcessSpec", "Runnable", "Supervisor"]

Spawn = Callable[..., Awaitable[Child]]

_PAUSE = 0.05


class CannotStart(Exception):
    """A process ends again and again before it was ever ready; ``lines`` are the last of its log."""

    def __init__(self, name: str, cause: str, lines: str, log_file: Path | None) -> None:
        super().__init__(f"{name} cannot start: {cause}: {lines}")
        self.cause = f"{name} cannot start ({cause}): {lines}"
        self.remedy = "see what it says" if log_file is None else f"see {log_file}"


class Policy(Struct, frozen=True):
    """Seconds. The first restart is at once; the pause before the second is ``first``, then it doubles up to ``longest``.

    What has lived for ``healthy`` begins anew. ``attempts`` is how often a process may end before it was ever ready.
    ``longest`` is how much later than its cause is gone a process may be back, besides its start: a few seconds, in which
    one that cannot start costs a third of a core.
    """

    first: float = 0.5
    longest: float = 4.0
    healthy: float = 10.0
    attempts: int = 5


class ProcessSpec(Struct, frozen=True, kw_only=True):
    """A program to keep running. ``env`` is added to ours; ``grace`` is in seconds.

    ``ready`` is asked until it says yes; None: the process tells by itself
    (:class:`~marketplace_core._supervisor.children.Readiness`).
    """

    name: str
    kind: Kind
    argv: Sequence[str]
    env: Mapping[str, str] = {}
    ready: Callable[[], Awaitable[bool]] | None = None
    grace: float = 15.0


class Runnable(ABC):
    """What a keeper keeps: a program, or an embedded server."""

    name: str
    kind: Kind
    log: Path | None
    #: ``host:port`` at which it answers ``/metrics``, once it has said so.
    watched: str | None = None

    @abstractmethod
    async def start(self) -> Child:
        """:raises OSError, EmbeddedError: it cannot be started."""

    @abstractmethod
    async def ready(self) -> bool:
        """Whether it does its work."""

    @abstractmethod
    async def stop(self) -> None:
        """Ask it to end, and wait."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once."""


class Program(Runnable):
    """A process made from its specification."""

    def __init__(self, spec: ProcessSpec, log_file: Path | None, spawn: Spawn = spawn) -> None:
        self.name, self.kind, self.log = spec.name, spec.kind, log_file
        self._spec, self._spawn = spec, spawn
        self._child: Child | None = None
        self._readiness = Readiness(spec.name) if spec.ready is None else None

    async def start(self) -> Child:
        env = {**os.environ, **self._spec.env, "PYTHONUNBUFFERED": "1"}
        if self._readiness is not None:
            self.watched = self._readiness.watched = None
            env |= self._readiness.env
        self._child = await self._spawn(self.name, self._spec.argv, env=env, log=self.log)
        return self._child

    async def ready(self) -> bool:
        told = self._readiness is not None and self._readiness.told()
        if self._readiness is not None:
            self.watched = self._readiness.watched
        return told or (self._spec.ready is not None and await self._spec.ready())

    async def stop(self) -> None:
        if self._child is not None and self._child.running:
            await self._child.stop(grace=self._spec.grace)
            end_group(self._child)
        if self._readiness is not None:
            self._readiness.close()

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()


def end_group(child: Child) -> None:
    """What a process that has just ended left in its group; later the number may be somebody else's."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


class _Keeper:
    def __init__(self, what: Runnable, policy: Policy, changed: Callable[[], None], say: Callable[[str], None]) -> None:
        self.what = what
        self.restarts = 0
        self.started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._policy, self._changed, self._say = policy, changed, say
        self._child: Child | None = None
        self._task = asyncio.create_task(self._keep(), name=f"keep {what.name}")

    @property
    def state(self) -> ProcessState:
        pid = self._child.pid if self._child is not None and self._child.running else None
        return ProcessState(self.what.name, self.what.kind, pid, self.restarts, self.what.watched if pid else None)

    async def _keep(self) -> None:
        failures, pause = 0, 0.0
        while True:
            began, offset = time.monotonic(), 0 if self.what.log is None else size(self.what.log)
            cause = await self._once()
            self._changed()
            if self.started.done() and time.monotonic() - began >= self._policy.healthy:
                failures, pause = 0, 0.0
            failures += 1
            if not self.started.done() and failures >= self._policy.attempts:
                lines = "it wrote nothing" if self.what.log is None else last_lines(self.what.log, offset)
                self.started.set_exception(CannotStart(self.what.name, cause, lines, self.what.log))
                return
            self._say(f"{self.what.name}: {cause}; it is started again {f'in {pause:g} s' if pause else 'now'}")
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, self._policy.first), self._policy.longest)
            self.restarts += 1

    async def _once(self) -> str:
        """From a start to the end. Returns why it ended."""
        try:
            self._child = await self.what.start()
        except EmbeddedError as error:
            return error.cause
        except OSError as error:
            return str(error)
        self._changed()
        probe = asyncio.create_task(self._probe())
        try:
            code = await self._child.wait()
        finally:
            probe.cancel()
        end_group(self._child)
        return f"it ended with code {code}" if code >= 0 else f"it was ended by {signal.Signals(-code).name}"

    async def _probe(self) -> None:
        """Until it is ready; a process that was started again tells anew where it is watched."""
        while not await self.what.ready():  # noqa: ASYNC110 - the child tells nobody else
            await asyncio.sleep(_PAUSE)
        if not self.started.done():
            self.started.set_result(None)
        self._changed()

    async def hold(self) -> None:
        """Do not start it again. It runs on until it is stopped."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self.started.done():
            self.started.exception()  # asked for, so that asyncio does not complain that nobody did

    async def stop(self) -> None:
        await self.what.stop()
        self._changed()


class Supervisor:
    """Batches of processes, started in order and stopped in reverse."""

    def __init__(
        self,
        logs: Path | None,
        *,
        policy: Policy | None = None,
        changed: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda _: None,
        spawn: Spawn = spawn,
    ) -> None:
        """``changed`` is called whenever a process came, was ready or went, ``say`` with what a person should know.

        ``spawn`` starts programs, as :func:`marketplace_core._supervisor.children.spawn` does.
        """
        self._logs, self._spawn = logs, spawn
        self._policy = policy or Policy()
        self._changed, self._say = changed, say
        self._batches: list[list[_Keeper]] = []

    @property
    def processes(self) -> list[ProcessState]:
        return [keeper.state for batch in self._batches for keeper in batch]

    async def start(self, *batches: Sequence[Runnable | ProcessSpec]) -> None:
        """Start all and wait until each is ready. :raises CannotStart: one ends again and again."""
        for batch in batches:
            self._batches.append([self._keeper(what) for what in batch])
        waiting = [keeper.started for batch in self._batches for keeper in batch]
        if waiting:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_EXCEPTION)
        for future in waiting:
            if future.done():
                future.result()

    def _keeper(self, what: Runnable | ProcessSpec) -> _Keeper:
        if isinstance(what, ProcessSpec):
            what = Program(what, None if self._logs is None else self._logs / f"{what.name}.log", self._spawn)
        return _Keeper(what, self._policy, self._changed, self._say)

    async def stop(self) -> None:
        """The last batch first; each process is asked, given time, and waited for."""
        await asyncio.gather(*(keeper.hold() for batch in self._batches for keeper in batch))
        for batch in reversed(self._batches):
            await asyncio.gather(*(keeper.stop() for keeper in batch))
        self._batches.clear()

    def kill(self) -> None:
        """End everything at once; :meth:`stop`, which is under way, then finds it ended."""
        for batch in self._batches:
            for keeper in batch:
                keeper.what.kill()
