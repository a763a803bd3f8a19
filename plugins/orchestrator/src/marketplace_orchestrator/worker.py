"""What the orchestrator does in a worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from marketplace_core.hookspecs import Task
from marketplace_core.ports import handler_after
from marketplace_core.sagas import Saga
from marketplace_orchestrator.service import OrchestratorService

__all__ = ["TASKS", "subscriptions"]

TASKS = (
    Task("orchestrator.engine", OrchestratorService.run_engine),
    Task("orchestrator.watch", OrchestratorService.watch),
)


def subscriptions(sagas: Sequence[Saga]) -> Sequence[Callable[..., Any]]:
    """One handler for every event that starts a saga of the deployment or that one waits for."""
    types = {type_.type: type_ for saga in sagas for type_ in (saga.start, *saga.signals)}
    handle = handler_after(OrchestratorService.ready, *types.values(), imports=False)
    return (handle(OrchestratorService.on_event),) if types else ()
