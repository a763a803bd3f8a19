"""Writes ``deploy/grafana/marketplace.json``: the panels are a table here, and the file is what Grafana imports."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FILE = Path(__file__).parents[1] / "deploy" / "grafana" / "marketplace.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
RATE = "[$__rate_interval]"


class Panel(NamedTuple):
    """``queries``: PromQL, each with the legend of its series."""

    title: str
    unit: str
    queries: list[tuple[str, str]]


def rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}{RATE}))"


def quantile(q: float, metric: str, by: str) -> str:
    return f"histogram_quantile({q}, sum by (le, {by}) (rate({metric}_bucket{RATE})))"


HTTP = "marketplace_http_request_duration_seconds"
CLIENT, SERVER = "marketplace_rpc_client_duration_seconds", "marketplace_rpc_server_duration_seconds"
HANDLER = "marketplace_event_handler_duration_seconds"
STEP = "marketplace_saga_step_duration_seconds"
OUTSIDE = "marketplace_external_request_duration_seconds"

ROWS: dict[str, list[Panel]] = {
    "Requests": [
        Panel("Requests by audience", "reqps", [(rate(f'{HTTP}_count{{audience!="-"}}', "audience"), "{{audience}}")]),
        Panel("Requests by status", "reqps", [(rate(f"{HTTP}_count", "status"), "{{status}}")]),
        Panel(
            "Duration",
            "s",
            [(quantile(0.5, HTTP, "audience"), "{{audience}} p50"), (quantile(0.99, HTTP, "audience"), "{{audience}} p99")],
        ),
        Panel("Slowest routes, p99", "s", [(f"topk(10, {quantile(0.99, HTTP, 'method, route')})", "{{method}} {{route}}")]),
        Panel("Encoded reads", "ops", [(rate("marketplace_reads_total", "result"), "{{result}}")]),
    ],
    "Ports across processes": [
        Panel("Calls by service", "reqps", [(rate(f"{CLIENT}_count", "service, outcome"), "{{service}} {{outcome}}")]),
        Panel(
            "Slowest calls, p99",
            "s",
            [(f"topk(10, {quantile(0.99, CLIENT, 'capability, method')})", "{{capability}}.{{method}}")],
        ),
        Panel("Answered calls", "reqps", [(rate(f"{SERVER}_count", "capability"), "{{capability}}")]),
        Panel("Tries without an answer", "ops", [(rate("marketplace_rpc_client_retries_total", "service"), "{{service}}")]),
        Panel("Breakers that opened", "ops", [(rate("marketplace_rpc_breaker_openings_total", "service"), "{{service}}")]),
    ],
    "Events": [
        Panel("Relayed", "ops", [(rate("marketplace_outbox_relayed_total", "database"), "{{database}}")]),
        Panel("Outbox backlog", "short", [("max by (database) (marketplace_outbox_backlog)", "{{database}}")]),
        Panel("Oldest row that waits", "s", [("max by (database) (marketplace_outbox_oldest_seconds)", "{{database}}")]),
        Panel("Lag of groups", "short", [("max by (group) (marketplace_bus_lag)", "{{group}}")]),
        Panel("Handlers", "ops", [(rate(f"{HANDLER}_count", "plugin, outcome"), "{{plugin}} {{outcome}}")]),
        Panel("Slowest handlers, p99", "s", [(f"topk(10, {quantile(0.99, HANDLER, 'handler')})", "{{handler}}")]),
        Panel(
            "Keys put aside", "ops", [(rate("marketplace_events_put_aside_total", "handler, reason"), "{{handler}} {{reason}}")]
        ),
        Panel("Keys parked now", "short", [("max by (plugin, state) (marketplace_parked_keys)", "{{plugin}} {{state}}")]),
    ],
    "Sagas, schedules and services outside": [
        Panel(
            "Sagas",
            "ops",
            [
                (rate("marketplace_sagas_started_total", "saga"), "{{saga}} started"),
                (rate("marketplace_sagas_ended_total", "saga, outcome"), "{{saga}} {{outcome}}"),
            ],
        ),
        Panel(
            "Sagas that have not ended",
            "short",
            [("max by (saga, status) (marketplace_orchestrator_sagas)", "{{saga}} {{status}}")],
        ),
        Panel("Steps", "ops", [(rate(f"{STEP}_count", "method, outcome"), "{{method}} {{outcome}}")]),
        Panel("Slowest steps, p99", "s", [(f"topk(10, {quantile(0.99, STEP, 'method')})", "{{method}}")]),
        Panel("Services outside", "reqps", [(rate(f"{OUTSIDE}_count", "service, outcome"), "{{service}} {{outcome}}")]),
        Panel("Services outside, p99", "s", [(quantile(0.99, OUTSIDE, "service"), "{{service}}")]),
        Panel(
            "Schedules",
            "ops",
            [(rate("marketplace_schedule_duration_seconds_count", "schedule, outcome"), "{{schedule}} {{outcome}}")],
        ),
    ],
    "Processes": [
        Panel("Processes", "short", [("count by (service, kind) (marketplace_build_info)", "{{service}} {{kind}}")]),
        Panel("Uptime", "s", [("time() - process_start_time_seconds", "{{process}}")]),
        Panel("CPU", "percentunit", [(f"rate(process_cpu_seconds_total{RATE})", "{{process}}")]),
        Panel("Memory", "bytes", [("process_resident_memory_bytes", "{{process}}")]),
        Panel(
            "Connections in use",
            "short",
            [('sum by (kind, resource) (marketplace_pool_connections{state="in_use"})', "{{kind}} {{resource}}")],
        ),
        Panel(
            "Wait for a database connection, p99",
            "s",
            [(quantile(0.99, "marketplace_database_wait_seconds", "database"), "{{database}}")],
        ),
        Panel(
            "Since workers last measured",
            "s",
            [("time() - max by (plugin) (marketplace_watched_timestamp_seconds)", "{{plugin}}")],
        ),
    ],
}


def dashboard() -> dict[str, Any]:
    return {
        "uid": "marketplace",
        "title": "Marketplace",
        "tags": ["marketplace"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "templating": {"list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]},
        "panels": list(_panels()),
    }


def _panels() -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for row, panels in ROWS.items():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row,
            "collapsed": False,
            "gridPos": {"h": 1, "w": 24, "x": 0, "y": y},
            "panels": [],
        }
        y += 1
        for index, panel in enumerate(panels):
            number += 1
            place = {"h": 8, "w": 8, "x": 8 * (index % 3), "y": y + 8 * (index // 3)}
            yield _panel(number, panel, place)
        y += 8 * ((len(panels) + 2) // 3)


def _panel(number: int, panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": DATASOURCE, "expr": expr, "legendFormat": legend}
            for index, (expr, legend) in enumerate(panel.queries)
        ],
    }


def text() -> str:
    return json.dumps(dashboard(), indent=2) + "\n"


if __name__ == "__main__":
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text())
