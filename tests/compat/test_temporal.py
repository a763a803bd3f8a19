"""Histories of real checkouts on Temporal: today's sagas and workflow replay them.

They are made by ``MARKETPLACE_HISTORIES=tests/compat/temporal pytest tests/scenarios/test_temporal.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer
from temporalio.workflow import NondeterminismError

from marketplace_core.adapters.temporal.engine import Places, sandbox
from marketplace_core.adapters.temporal.histories import state_of
from marketplace_core.adapters.temporal.values import CONVERTER
from marketplace_core.adapters.temporal.workflow import SagaWorkflow
from marketplace_core.sagas import Saga
from tests.compat.changed_checkout import changed
from tests.compat.runs import sagas

FILES = sorted((Path(__file__).parent / "temporal").glob("*.json"))
ENDS = {
    "checkout_declined": "refused",
    "checkout_done": "done",
    "checkout_given_up_after_the_pivot": "refused",
}


def _read(file: Path) -> WorkflowHistory:
    return WorkflowHistory.from_json(file.stem, file.read_text())


def _replayer(declared: Sequence[Saga]) -> Replayer:
    return Replayer(
        workflows=[SagaWorkflow],
        workflow_runner=sandbox(declared),
        interceptors=[Places(declared)],
        data_converter=CONVERTER,
    )


@pytest.mark.behaviour("orchestrator-2")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_a_history_is_replayed(file: Path) -> None:
    history = _read(file)
    await _replayer(list(sagas().values())).replay_workflow(history)
    assert state_of(history.events).status == ENDS[file.stem]


async def test_a_changed_saga_does_not_fit() -> None:
    """So that the test above says something."""
    history = _read(FILES[0])
    with pytest.raises(NondeterminismError):
        await _replayer([changed]).replay_workflow(history)
