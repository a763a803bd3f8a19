"""``render FILE grafana``: dashboards that Grafana takes, of metrics that exist."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from marketplace_core import metrics
from marketplace_core.cli._render import grafana
from marketplace_core.cli._render.facts import Facts, gather

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return gather(ROOT / "examples" / "distributed.toml")


@pytest.fixture(scope="module")
def dashboards(facts: Facts) -> dict[str, dict[str, Any]]:
    made = grafana.render(facts)
    assert grafana.render(facts) == made
    return {Path(path).stem: json.loads(text) for path, text in made.items() if path.endswith(".json")}


def titles(dashboard: dict[str, Any], kind: str) -> list[str]:
    return [panel["title"] for panel in dashboard["panels"] if panel["type"] == kind]


def test_there_is_one_of_all_and_one_of_each_service(facts: Facts, dashboards: dict[str, dict[str, Any]]) -> None:
    assert list(dashboards) == ["overview", *facts.deployment.services]
    assert len(titles(dashboards["overview"], "timeseries")) > 25
    assert "Sagas" in titles(dashboards["orders"], "row") and "Sagas" not in titles(dashboards["cart"], "row")
    assert titles(dashboards["cart"], "row") == ["Requests of clients", "Calls by other processes", "Processes"]


def test_each_is_one_that_grafana_takes(dashboards: dict[str, dict[str, Any]]) -> None:
    assert len({one["uid"] for one in dashboards.values()}) == len(dashboards)
    for one in dashboards.values():
        assert len(one["uid"]) <= 40 and one["schemaVersion"] == 39
        panels = one["panels"]
        assert len({panel["id"] for panel in panels}) == len(panels)
        assert {panel["gridPos"]["x"] + panel["gridPos"]["w"] for panel in panels} <= {8, 16, 24}
        places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
        assert len(set(places)) == len(places) and places == sorted(places, key=lambda place: (place[1], place[0]))
        assert all("{{" in target["legendFormat"] or "<" not in target["legendFormat"] for target in targets(one))


def targets(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [target for panel in dashboard["panels"] for target in panel.get("targets", ())]


def test_each_query_is_of_metrics_that_exist(dashboards: dict[str, dict[str, Any]]) -> None:
    declared = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    names = {
        name
        for one in dashboards.values()
        for target in targets(one)
        for name in re.findall(r"marketplace_\w+", target["expr"])
    }
    assert len(names) > 20
    for name in names:
        known = re.sub(r"_(bucket|count)$", "", name)
        assert f"`{known}`" in declared or f"`{known}{{" in declared, name
    assert "marketplace_build_info" in Path(metrics.__file__).read_text()


def test_it_is_provisioned_where_the_dashboards_are(facts: Facts) -> None:
    made = grafana.render(facts)
    [source] = yaml.safe_load(made["provisioning/datasources/marketplace.yaml"])["datasources"]
    assert source["type"] == "prometheus" and source["url"] == "$PROMETHEUS_URL"
    [provider] = yaml.safe_load(made["provisioning/dashboards/marketplace.yaml"])["providers"]
    assert provider["type"] == "file"
