"""The saga engine on Temporal: ``docs/adr/0080-sagas-on-temporal.md``.

A saga's id is its workflow's, its name the workflow's type, each call an activity named after the port's method.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec
import structlog
from msgspec import Raw
from temporalio.client import WorkflowExecutionDescription, WorkflowHandle
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import (
    Interceptor,
    Worker,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions
from temporalio.workflow import SandboxImportNotificationPolicy

from marketplace_core import calls, metrics
from marketplace_core._runtime import failpoints
from marketplace_core.adapters.temporal.activities import Activities
from marketplace_core.adapters.temporal.histories import state_of
from marketplace_core.adapters.temporal.opening import PATIENCE, TemporalServer
from marketplace_core.adapters.temporal.steps import tries_of, until_there
from marketplace_core.adapters.temporal.values import REOPEN, Begun, Message
from marketplace_core.adapters.temporal.workflow import PLACE, SERVED, SagaWorkflow
from marketplace_core.errors import Unavailable
from marketplace_core.ports.engine import Journal, SagaEngine, SagaState, StepTries
from marketplace_core.sagas import OPERATOR, Decision, Performer, Saga
from marketplace_core.values import Clock

__all__ = ["QUEUE", "Places", "TemporalSagas", "sandbox"]

log = structlog.get_logger("marketplace.temporal")

QUEUE = "marketplace.sagas"
#: After which a decision about a saga whose worker died is another worker's.
STICKY = timedelta(seconds=3)
#: How many histories are read at once.
_READ = 8
_AWAY = frozenset(
    {
        RPCStatusCode.UNAVAILABLE,
        RPCStatusCode.DEADLINE_EXCEEDED,
        RPCStatusCode.CANCELLED,
        RPCStatusCode.RESOURCE_EXHAUSTED,
        RPCStatusCode.UNKNOWN,
    }
)
_OUTCOMES = ("done", "refused", "failed")


class TemporalSagas(SagaEngine):
    """Runs sagas on a Temporal namespace; this process decides about them and performs their steps."""

    def __init__(
        self,
        server: TemporalServer,
        sagas: Sequence[Saga],
        performer: Performer,
        clock: Clock,
        journal: Journal,
        served: Collection[str] = (),
    ) -> None:
        """``served``: the capabilities whose services perform their steps themselves."""
        self._server = server
        self._sagas = sagas
        self._served = frozenset(served)
        self._activities = Activities(performer, clock, journal)
        self._worker: Worker | None = None
        self._working: asyncio.Task[None] | None = None
        for each in sagas:  # counters that are there from the beginning, so that their first increase is seen
            metrics.SAGAS_STARTED.labels(_plugin(each.name), each.name)
            for outcome in _OUTCOMES:
                metrics.SAGAS_ENDED.labels(_plugin(each.name), each.name, outcome)

    async def launch(self) -> None:
        """Waits for the server, which may come later."""
        await until_there(self._server)
        self._worker = Worker(
            await self._server.client(),
            task_queue=QUEUE,
            workflows=[SagaWorkflow],
            activities=self._activities.all,
            workflow_runner=sandbox(self._sagas),
            interceptors=[Places(self._sagas, self._served)],
            sticky_queue_schedule_to_start_timeout=STICKY,
        )
        self._working = asyncio.create_task(self._worker.run())

    async def close(self) -> None:
        if self._worker is not None and self._working is not None:
            await self._worker.shutdown()
            await asyncio.gather(self._working, return_exceptions=True)
        self._worker = self._working = None

    async def take_up(self) -> list[str]:
        """Temporal does so by itself, as long as the worker lives. Raises what ended it."""
        if self._working is not None and self._working.done():
            self._working.result()
            raise RuntimeError("the worker of Temporal's library has ended")
        return []

    async def start(self, declared: Saga, saga_id: str, payload: str) -> bool:
        event = msgspec.json.decode(payload, type=declared.start)
        begun = Begun(declared.version, event.key, Raw(payload.encode()), calls.current().trace)
        client = await self._server.client()
        try:
            with _asking():
                await client.start_workflow(
                    declared.name,
                    begun,
                    id=saga_id,
                    task_queue=QUEUE,
                    id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                    static_summary=f"{declared.name}, version {declared.version}",
                    rpc_timeout=PATIENCE,
                )
        except WorkflowAlreadyStartedError:
            return False
        metrics.SAGAS_STARTED.labels(_plugin(declared.name), declared.name).inc()
        return True

    async def signal(self, saga_id: str, signal: str, payload: str, key: str) -> bool:
        sent = await self._send(saga_id, signal, Message(key, Raw(payload.encode())))
        failpoints.hit("saga.signalled")
        return sent

    async def time_out(self, saga_id: str, signal: str, number: int) -> None:
        await self._send(saga_id, signal, Message(f"{saga_id}/{signal}/{number}/over", ends="over", number=number))

    async def give_up(self, saga_id: str, signal: str, number: int) -> None:
        key = f"{saga_id}/{signal}/{number}/compensate"
        await self._send(saga_id, signal, Message(key, ends="compensate", number=number))

    async def decide(self, saga_id: str, step: str, decision: Decision) -> None:
        await self._send(saga_id, OPERATOR, Message(f"{saga_id}/{step}/decision", Raw(msgspec.json.encode(decision))))

    async def reopen(self, saga_id: str) -> bool:
        handle = (await self._server.client()).get_workflow_handle(saga_id)
        with _asking():
            found = await _look(handle)
            if found is None or found[1].status != "failed":
                return False
            run = found[0]
            await self._send(saga_id, REOPEN, Message(f"{saga_id}/{run}/reopen"), run)
        return True

    async def _send(self, saga_id: str, signal: str, message: Message, run: str | None = None) -> bool:
        """False: there is no such saga. One that has ended hears nothing, and is there."""
        handle = (await self._server.client()).get_workflow_handle(saga_id, run_id=run)
        with _asking():
            try:
                await handle.signal(signal, message, rpc_timeout=PATIENCE)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return await _is_there(handle)
        return True

    async def look(self, saga_ids: Sequence[str]) -> dict[str, SagaState]:
        client, few = await self._server.client(), asyncio.Semaphore(_READ)

        async def one(saga_id: str) -> tuple[str, SagaState] | None:
            async with few:
                found = await _look(client.get_workflow_handle(saga_id))
                return None if found is None else (saga_id, found[1])

        with _asking():
            return dict(found for found in await asyncio.gather(*map(one, saga_ids)) if found is not None)

    async def tries(self, saga_id: str) -> dict[str, StepTries]:
        handle = (await self._server.client()).get_workflow_handle(saga_id)
        with _asking():
            described = await _described(handle)
        pending = described.raw_description.pending_activities if described is not None else ()
        return {each.activity_id: tries for each in pending if (tries := tries_of(each)) is not None}


async def _look(handle: WorkflowHandle[Any, Any]) -> tuple[str, SagaState] | None:
    """Its last run, and what that one says of it."""
    try:
        history = await handle.fetch_history(rpc_timeout=PATIENCE)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise
    run = history.events[0].workflow_execution_started_event_attributes.original_execution_run_id
    return run, state_of(history.events)


async def _is_there(handle: WorkflowHandle[Any, Any]) -> bool:
    return await _described(handle) is not None


async def _described(handle: WorkflowHandle[Any, Any]) -> WorkflowExecutionDescription | None:
    try:
        return await handle.describe(rpc_timeout=PATIENCE)
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return None
        raise


@contextlib.contextmanager
def _asking() -> Iterator[None]:
    """:raises Unavailable: Temporal is away, or does not answer in time."""
    try:
        yield
    except RPCError as error:
        if error.status in _AWAY:
            raise Unavailable("Temporal does not answer.") from error
        raise


class Places(Interceptor):
    """Tells workflows where the sagas are declared, and where their steps are performed."""

    def __init__(self, sagas: Sequence[Saga], served: Collection[str] = ()) -> None:
        self._served = frozenset(served)
        self._places: Mapping[tuple[str, int], tuple[str, str]] = {(each.name, each.version): _place(each) for each in sagas}

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor] | None:
        input.unsafe_extern_functions[PLACE] = self._find
        input.unsafe_extern_functions[SERVED] = self._served.__contains__
        return None

    def _find(self, name: str, version: int) -> tuple[str, str]:
        if (name, version) not in self._places:
            raise LookupError(f"no plugin declares {name} in version {version}")
        return self._places[name, version]


def _place(saga: Saga) -> tuple[str, str]:
    """:raises TypeError: it is no name of its module, where a workflow could load it from."""
    module, name = saga.run.__module__, saga.run.__qualname__
    if getattr(sys.modules.get(module), name, None) is not saga:
        raise TypeError(f"the saga {saga.name!r} must be a name of its module: {module}.{name} is not it")
    return module, name


def sandbox(sagas: Sequence[Saga]) -> SandboxedWorkflowRunner:
    """Where the modules of sagas are loaded anew for each, and may use nothing that differs when it is replayed.

    The vocabulary is the process's own: an event type is declared once.
    """
    events = {type_.__module__ for saga in sagas for type_ in (saga.start, *saga.signals)}
    restrictions = SandboxRestrictions.default.with_passthrough_modules("marketplace_core", "msgspec", *events)
    silent = SandboxImportNotificationPolicy.SILENT
    return SandboxedWorkflowRunner(restrictions=restrictions.with_import_notification_policy(silent))


def _plugin(saga: str) -> str:
    return saga.split(".", 1)[0]
