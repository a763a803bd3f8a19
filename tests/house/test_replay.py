"""What an engine replays is the saga alone: nothing is counted or logged there, so that Temporal's sandbox may run it."""

from __future__ import annotations

import ast
from pathlib import Path

import msgspec
import prometheus_client
import pytest
import structlog

from marketplace_core import metrics, tracing
from marketplace_core.sagas import definition, running
from marketplace_core.testing.compat.histories import History, replay
from tests.compat.runs import sagas

HISTORIES = sorted(Path(__file__).resolve().parents[1].glob("compat/*/histories/*.json"))
#: What counts, logs, traces, or speaks to somebody.
ACTING = ("structlog", "logging", "prometheus_client", "marketplace_core.metrics", "marketplace_core.tracing")


@pytest.mark.parametrize("module", [definition, running], ids=lambda module: module.__name__)
def test_a_sagas_definition_and_running_import_nothing_that_acts(module: object) -> None:
    tree = ast.parse(Path(str(module.__file__)).read_text())  # type: ignore[attr-defined]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        for name in names:
            assert not name.startswith(ACTING), f"{module} imports {name}"


@pytest.mark.parametrize(
    "history",
    [msgspec.json.decode(path.read_bytes(), type=History) for path in HISTORIES],
    ids=[f"{path.parts[-3]}-{path.stem}" for path in HISTORIES],
)
async def test_a_replay_counts_and_logs_nothing(history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    def acts(*args: object, **named: object) -> None:
        raise AssertionError(f"it acts while it is replayed: {args[1:]} {named}")

    for kind in (prometheus_client.Counter, prometheus_client.Gauge, prometheus_client.Histogram):
        monkeypatch.setattr(kind, "labels", acts)
    monkeypatch.setattr(metrics.Outcomes, "observe", acts)
    monkeypatch.setattr(tracing, "span", acts)
    with structlog.testing.capture_logs() as logs:
        assert await replay(history, sagas()) is None
    assert logs == []
