"""A running saga on DBOS whose consecutive calls are recorded together, as one *segment*.

To record a call costs more than to make most: two transactions through the engine's library. Each call carries a key, by which
a repeat gives the same answer, so it may be made again; a crash repeats those of the segment that was open, and no more. It is
closed by all that must not be met twice: a refusal, before anything is undone; a signal, a time or a person that is waited for;
an outcome that is unknown; a call that may not be repeated; the end. ``docs/adr/0023-segments.md``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec
from msgspec import Struct

from marketplace_core._runtime import failpoints
from marketplace_core.adapters.dbos.connections import library
from marketplace_core.adapters.dbos.runs import Host, Run, insist
from marketplace_core.errors import Failure
from marketplace_core.ports.engine import SagaRun
from marketplace_core.sagas import StepCall, StepResult

__all__ = ["Segment", "SegmentedRun"]

#: What a crash repeats at most: so many calls, of which the first began so long ago.
MOST_CALLS = 20
MOST_SECONDS = 5.0
#: What a record is called that is only of calls, by the last of them.
_CALLS = "calls:"


class Segment(Struct, frozen=True, omit_defaults=True):
    """What is recorded at once: how calls ended, by step, and when it was, where that was asked."""

    results: dict[str, StepResult] = {}
    now: datetime | None = None


class SegmentedRun(Run):
    def __init__(self, sagas: Host, saga: SagaRun, trace: str, recorded: Sequence[tuple[str, Segment]]) -> None:
        """``recorded``: what an earlier process recorded of it, with the names."""
        super().__init__(sagas, saga, trace)
        self._recorded = deque(recorded)
        self._open: dict[str, StepResult] = {}
        self._began = 0.0

    async def perform(self, call: StepCall) -> StepResult:
        if self._recorded:
            return await self._again(call.step)
        if self._open and (len(self._open) >= MOST_CALLS or time.monotonic() - self._began > MOST_SECONDS):
            await self._close()
        if not self._open:
            self._began = time.monotonic()
        result = await self.performed(call, self._close)
        self._open[call.step] = result
        if result.refusal is not None or not call.repeatable:
            await self._close()
        return result

    async def _again(self, step: str) -> StepResult:
        """As it was recorded. The engine counts records: one that is only of calls is gone over with the last of them."""
        name, segment = self._recorded[0]
        if step not in segment.results:
            raise LookupError(f"{self.saga.id} asks for {step} where {name} is recorded")
        result = segment.results[step]
        self.note(step, result)
        if name == f"{_CALLS}{step}":
            await self._record(name)
        return result

    async def _close(self) -> None:
        if self._open:
            await self._record(f"{_CALLS}{next(reversed(self._open))}")

    async def _record(self, name: str, act: Callable[[], Awaitable[datetime | None]] | None = None) -> Segment:
        """Record what is open, and ``act``, under a name; or go over that record, if it is there."""

        async def step() -> str:
            await self.tell()
            answer = None if act is None else await act()
            failpoints.hit("saga.before_record")
            return msgspec.json.encode(Segment(self._open, answer)).decode()

        if self._recorded:
            self._recorded.popleft()
        segment = msgspec.json.decode(await library().DBOS.run_step_async({"name": name}, step), type=Segment)
        failpoints.hit("saga.after_record")
        self._open = {}
        return segment

    async def now(self, step: str) -> datetime:
        async def read() -> datetime:
            return self._sagas.clock.now()

        answer = (await self._record(step, read)).now
        if answer is None:
            raise LookupError(f"{step} is recorded without its time")
        return answer

    async def begin_wait(self, signal: str, number: int, until: datetime) -> None:
        async def begin() -> None:
            await insist(lambda: self._sagas.journal.begin_wait(self.saga.id, signal, number, until))

        await self._record(f"wait:{signal}:{number}", begin)

    async def end_wait(self, signal: str, number: int) -> None:
        """The signal itself is recorded; that it came is told at each replay until something later is."""
        if not self._recorded:
            await insist(lambda: self._sagas.journal.end_wait(self.saga.id, signal, number))

    async def park(self, step: str, failure: Failure) -> None:
        async def show() -> None:
            await insist(lambda: self._sagas.journal.park(self.saga.id, step, failure))

        await self._record(f"park:{step}", show)

    async def fail(self, mistake: Exception) -> None:
        if self._sagas.ending:
            raise mistake
        await self._close()

        async def look() -> None:
            await self.give_up_or(mistake)

        await self._record("mistake", look)
