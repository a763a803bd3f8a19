"""What a history says of its saga, without a worker that would replay it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from temporalio.api.enums.v1 import EventType, WorkflowTaskFailedCause
from temporalio.api.history.v1 import HistoryEvent

from marketplace_core.adapters.temporal.values import REOPEN, Begun, read
from marketplace_core.adapters.temporal.workflow import calls_of, record_of
from marketplace_core.ports.engine import SagaState, SagaStatus, StepRecord
from marketplace_core.sagas import SagaEnd, StepResult

__all__ = ["state_of"]

_E = EventType
_ENDS: dict[Any, SagaStatus] = {
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "failed",
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: "failed",
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "cancelled",
    _E.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: "cancelled",
}
_UNLIKE = WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR


def state_of(events: Iterable[HistoryEvent]) -> SagaState:
    """``failed`` is, too, one whose code is not the one that wrote its history: it goes on with that one's."""
    status: SagaStatus = "running"
    steps: dict[str, StepRecord] = {}
    names: dict[int, str] = {}
    for event in events:
        kind = event.event_type
        if kind == _E.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
            begun: Begun = read(event.workflow_execution_started_event_attributes.input.payloads[0], Begun)
            steps |= {each.name: record_of(msgspec.json.decode(each.answer, type=StepResult)) for each in calls_of(begun)}
            status = "running" if begun.mistake is None else "failed"
        elif kind == _E.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED:
            if event.workflow_execution_signaled_event_attributes.signal_name == REOPEN:
                status = "running"
        elif kind == _E.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            names[event.event_id] = event.activity_task_scheduled_event_attributes.activity_id
        elif kind == _E.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            done = event.activity_task_completed_event_attributes
            steps[names[done.scheduled_event_id]] = record_of(read(done.result.payloads[0], StepResult))
        elif kind == _E.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            status = "failed" if event.workflow_task_failed_event_attributes.cause == _UNLIKE else status
        elif kind == _E.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED:
            end: SagaEnd = read(event.workflow_execution_completed_event_attributes.result.payloads[0], SagaEnd)
            status = "refused" if end.status == "refused" else "done"
        else:
            status = _ENDS.get(kind, status)
    return SagaState(status, steps)
