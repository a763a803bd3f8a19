"""The one workflow that runs every saga, under the saga's name as its type.

Nothing here counts, logs, or reads a clock: all of it is run again whenever Temporal replays a history. What does is a *local
activity* (the journal, the time), which is recorded with the decision that follows; a call of a port is an activity.

A saga that met a mistake does not fail by Temporal: such a workflow takes no signals, and its history would not fit the saga
that a release has mended. It goes on as a new run of the same id, with all that it asked and was sent before, and waits there
for a person. Reopened, the saga is run again over what it had asked, up to the mistake.
"""

from __future__ import annotations

import importlib
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, NoReturn, TypeVar

import msgspec
from msgspec import Raw
from temporalio import workflow
from temporalio.common import RawValue, RetryPolicy

from marketplace_core.adapters.temporal.values import MISTAKE, REOPEN, Asked, Begun, Message, Told, read
from marketplace_core.errors import Failure
from marketplace_core.ports.engine import SagaRun, SagaStatus, StepRecord
from marketplace_core.sagas import COMPENSATE, Engine, Retry, Saga, SagaEnd, StepCall, StepResult, run_saga

__all__ = ["PLACE", "SERVED", "SagaWorkflow", "calls_of", "queue_of", "record_of"]

T = TypeVar("T")

#: The function by which a workflow asks its worker where a saga is declared: by name and version, its module and its name.
PLACE = "marketplace_place"
#: The function that says whether the service of a capability performs its own steps. A history does not depend on it: where an
#: activity is done is no part of what is compared when it is replayed.
SERVED = "marketplace_served"
#: Within which who performs a step says that it still does, and how long a step may take that says nothing of it.
HEARTBEAT = timedelta(seconds=10)
_LONG = timedelta(days=1)
#: Beyond the time that a step has, which its performer keeps.
_SLACK = timedelta(seconds=10)
_JOURNAL = RetryPolicy(initial_interval=timedelta(milliseconds=500), backoff_coefficient=1.0)
_JOURNAL_TIME = timedelta(seconds=30)


class _GivenUp(Exception):
    """Here the saga met its mistake, before it was given up."""


@workflow.defn(dynamic=True)
class SagaWorkflow:
    @workflow.init
    def __init__(self, args: Sequence[RawValue]) -> None:
        self._begun: Begun = read(args[0].payload, Begun)
        about = workflow.info()
        self._run = WorkflowRun(
            SagaRun(about.workflow_id, about.workflow_type, self._begun.version, self._begun.key), self._begun
        )

    @workflow.signal(dynamic=True)
    def hear(self, name: str, args: Sequence[RawValue]) -> None:
        self._run.hear(name, read(args[0].payload, Message))

    @workflow.run
    async def run(self, args: Sequence[RawValue]) -> SagaEnd:
        run, begun = self._run, self._begun
        try:
            if begun.mistake is not None:
                await run.wait_for_reopening(begun.mistake)
            workflow.set_current_details("")
            end = await run_saga(_declared(run.saga), run.saga.id, bytes(begun.event).decode(), run)
        except Exception as mistake:
            run.go_on_as_new(StepRecord("failed", error=f"{type(mistake).__name__}: {mistake}"))
        await run.tell("done" if end.status == "done" else "refused")
        return end


def _declared(saga: SagaRun) -> Saga:
    """Loaded inside of the sandbox, which refuses what differs when it is replayed."""
    module, name = workflow.extern_functions()[PLACE](saga.name, saga.version)
    found: Saga = getattr(importlib.import_module(module), name)
    return found


class WorkflowRun(Engine):
    def __init__(self, saga: SagaRun, begun: Begun) -> None:
        self.saga = saga
        self.trace = begun.trace
        self._begun = begun
        self._again = deque(begun.asked)
        self._asked: list[Asked] = []
        self._heard = dict.fromkeys(begun.keys)
        self._unheard = {signal: deque(messages) for signal, messages in begun.unheard.items()}
        self._untold: dict[str, StepRecord] = {}
        self._waits = 0
        self._given_up = False

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────

    def hear(self, signal: str, message: Message) -> None:
        if message.key not in self._heard:
            self._heard[message.key] = None
            self._unheard.setdefault(signal, deque()).append(message)

    async def _next(self, signal: str) -> Message:
        await workflow.wait_condition(lambda: bool(self._unheard.get(signal)))
        return self._unheard[signal].popleft()

    # ── asking ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, name: str, kind: Any, ask: Callable[[], Awaitable[Any]]) -> Any:
        """As an earlier run was answered, else as it is now."""
        if not self._again:
            answer = await ask()
            self._asked.append(Asked(name, Raw(msgspec.json.encode(answer))))
            return answer
        asked = self._again[0]
        if asked.name == MISTAKE:
            raise _GivenUp(name)
        if asked.name != name:
            raise LookupError(f"{self.saga.id} asks for {name} where {asked.name} is recorded")
        self._asked.append(self._again.popleft())
        return msgspec.json.decode(asked.answer, type=kind)

    async def perform(self, call: StepCall) -> StepResult:
        async def perform() -> StepResult:
            await self.tell()
            result = await _perform(call)
            self._untold[call.step] = record_of(result)
            return result

        answer: StepResult = await self._ask(call.step, StepResult, perform)
        return answer

    async def now(self, step: str) -> datetime:
        answer: datetime = await self._ask(f"now:{step}", datetime, lambda: _local("marketplace.now", datetime))
        return answer

    async def receive(self, signal: str, until: datetime | None) -> str | None:
        if until is not None:
            self._waits += 1
        number = self._waits

        async def receive() -> str | None:
            if until is None:
                return _text(await self._next(signal))
            return await self._receive(signal, number, until)

        answer: str | None = await self._ask(f"receive:{signal}", str | None, receive)
        return answer

    async def _receive(self, signal: str, number: int, until: datetime) -> str | None:
        await _local("marketplace.begin_wait", None, self._told(), signal, number, until)
        workflow.set_current_details(f"waits for {signal} until {until.isoformat()}")
        while True:
            message = await self._next(signal)
            if message.ends is None:
                await _local("marketplace.end_wait", None, self.saga.id, signal, number)
                workflow.set_current_details("")
                return _text(message)
            if message.number == number:  # else of an earlier wait, which a signal had ended
                workflow.set_current_details("")
                return None if message.ends == "over" else COMPENSATE

    async def park(self, step: str, failure: Failure) -> None:
        async def park() -> None:
            await _local("marketplace.park", None, self._told(), step, failure)

        await self._ask(f"park:{step}", None, park)
        workflow.set_current_details(f"waits for a person: {step} was refused by {failure.code}")

    async def tell(self, status: SagaStatus = "running") -> None:
        """What has ended since the last time."""
        if self._untold or status != "running":
            await _local("marketplace.record", None, self._told(status))

    def _told(self, status: SagaStatus = "running") -> Told:
        told, self._untold = Told(self.saga, status, self._untold), {}
        return told

    # ── mistakes ─────────────────────────────────────────────────────────────────────────────────────────────

    async def fail(self, mistake: Exception) -> None:
        if self._again and self._again[0].name == MISTAKE:
            self._asked.append(self._again.popleft())
        elif self._given_up:  # in a run of its own: one that a release has mended meanwhile would not fit into this one's
            self._asked.append(Asked(MISTAKE))
            self.go_on_as_new(None)
        else:
            raise mistake

    def go_on_as_new(self, mistake: StepRecord | None) -> NoReturn:
        asked = [*self._asked, *self._again]
        unheard = {signal: list(messages) for signal, messages in self._unheard.items() if messages and signal != REOPEN}
        begun = msgspec.structs.replace(self._begun, asked=asked, unheard=unheard, keys=list(self._heard), mistake=mistake)
        workflow.continue_as_new(begun)

    async def wait_for_reopening(self, mistake: StepRecord) -> None:
        steps = {asked.name: record_of(msgspec.json.decode(asked.answer, type=StepResult)) for asked in calls_of(self._begun)}
        self._untold = {**steps, "mistake": mistake}
        await self.tell("failed")
        workflow.set_current_details(f"failed, and waits for a person: {mistake.error}")
        await self._next(REOPEN)
        self._given_up = await _local("marketplace.is_given_up", bool, self.saga.id)


def calls_of(begun: Begun) -> list[Asked]:
    """What an earlier run asked of ports."""
    return [asked for asked in begun.asked if asked.name[0].isdigit()]


def record_of(result: StepResult) -> StepRecord:
    refusal = result.refusal
    return StepRecord("done", result.attempts) if refusal is None else StepRecord("refused", result.attempts, refusal.code)


def _text(message: Message) -> str:
    """An event as JSON; a decision as its word."""
    text = bytes(message.payload).decode()
    return str(msgspec.json.decode(text)) if text.startswith('"') else text


def queue_of(capability: str) -> str:
    """Polled by the workers of the service that provides it."""
    return f"marketplace.{capability}"


async def _perform(call: StepCall) -> StepResult:
    served: bool = workflow.extern_functions()[SERVED](call.capability)
    result: StepResult = await workflow.execute_activity(
        f"{call.capability}.{call.method}",
        call,
        activity_id=call.step,
        task_queue=queue_of(call.capability) if served else None,
        result_type=StepResult,
        start_to_close_timeout=_LONG if call.timeout is None else timedelta(seconds=call.timeout) + _SLACK,
        heartbeat_timeout=HEARTBEAT,
        retry_policy=_policy(call.retry),
    )
    return result


def _policy(retry: Retry) -> RetryPolicy:
    return RetryPolicy(
        initial_interval=timedelta(seconds=retry.first),
        backoff_coefficient=retry.factor,
        maximum_interval=timedelta(seconds=max(retry.most, retry.first)),
    )


async def _local(name: str, kind: Any, *args: Any) -> Any:
    return await workflow.execute_local_activity(
        name, args=args, result_type=kind, start_to_close_timeout=_JOURNAL_TIME, retry_policy=_JOURNAL
    )
