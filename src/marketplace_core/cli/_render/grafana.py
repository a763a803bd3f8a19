"""Grafana: a dashboard of the whole marketplace and one of each service, of the panels that ``deploy/grafana/*.toml.j2`` list.

A service has the panels of what its plugins do: who has no saga has no panel of sagas.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

from marketplace_core.cli._render.facts import Facts
from marketplace_core.cli._render.templates import fill
from marketplace_core.deployment import Deployment
from marketplace_core.deployment._model import Service

__all__ = ["render"]

_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
#: Of a grid of 24: three panels beside each other.
_WIDTH, _HEIGHT = 8, 8
_LEGEND = {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}


def render(facts: Facts) -> dict[str, str]:
    deployment = facts.deployment
    overview = _rows("overview", name=deployment.name)
    texts = {"dashboards/overview.json": _dashboard(deployment, "overview", deployment.name, overview)}
    for service in deployment.services.values():
        title = f"{deployment.name}: {service.name}"
        texts[f"dashboards/{service.name}.json"] = _dashboard(deployment, service.name, title, _of_service(facts, service))
    values = {"name": deployment.name, "uid": _uid(deployment, "prometheus")}
    return {
        **texts,
        "provisioning/datasources/marketplace.yaml": fill("grafana/datasource.yaml.j2", **values),
        "provisioning/dashboards/marketplace.yaml": fill("grafana/provider.yaml.j2", **values),
    }


def _of_service(facts: Facts, service: Service) -> list[dict[str, Any]]:
    plugins, databases = facts.deployment.plugins_of(service.name), _databases(facts.deployment, service)
    declared = [facts.declared[name] for name in plugins]
    has = {
        "routes": any(one.routes for one in declared),
        "ports": service.internal is not None,
        "handlers": any(one.subscriptions for one in declared),
        "jobs": any(one.jobs for one in declared),
        "schedules": any(one.schedules for one in declared),
        "sagas": any(one.sagas for one in declared),
        "databases": bool(databases),
    }
    values = {"name": facts.deployment.name, "service": service.name, "plugins": plugins, "databases": databases}
    return [row for row in _rows("service", **values) if has.get(row.get("has", ""), True)]


def _databases(deployment: Deployment, service: Service) -> list[str]:
    """The resources on which its plugins keep rows of their own, and from which events are sent."""
    found = {name for plugin in deployment.plugins_of(service.name) for name in deployment.plugins[plugin].on.values()}
    return sorted(name for name in found if deployment.resources[name].kind in ("postgres", "mongo"))


def _rows(template: str, **values: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = tomllib.loads(fill(f"grafana/{template}.toml.j2", **values))["rows"]
    return rows


def _uid(deployment: Deployment, what: str) -> str:
    """Grafana takes forty characters."""
    return f"{deployment.name}-{what}"[:40]


def _dashboard(deployment: Deployment, what: str, title: str, rows: list[dict[str, Any]]) -> str:
    others = {
        "type": "dashboards",
        "title": deployment.name,
        "tags": [deployment.name],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
    }
    made = {
        "uid": _uid(deployment, what),
        "title": title,
        "tags": ["marketplace", deployment.name],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]},
        "links": [others],
        "panels": list(_panels(rows)),
    }
    return json.dumps(made, indent=2) + "\n"


def _panels(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row in rows:
        number += 1
        place = {"h": 1, "w": 3 * _WIDTH, "x": 0, "y": y}
        yield {"id": number, "type": "row", "title": row["title"], "collapsed": False, "gridPos": place, "panels": []}
        y += 1
        for index, panel in enumerate(row["panels"]):
            number += 1
            place = {"h": _HEIGHT, "w": _WIDTH, "x": _WIDTH * (index % 3), "y": y + _HEIGHT * (index // 3)}
            yield _panel(number, panel, place)
        y += _HEIGHT * ((len(row["panels"]) + 2) // 3)


def _panel(number: int, panel: dict[str, Any], place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel["title"],
        "datasource": _DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel["unit"], "min": 0}, "overrides": []},
        "options": _LEGEND,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": _DATASOURCE,
                "expr": expr,
                "legendFormat": re.sub(r"<(\w+)>", r"{{\1}}", legend),
            }
            for index, (expr, legend) in enumerate(panel["queries"])
        ],
    }
