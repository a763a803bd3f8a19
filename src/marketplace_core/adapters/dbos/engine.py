"""The saga engine on DBOS (embedded and small deployments): one process at a time, by an advisory-lock lease.

One generic workflow runs every saga, its name and version in the input. ``executor_id`` and ``application_version`` are
set, never derived: by default a second process would re-run the first one's running step, and each edit of a
workflow's source would strand its sagas.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import msgspec
import structlog

from marketplace_core import calls, metrics
from marketplace_core._runtime import failpoints
from marketplace_core.adapters._waits import unhurried
from marketplace_core.adapters.dbos.connections import SCHEMA, WORKFLOW, end_listening, engine_url, library
from marketplace_core.adapters.dbos.encoding import serializer
from marketplace_core.adapters.dbos.rows import EngineRows
from marketplace_core.adapters.dbos.runs import Run, given_up, over
from marketplace_core.adapters.dbos.segments import SegmentedRun
from marketplace_core.adapters.dbos.stepped import SteppedRun
from marketplace_core.adapters.dbos.threads import look_for_work
from marketplace_core.adapters.postgres.server import Database
from marketplace_core.ports.engine import Journal, SagaEngine, SagaRun, SagaState, StepRecord
from marketplace_core.sagas import OPERATOR, Decision, Performer, Saga, run_saga
from marketplace_core.values import Clock

__all__ = ["DbosSagas"]

log = structlog.get_logger("marketplace.dbos")

EXECUTOR = "marketplace"
VERSION = "marketplace-1"
#: How a saga is recorded: ``SEGMENTS`` since the release after 0.1.0, which wrote nothing here.
STEPS, SEGMENTS = 1, 2
#: How long a saga that failed may take until the engine has it so.
FAILING_SECONDS = 5.0

_OUTCOMES = ("done", "refused", "failed")
#: Whether a saga begins here, and not again: nothing of it is recorded yet.
_begins: ContextVar[bool] = ContextVar("begins", default=False)


class DbosSagas(SagaEngine):
    """Runs sagas on DBOS in this process. There is one in a process, and one running in a deployment."""

    def __init__(self, database: Database, sagas: Sequence[Saga], performer: Performer, clock: Clock, journal: Journal) -> None:
        """``database``: where the engine keeps its tables, in a schema of their own."""
        self._url = engine_url(database.dsn)
        self._rows = EngineRows(database)
        self._sagas: Mapping[tuple[str, int], Saga] = {(s.name, s.version): s for s in sagas}
        self.performer = performer
        self.clock = clock
        self.journal = journal
        self.ending = False
        self._workflow: Any = None
        #: By saga how often: one that was taken up while it ran ends when it finds that.
        self._running: Counter[str] = Counter()
        #: Sagas whose failure the journal knows of, and the engine perhaps not yet.
        self._failing: set[str] = set()
        for each in sagas:  # counters that are there from the beginning, so that their first increase is seen
            metrics.SAGAS_STARTED.labels(_plugin(each.name), each.name)
            for outcome in _OUTCOMES:
                metrics.SAGAS_ENDED.labels(_plugin(each.name), each.name, outcome)

    async def launch(self) -> None:
        # The engine builds indexes CONCURRENTLY, which waits for every transaction of the database to end: those of this
        # process must be able to.
        with unhurried(None):
            await asyncio.to_thread(library().DBOS.migrate, self._url, schema=SCHEMA)
        library().DBOS(
            config={
                "name": "marketplace",
                "system_database_url": self._url,
                "dbos_system_schema": SCHEMA,
                "run_migrations": False,
                "application_version": VERSION,
                "executor_id": EXECUTOR,
                "serializer": serializer(),
                "sys_db_pool_size": 8,
                "db_engine_kwargs": {"hide_parameters": True},  # they are logged with an error, and hold what people bought
                "log_level": "WARNING",
                "console_log_level": "WARNING",
                "notification_listener_polling_interval_sec": 0.2,
            }
        )

        async def run(name: str, version: int, payload: str, trace: str = "", layout: int = STEPS) -> str:
            saga_id = library().DBOS.workflow_id
            if saga_id is None:
                raise RuntimeError("a saga runs only inside of its workflow")
            self._running[saga_id] += 1
            try:
                return await self._run(saga_id, name, version, payload, trace, layout)
            finally:
                self._running[saga_id] -= 1
                if self._running[saga_id] <= 0:  # a sum of counters would go over all that run
                    del self._running[saga_id]

        self.ending = False
        self._running.clear()
        # However often its worker dies: else a hundred starts of one that cannot stay up would end every saga that waits.
        self._workflow = library().DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)(run)
        library().DBOS.launch()

    async def _run(self, saga_id: str, name: str, version: int, payload: str, trace: str, layout: int) -> str:
        declared = self._sagas.get((name, version))
        key: str = saga_id if declared is None else msgspec.json.decode(payload, type=declared.start).key
        run = await self._begin(SagaRun(saga_id, name, version, key), trace, layout)
        try:
            if declared is None:
                raise LookupError(f"no plugin declares {name} in version {version}")
            end = await run_saga(declared, saga_id, payload, run)
        except Exception as error:  # a mistake of ours or of the engine's, which takes it for the end
            if not self.ending:  # else it can record nothing any more: whoever comes next goes on at the step before
                self._failing.add(saga_id)
                await run.tell("failed", mistake=StepRecord("failed", error=f"{type(error).__name__}: {error}"))
                log.error("saga.failed", saga=saga_id, name=name, version=version, exc_info=error)
                metrics.SAGAS_ENDED.labels(_plugin(name), name, "failed").inc()
            raise
        await run.tell("done" if end.status == "done" else "refused")
        metrics.SAGAS_ENDED.labels(_plugin(name), name, end.status).inc()
        return msgspec.json.encode(end).decode()

    async def _begin(self, saga: SagaRun, trace: str, layout: int) -> Run:
        if layout == STEPS:
            return SteppedRun(self, saga, trace)
        return SegmentedRun(self, saga, trace, [] if _begins.get() else await self._rows.segments(saga.id))

    async def start(self, declared: Saga, saga_id: str, payload: str) -> bool:
        trace = calls.current().trace
        begins = _begins.set(True)
        try:
            with library().SetWorkflowID(saga_id):
                handle = await library().DBOS.start_workflow_async(
                    self._workflow, declared.name, declared.version, payload, trace, SEGMENTS
                )
        finally:
            _begins.reset(begins)
        metrics.SAGAS_STARTED.labels(_plugin(declared.name), declared.name).inc()
        return isinstance(handle, library()._core.WorkflowHandleAsyncTask)  # else it only asks for what runs elsewhere

    async def signal(self, saga_id: str, signal: str, payload: str, key: str) -> bool:
        try:
            await library().DBOS.send_async(saga_id, payload, signal, idempotency_key=key)
        except library().error.DBOSNonExistentWorkflowError:
            return False
        failpoints.hit("saga.signalled")
        return True

    async def time_out(self, saga_id: str, signal: str, number: int) -> None:
        await self.signal(saga_id, signal, over(number), f"{saga_id}/{signal}/{number}/over")

    async def give_up(self, saga_id: str, signal: str, number: int) -> None:
        await self.signal(saga_id, signal, given_up(number), f"{saga_id}/{signal}/{number}/compensate")

    async def decide(self, saga_id: str, step: str, decision: Decision) -> None:
        await self.signal(saga_id, OPERATOR, decision, f"{saga_id}/{step}/decision")

    async def reopen(self, saga_id: str) -> bool:
        """The library resumes under the same id what was cancelled, and what failed only as a copy of another id."""
        until = asyncio.get_running_loop().time() + FAILING_SECONDS
        while not await self._rows.take_failure_back(saga_id):
            if saga_id not in self._failing or asyncio.get_running_loop().time() > until:
                return False
            await asyncio.sleep(0.02)
        self._failing.discard(saga_id)
        await self._resume(saga_id)
        return True

    async def take_up(self) -> list[str]:
        """An engine that was ending had begun them after this one had looked."""
        strays = await self._rows.strays(list(self._running))
        for saga_id in strays:
            await self._resume(saga_id)
        return strays

    async def _resume(self, saga_id: str) -> None:
        await library().DBOS.resume_workflow_async(saga_id)
        look_for_work()

    async def look(self, saga_ids: Sequence[str]) -> dict[str, SagaState]:
        return await self._rows.look(saga_ids)

    async def close(self) -> None:
        self.ending = True
        await asyncio.to_thread(_destroy)
        # It made its own threads the loop's, and has ended them: whoever uses the loop's afterwards gets new ones.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor())


def _destroy() -> None:
    rows = library()._dbos._get_dbos_instance()._sys_db
    rows._run_background_processes = False  # so that the thread that listens takes the end of its connection for its own
    rows._retry_connection_errors = False  # else a thread that meets the end tries again for ever, and the process waits for it
    end_listening()
    library().DBOS.destroy(destroy_registry=True)


def _plugin(saga: str) -> str:
    return saga.split(".", 1)[0]
