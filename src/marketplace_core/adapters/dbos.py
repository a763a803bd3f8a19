"""The saga engine on DBOS (embedded and small deployments): one process at a time, by an advisory-lock lease.

One generic workflow runs every saga, its name and version in the input. ``executor_id`` and ``application_version`` are
set, never derived: by default a second process would re-run the first one's running step, and each edit of a
workflow's source would strand its sagas.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import msgspec
import structlog

from marketplace_core import _failpoints, calls, metrics
from marketplace_core.adapters._waits import bounded_libpq_dsn, patience, patient
from marketplace_core.adapters.postgres import Database, _longest
from marketplace_core.errors import Failure, Unavailable
from marketplace_core.sagas import (
    COMPENSATE,
    OPERATOR,
    Decision,
    Engine,
    Performer,
    Saga,
    SagaEnd,
    StepCall,
    StepResult,
    run_saga,
)
from marketplace_core.values import Clock

__all__ = ["DbosReader", "DbosSagas", "Waits", "engine_url"]

log = structlog.get_logger("marketplace.dbos")

T = TypeVar("T")

EXECUTOR = "marketplace"
VERSION = "marketplace-1"
WORKFLOW = "marketplace.saga"
SCHEMA = "dbos"
#: Messages of ours among the events on a signal's topic, each about one wait.
_OVER, _GIVEN_UP = "over:", "compensate:"
AWAY_PAUSE = 0.5
#: For how long a saga may be said to run, and not do so: its engine begins it at once.
STRAY_SECONDS = 10.0
_FOREVER = 10 * 365 * 86400.0


@functools.cache
def _dbos() -> Any:
    """The engine, imported by the process in which it runs: it is half a second and 60 MB that no other one needs."""
    import dbos  # noqa: PLC0415
    from sqlalchemy import Engine, event  # noqa: PLC0415

    event.listen(Engine, "handle_error", _know_the_lost)
    event.listen(Engine, "do_connect", _connect_in_time)
    return dbos


#: What a server answers where the saga is not to blame: it is a standby now, it was told to end a statement that took too
#: long, its disk fails. (What it has too little of the engine knows.)
_UNABLE = {"25006", "57014", "58030"}


def _know_the_lost(context: Any) -> None:
    """Say of every connection that its driver lost, or could not make, that it was lost: then the engine asks again.

    It goes by the driver's words, and does not know those for a socket whose server was killed a moment ago. Such an error it
    took for the saga's own, which ended for good. So it did with a server that cannot do it now; the next connection may lead
    to one that can.
    """
    error = context.original_exception
    code = getattr(error, "sqlstate", "")
    if code in _UNABLE or (code is None and type(error).__name__ == "OperationalError"):
        context.is_disconnect = True


def _connect_in_time(dialect: Any, _: Any, args: Any, named: Any) -> Any:
    """A connection on which the engine's threads wait no longer for an answer than anybody else. None: of another driver."""
    return _answering().connect(*args, **named) if dialect.driver == "psycopg" else None


@functools.cache
def _answering() -> Any:
    import psycopg  # noqa: PLC0415

    class Answering(psycopg.Connection[Any]):
        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            bound = _longest(patience())
            # What the server tells by itself may take for ever.
            if timeout is not None or bound is None or gen.__name__ == "notifies":
                return super().wait(gen, interval, timeout)
            try:
                return super().wait(gen, interval, bound)
            except psycopg.errors._WaitTimeout as error:
                self.pgconn.finish()  # the answer may come still: nobody asks here again
                raise psycopg.OperationalError("the connection is lost: the database does not answer") from error

    return Answering


def engine_url(dsn: str) -> str:
    """The address of a database as the engine's driver takes it; a socket's folder may be the ``host`` of the query."""
    parts = urlsplit(bounded_libpq_dsn(dsn))
    return urlunsplit(parts._replace(scheme="postgresql+psycopg"))


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
        self._running: set[str] = set()
        for each in sagas:  # counters that are there from the beginning, so that their first increase is seen
            metrics.SAGAS_STARTED.labels(each.name.split(".", 1)[0], each.name)
            for outcome in ("done", "refused", "failed"):
                metrics.SAGAS_ENDED.labels(each.name.split(".", 1)[0], each.name, outcome)

    async def launch(self) -> None:
        """Begin, on the running event loop; sagas that a dead process left are taken up again."""
        # The engine builds indexes CONCURRENTLY, which waits for every transaction of the database to end: those of this
        # process must be able to.
        with patient(None):
            await asyncio.to_thread(_dbos().DBOS.migrate, self._url, schema=SCHEMA)
        _dbos().DBOS(
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
            saga_id = _dbos().DBOS.workflow_id
            if saga_id is None:
                raise RuntimeError("a saga runs only inside of its workflow")
            self._running.add(saga_id)
            try:
                end = await run_saga(self._sagas[(name, version)], saga_id, payload, _DbosEngine(self, saga_id, trace))
            except Exception as error:  # a mistake of ours or of the engine's, which takes it for the end
                if self._ending:  # it can record nothing any more: whoever comes next goes on at the step before
                    raise
                log.error("saga.failed", saga=saga_id, name=name, version=version, exc_info=error)
                metrics.SAGAS_ENDED.labels(name.split(".", 1)[0], name, "failed").inc()
                raise
            finally:
                self._running.discard(saga_id)
            return msgspec.json.encode(end).decode()

        self._ending = False
        self._running.clear()
        # However often its worker dies: else a hundred starts of one that cannot stay up would end every saga that waits.
        self._workflow = _dbos().DBOS.workflow(name=WORKFLOW, max_recovery_attempts=None)(run)
        _dbos().DBOS.launch()

    async def start(self, declared: Saga, saga_id: str, payload: str) -> None:
        """Begin a saga; one id begins once. It belongs to the trace of the call that begins it."""
        trace = calls.current().trace
        with _dbos().SetWorkflowID(saga_id):
            await _dbos().DBOS.start_workflow_async(self._workflow, declared.name, declared.version, payload, trace)
        metrics.SAGAS_STARTED.labels(declared.name.split(".", 1)[0], declared.name).inc()

    async def signal(self, saga_id: str, signal: str, payload: str, key: str) -> bool:
        """Send ``payload`` once per ``key``. False: there is no such saga."""
        try:
            await _dbos().DBOS.send_async(saga_id, payload, signal, idempotency_key=key)
        except _dbos().error.DBOSNonExistentWorkflowError:
            return False
        _failpoints.hit("saga.signalled")
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
        await _dbos().DBOS.resume_workflow_async(saga_id)
        return True

    async def take_up(self, tables: DbosReader) -> list[str]:
        """Have those go on that run nowhere: an engine that was ending had begun them after this one had looked."""
        strays = await tables.strays(list(self._running))
        for saga_id in strays:
            await _dbos().DBOS.resume_workflow_async(saga_id)
        return strays

    async def close(self) -> None:
        self._ending = True
        await asyncio.to_thread(_dbos().DBOS.destroy, destroy_registry=True)
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
            _failpoints.hit("saga.before_record")
            return msgspec.json.encode(result).decode()

        raw = await _dbos().DBOS.run_step_async({"name": call.step}, step)
        _failpoints.hit("saga.after_record")
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

        await _dbos().DBOS.run_step_async({"name": f"wait:{signal}:{number}"}, begin)
        while True:
            message = await self._next(signal)
            if message == _over(number):
                return None
            if message == _given_up(number):
                return COMPENSATE
            if not message.startswith((_OVER, _GIVEN_UP)):  # else about an earlier wait, which a signal had ended
                await _dbos().DBOS.run_step_async({"name": f"waited:{signal}:{number}"}, end)
                return message

    async def _next(self, signal: str) -> str:
        while True:
            message: str | None = await _dbos().DBOS.recv_async(signal, timeout_seconds=_FOREVER)
            if message is not None:
                _failpoints.hit("saga.received")
                return message

    async def now(self, step: str) -> datetime:
        async def read() -> str:
            return self._sagas._clock.now().isoformat()

        return datetime.fromisoformat(await _dbos().DBOS.run_step_async({"name": step}, read))

    async def park(self, step: str, failure: Failure) -> None:
        async def show() -> None:
            await _insist(lambda: self._sagas._park(self._saga_id, step, failure))

        await _dbos().DBOS.run_step_async({"name": f"park:{step}"}, show)

    async def fail(self, mistake: Exception) -> None:
        async def look() -> None:
            if not await _insist(lambda: self._sagas._waits.is_given_up(self._saga_id)):
                raise mistake  # the engine records it, and :meth:`DbosReader.take_failure_back` forgets it

        if self._sagas._ending:
            raise mistake
        await _dbos().DBOS.run_step_async({"name": "mistake"}, look)


# ── what is read from outside of the worker ──────────────────────────────────────────────────────────────────


class EngineStep(msgspec.Struct, frozen=True):
    """A recorded step, as far as the engine knows it."""

    name: str
    status: str
    attempts: int
    error: str | None


class EngineSaga(msgspec.Struct, frozen=True):
    """``status``: running, done, refused, failed or cancelled."""

    status: str
    steps: list[EngineStep]


#: our name of each of the engine's
STATUS = {
    "PENDING": "running",
    "ENQUEUED": "running",
    "SUCCESS": "done",
    "ERROR": "failed",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "failed",
    "CANCELLED": "cancelled",
}
FAILED = tuple(status for status, ours in STATUS.items() if ours == "failed")

#: $1: a saga, $2: our workflow, $3: what counts as failed. Again, after it was cancelled and before it was resumed: the same.
_TAKE_FAILURE_BACK = f"""
WITH failed AS (
  UPDATE {SCHEMA}.workflow_status SET status = 'CANCELLED'
  WHERE workflow_uuid = $1 AND name = $2 AND status = ANY($3::text[] || 'CANCELLED'::text) RETURNING workflow_uuid
), forgotten AS (
  DELETE FROM {SCHEMA}.operation_outputs AS o USING failed
  WHERE o.workflow_uuid = failed.workflow_uuid AND o.error IS NOT NULL
)
SELECT count(*) FROM failed
"""  # noqa: S608 - constants only


class DbosReader:
    """Reads the engine's tables from any process, which only an operator does: over a client that is closed again."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._made = False

    async def ever_ran(self) -> bool:
        """Whether an engine has made its tables yet."""
        if not self._made:
            self._made = await self._database.value(f"SELECT to_regclass('{SCHEMA}.workflow_status') IS NOT NULL AS made")
        return self._made

    async def take_failure_back(self, saga_id: str) -> bool:
        """Make of a saga that failed one that is cancelled, whose last step was not tried. False: it has not failed.

        A step of ours ends with what is recorded, refusals too: where an error is recorded, the saga failed.
        """
        return bool(await self._database.value(_TAKE_FAILURE_BACK, saga_id, WORKFLOW, list(FAILED)))

    async def strays(self, running: Sequence[str]) -> list[str]:
        """Sagas that the engine has for running for some time, and are not among ``running``."""
        rows = await self._database.fetch(
            f"SELECT workflow_uuid AS id FROM {SCHEMA}.workflow_status WHERE name = $1 AND status = 'PENDING'"  # noqa: S608
            " AND updated_at < (extract(epoch FROM now()) - $3::float8) * 1000 AND workflow_uuid <> ALL($2::text[])"
            " ORDER BY created_at LIMIT 100",
            WORKFLOW,
            list(running),
            STRAY_SECONDS,
        )
        return [row["id"] for row in rows]

    async def look(self, saga_ids: Sequence[str], *, steps: bool = False) -> dict[str, EngineSaga]:
        """Sagas by id, with their steps if asked for. :raises Unavailable:"""
        if not saga_ids:
            return {}
        try:
            client = await asyncio.to_thread(
                _dbos().DBOSClient, system_database_url=engine_url(self._database.dsn), dbos_system_schema=SCHEMA
            )
            try:
                found = await client.list_workflows_async(workflow_ids=list(saga_ids), name=WORKFLOW)
                looked = {item.workflow_id: _ended(item) for item in found}
                return {
                    id_: EngineSaga(status, [_step(s) for s in await client.list_workflow_steps_async(id_)] if steps else [])
                    for id_, status in looked.items()
                }
            finally:
                await asyncio.to_thread(client.destroy)
        except Exception as error:
            raise Unavailable("The saga engine's tables do not answer.") from error


def _ended(item: Any) -> str:
    if item.status == "SUCCESS" and item.output:
        return msgspec.json.decode(item.output, type=SagaEnd).status
    return STATUS.get(item.status, str(item.status).lower())


def _step(item: Any) -> EngineStep:
    attempts, error = 1, str(item["error"]) if item.get("error") else None
    status = "failed" if error else "done"
    output = item.get("output")
    if isinstance(output, str) and output.startswith("{"):
        with contextlib.suppress(msgspec.DecodeError, msgspec.ValidationError):
            result = msgspec.json.decode(output, type=StepResult)
            attempts = result.attempts
            if result.refusal is not None:
                status, error = "refused", result.refusal.code
    return EngineStep(item["function_name"], status, attempts, error)
