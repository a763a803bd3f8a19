"""The saga engine on DBOS (embedded and small deployments): one process at a time, by an advisory-lock lease.

One generic workflow runs every saga, its name and version in the input. ``executor_id`` and ``application_version`` are
set, never derived: by default a second process would re-run the first one's running step, and each edit of a
workflow's source would strand its sagas.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import structlog

from marketplace_core import calls, metrics
from marketplace_core._runtime import failpoints
from marketplace_core.adapters._waits import patient
from marketplace_core.adapters.dbos.connections import SCHEMA, WORKFLOW, engine_url, library
from marketplace_core.adapters.dbos.reader import FAILED, STATUS, DbosReader, EngineSaga
from marketplace_core.errors import Failure, Unavailable
from marketplace_core.sagas import (
    COMPENSATE,
    OPERATOR,
    Decision,
    Engine,
    Performer,
    Saga,
    StepCall,
    StepResult,
    run_saga,
)
from marketplace_core.values import Clock

__all__ = ["FAILED", "SCHEMA", "STATUS", "WORKFLOW", "DbosReader", "DbosSagas", "EngineSaga", "Waits", "engine_url"]

log = structlog.get_logger("marketplace.dbos")

T = TypeVar("T")

EXECUTOR = "marketplace"
VERSION = "marketplace-1"
#: Messages of ours among the events on a signal's topic, each about one wait.
_OVER, _GIVEN_UP = "over:", "compensate:"
AWAY_PAUSE = 0.5
_FOREVER = 10 * 365 * 86400.0


class Waits(ABC):
    """Where the engine writes what its sagas wait for. Each method may be repeated."""

    @abstractmethod
    async def begin(self, saga_id: str, signal: str, number: int, due_at: datetime) -> None:
        """From ``due_at`` on, by the deployment's clock, :meth:`DbosSagas.time_out` must be called."""

    @abstractmethod
    async def end(self, saga_id: str, signal: str, number: int) -> None:
        """The signal came."""

    @abstractmethod
    async def is_given_up(self, saga_id: str) -> bool:
        """Whether a person compensates the saga, which failed; once that is so, it stays so."""


def _over(number: int) -> str:
    return f"{_OVER}{number}"


def _given_up(number: int) -> str:
    return f"{_GIVEN_UP}{number}"


class DbosSagas:
    """Runs sagas on DBOS in this process. There is one in a process, and one running in a deployment."""

    def __init__(
        self,
        url: str,
        sagas: Sequence[Saga],
        performer: Performer,
        clock: Clock,
        *,
        waits: Waits,
        park: Callable[[str, str, Failure], Awaitable[None]],
    ) -> None:
        """``park(saga, step, failure)`` writes a row, again: nothing."""
        self._url = url
        self._sagas: Mapping[tuple[str, int], Saga] = {(s.name, s.version): s for s in sagas}
        self._performer = performer
        self._clock = clock
        self._waits = waits
        self._park = park
        self._workflow: Any = None
        self._ending = False
        #: By saga how often: one that was taken up while it ran ends when it finds that.
        self._running: Counter[str] = Counter()
        for each in sagas:  # counters that are there from the beginning, so that their first increase is seen
            metrics.SAGAS_STARTED.labels(each.name.split(".", 1)[0], each.name)
            for outcome in ("done", "refused", "failed"):
                metrics.SAGAS_ENDED.labels(each.name.split(".", 1)[0], each.name, outcome)

    async def launch(self) -> None:
        """Begin, on the running event loop; sagas that a dead process left are taken up again."""
        # The engine builds indexes CONCURRENTLY, which waits for every transaction of the database to end: those of this
        # process must be able to.
        with patient(None):
            await asyncio.to_thread(library().DBOS.migrate, self._url, schema=SCHEMA)
        library().DBOS(
            config={
                "name": "marketplace",
                "system_database_url": self._url,
                "dbos_system_schema": SCHEMA,
                "run_migrations": False,
                "application_version": VERSION,
                "executor_id": EXECUTOR,
                "sys_db_pool_size": 8,
                "db_engine_kwargs": {"hide_parameters": True},  # they are logged with an error, and hold what people bought
                "log_level": "WARNING",
                "console_log_level": "WARNING",
                "notification_listener_polling_interval_sec": 0.2,
            }
        )

        async def run(name: str, version: int, payload: str, trace: str = "") -> str:
            saga_id = library().DBOS.workflow_id
            if saga_id is None:
                raise RuntimeError("a saga runs only inside of its workflow")
            self._running[saga_id] += 1
            try:
                end = await run_saga(self._sagas[(name, version)], saga_id, payload, _DbosEngine(self, saga_id, trace))
            except Exception as error:  # a mistake of ours or of the engine's, which takes it for the end
                if self._ending:  # it can record nothing any more: whoever comes next goes on at the step before
                    raise
                log.error("saga.failed", saga=saga_id, name=name, version=version, exc_info=error)
                metrics.SAGAS_ENDED.labels(name.split(".", 1)[0], name, "failed").inc()
                raise
            finally:
                self._running[saga_id] -= 1
                if self._running[saga_id] <= 0:  # a sum of counters would go over all that run
                    del self._running[saga_id]
            return msgspec.json.encode(end).decode()

        self._ending = False
        self._running.clear()
        # However often its worker dies: else a hundred starts of one that cannot stay up would end every saga that waits.
        self._workflow = library().DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)(run)
        library().DBOS.launch()

    async def start(self, declared: Saga, saga_id: str, payload: str) -> None:
        """Begin a saga; one id begins once. It belongs to the trace of the call that begins it."""
        trace = calls.current().trace
        with library().SetWorkflowID(saga_id):
            await library().DBOS.start_workflow_async(self._workflow, declared.name, declared.version, payload, trace)
        metrics.SAGAS_STARTED.labels(declared.name.split(".", 1)[0], declared.name).inc()

    async def signal(self, saga_id: str, signal: str, payload: str, key: str) -> bool:
        """Send ``payload`` once per ``key``. False: there is no such saga."""
        try:
            await library().DBOS.send_async(saga_id, payload, signal, idempotency_key=key)
        except library().error.DBOSNonExistentWorkflowError:
            return False
        failpoints.hit("saga.signalled")
        return True

    async def time_out(self, saga_id: str, signal: str, number: int) -> None:
        """The time of a wait is over. Again: nothing."""
        await self.signal(saga_id, signal, _over(number), f"{saga_id}/{signal}/{number}/over")

    async def give_up(self, saga_id: str, signal: str, number: int) -> None:
        """A person compensates a saga that waits for a signal; what came before that counts. Again: nothing."""
        await self.signal(saga_id, signal, _given_up(number), f"{saga_id}/{signal}/{number}/compensate")

    async def decide(self, saga_id: str, step: str, decision: Decision) -> None:
        """What a person wants of a parked step. Only the first decision about a step counts."""
        await self.signal(saga_id, OPERATOR, decision, f"{saga_id}/{step}/decision")

    async def reopen(self, saga_id: str, tables: DbosReader) -> bool:
        """Go on with a saga that failed, at the step that did; or undo it, if it is given up. False: it has not failed.

        The engine resumes under the same id what was cancelled, and what failed only as a copy of another id: that would do
        each later step by another key, and never hear a signal that came for the first.
        """
        if not await tables.take_failure_back(saga_id):
            return False
        await library().DBOS.resume_workflow_async(saga_id)
        return True

    async def take_up(self, tables: DbosReader) -> list[str]:
        """Have those go on that run nowhere: an engine that was ending had begun them after this one had looked."""
        strays = await tables.strays(list(self._running))
        for saga_id in strays:
            await library().DBOS.resume_workflow_async(saga_id)
        return strays

    async def close(self) -> None:
        self._ending = True
        await asyncio.to_thread(library().DBOS.destroy, destroy_registry=True)
        # It made its own threads the loop's, and has ended them: whoever uses the loop's afterwards gets new ones.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


async def _insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask as soon as the database answers: a step that fails would end its saga for good."""
    while True:
        try:
            return await ask()
        except (Unavailable, OSError):
            await asyncio.sleep(AWAY_PAUSE)


class _DbosEngine(Engine):
    """One running saga on DBOS."""

    def __init__(self, sagas: DbosSagas, saga_id: str, trace: str) -> None:
        self._sagas = sagas
        self._saga_id = saga_id
        self.trace = trace
        self._waits = 0

    async def perform(self, call: StepCall) -> StepResult:
        async def step() -> str:
            result = await self._sagas._performer.perform(call)
            failpoints.hit("saga.before_record")
            return msgspec.json.encode(result).decode()

        raw = await library().DBOS.run_step_async({"name": call.step}, step)
        failpoints.hit("saga.after_record")
        return msgspec.json.decode(raw, type=StepResult)

    async def receive(self, signal: str, until: datetime | None) -> str | None:
        if until is None:
            return await self._next(signal)
        self._waits += 1
        number, deadline = self._waits, until

        async def begin() -> None:
            await _insist(lambda: self._sagas._waits.begin(self._saga_id, signal, number, deadline))

        async def end() -> None:
            await _insist(lambda: self._sagas._waits.end(self._saga_id, signal, number))

        await library().DBOS.run_step_async({"name": f"wait:{signal}:{number}"}, begin)
        while True:
            message = await self._next(signal)
            if message == _over(number):
                return None
            if message == _given_up(number):
                return COMPENSATE
            if not message.startswith((_OVER, _GIVEN_UP)):  # else about an earlier wait, which a signal had ended
                await library().DBOS.run_step_async({"name": f"waited:{signal}:{number}"}, end)
                return message

    async def _next(self, signal: str) -> str:
        while True:
            message: str | None = await library().DBOS.recv_async(signal, timeout_seconds=_FOREVER)
            if message is not None:
                failpoints.hit("saga.received")
                return message

    async def now(self, step: str) -> datetime:
        async def read() -> str:
            return self._sagas._clock.now().isoformat()

        return datetime.fromisoformat(await library().DBOS.run_step_async({"name": step}, read))

    async def park(self, step: str, failure: Failure) -> None:
        async def show() -> None:
            await _insist(lambda: self._sagas._park(self._saga_id, step, failure))

        await library().DBOS.run_step_async({"name": f"park:{step}"}, show)

    async def fail(self, mistake: Exception) -> None:
        async def look() -> None:
            if not await _insist(lambda: self._sagas._waits.is_given_up(self._saga_id)):
                raise mistake  # the engine records it, and :meth:`DbosReader.take_failure_back` forgets it

        if self._sagas._ending:
            raise mistake
        await library().DBOS.run_step_async({"name": "mistake"}, look)
