"""A running saga as release 0.1.0 began it: each call is a record of its own. Only those that are left are run so."""

from __future__ import annotations

from datetime import datetime

import msgspec

from marketplace_core.adapters.dbos.connections import library
from marketplace_core.adapters.dbos.runs import Run, insist
from marketplace_core.errors import Failure
from marketplace_core.sagas import StepCall, StepResult

__all__ = ["SteppedRun"]


class SteppedRun(Run):
    async def perform(self, call: StepCall) -> StepResult:
        async def step() -> str:
            return msgspec.json.encode(await self.performed(call)).decode()

        result = msgspec.json.decode(await library().DBOS.run_step_async({"name": call.step}, step), type=StepResult)
        self.note(call.step, result)
        return result

    async def now(self, step: str) -> datetime:
        async def read() -> str:
            return self._sagas.clock.now().isoformat()

        return datetime.fromisoformat(await library().DBOS.run_step_async({"name": step}, read))

    async def begin_wait(self, signal: str, number: int, until: datetime) -> None:
        async def begin() -> None:
            await self.tell()
            await insist(lambda: self._sagas.journal.begin_wait(self.saga.id, signal, number, until))

        await library().DBOS.run_step_async({"name": f"wait:{signal}:{number}"}, begin)

    async def end_wait(self, signal: str, number: int) -> None:
        async def end() -> None:
            await insist(lambda: self._sagas.journal.end_wait(self.saga.id, signal, number))

        await library().DBOS.run_step_async({"name": f"waited:{signal}:{number}"}, end)

    async def park(self, step: str, failure: Failure) -> None:
        async def show() -> None:
            await self.tell()
            await insist(lambda: self._sagas.journal.park(self.saga.id, step, failure))

        await library().DBOS.run_step_async({"name": f"park:{step}"}, show)

    async def fail(self, mistake: Exception) -> None:
        async def look() -> None:
            await self.give_up_or(mistake)

        if self._sagas.ending:
            raise mistake
        await library().DBOS.run_step_async({"name": "mistake"}, look)
