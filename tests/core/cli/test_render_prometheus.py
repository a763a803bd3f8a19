"""``render FILE prometheus``: promtool takes what is written, and each rule fires on what it is for, and not before."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from marketplace_core import metrics
from marketplace_core.cli._render import prometheus
from marketplace_core.cli._render.facts import gather
from marketplace_core.cli._render.processes import apart

ROOT = Path(__file__).parents[3]
PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None and not os.environ.get("CI"), reason="apt-get install prometheus")

_HTTP = 'marketplace_http_request_duration_seconds_count{audience="buyer",status="%s"}'
_SAGAS = 'marketplace_sagas_ended_total{plugin="orders",saga="orders.checkout",outcome="%s"}'

#: Of each rule: series at which it fires after 30 minutes, labels of the alert, and series at which it does not.
CASES: dict[str, tuple[dict[str, str], dict[str, str], dict[str, str]]] = {
    "MarketplaceServiceLeftAlone": (
        {'marketplace_rpc_breaker_open{service="catalog"}': "1x30"},
        {"service": "catalog"},
        {'marketplace_rpc_breaker_open{service="catalog"}': "0x28 1"},
    ),
    "MarketplaceNotMeasured": (
        {'marketplace_watched_timestamp_seconds{plugin="orders"}': "0x30"},
        {"plugin": "orders"},
        {'marketplace_watched_timestamp_seconds{plugin="orders"}': "0+60x30"},
    ),
    "MarketplaceErrors": (
        {_HTTP % 200: "0+98x30", _HTTP % 503: "0+2x30"},
        {"audience": "buyer"},
        {_HTTP % 200: "0+1000x30", _HTTP % 503: "0+2x30", _HTTP % 404: "0+500x30"},
    ),
    "MarketplaceLag": (
        {'marketplace_bus_lag{plugin="search",group="search.on_change"}': "600x30"},
        {"plugin": "search", "group": "search.on_change"},
        {'marketplace_bus_lag{plugin="search",group="search.on_change"}': "400x30"},
    ),
    "MarketplaceOutboxOld": (
        {'marketplace_outbox_oldest_seconds{database="orders"}': "0+60x30"},
        {"database": "orders"},
        {'marketplace_outbox_oldest_seconds{database="orders"}': "30x30"},
    ),
    "MarketplaceParked": (
        {'marketplace_parked_keys{plugin="reviews",state="parked"}': "1x30"},
        {"plugin": "reviews", "state": "parked"},
        {'marketplace_parked_keys{plugin="reviews",state="deferred"}': "1x30"},
    ),
    "MarketplaceJobsFailed": (
        {'marketplace_jobs_failed{plugin="orders"}': "2x30"},
        {"plugin": "orders"},
        {'marketplace_jobs_failed{plugin="orders"}': "0x30"},
    ),
    "MarketplaceSagaFailed": (
        {_SAGAS % "failed": "0x25 1x5"},
        {"plugin": "orders", "saga": "orders.checkout"},
        {_SAGAS % "refused": "0+1x30", _SAGAS % "failed": "0x30"},
    ),
    "MarketplaceModerationOld": (
        {"marketplace_moderation_oldest_seconds": "10800+600x30"},
        {},
        {"marketplace_moderation_oldest_seconds": "3600x30"},
    ),
    "MarketplaceProcessAway": (
        {'up{job="catalog",instance="a"}': "1x30", 'up{job="catalog",instance="b"}': "0x30"},
        {"job": "catalog"},
        {'up{job="catalog",instance="a"}': "1x30", 'up{job="catalog",instance="b"}': "1x30"},
    ),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prometheus")
    for path, text in prometheus.render(gather(ROOT / "examples" / "distributed.toml")).items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    return folder


def rules(made: Path) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load((made / "rules/marketplace.yml").read_text())["groups"] for rule in group["rules"]]


def test_every_process_of_the_deployment_is_scraped_and_missed(made: Path) -> None:
    deployment = gather(ROOT / "examples" / "distributed.toml").deployment
    jobs = {job["job_name"]: job for job in yaml.safe_load((made / "prometheus.yml").read_text())["scrape_configs"]}
    assert list(jobs) == [process.name for process in apart(deployment)]
    assert {"catalog", "catalog-worker", "reviews-review", "reviews-rating", "gateway-buyer", "search"} <= set(jobs)
    assert all(job["dns_sd_configs"][0]["names"] == [name] for name, job in jobs.items())
    missed = [rule["labels"]["job"] for rule in rules(made) if rule["alert"] == "MarketplaceProcessAway"]
    assert missed == list(jobs)


def test_each_rule_is_of_metrics_that_exist_and_says_what_to_do(made: Path) -> None:
    page = (ROOT / "docs" / "how_to" / "alerts.md").read_text()
    anchors = {re.sub(r"[^a-z0-9]+", "-", title.lower()) for title in re.findall(r"^## (.+)$", page, re.M)}
    declared = (ROOT / "docs" / "reference" / "metrics.md").read_text() + Path(metrics.__file__).read_text()
    for rule in rules(made):
        for name in re.findall(r"marketplace_\w+", rule["expr"]):
            known = name.removesuffix("_count").removesuffix("_total")
            assert known in declared or known == "marketplace_moderation_oldest_seconds", name
        path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert path == "docs/how_to/alerts.md" and anchor in anchors
        assert f"`{rule['alert']}`" in page
    assert {rule["alert"] for rule in rules(made)} == set(CASES)


@needs_promtool
def test_promtool_takes_the_configuration(made: Path) -> None:
    promtool("check", "config", made / "prometheus.yml")
    promtool("check", "rules", made / "rules/marketplace.yml")


@needs_promtool
def test_each_rule_fires_on_what_it_is_for_and_on_nothing_less(made: Path) -> None:
    by_alert = {rule["alert"]: rule for rule in rules(made) if rule["labels"].get("job", "catalog") == "catalog"}
    others = [
        {"series": f'up{{job="{rule["labels"]["job"]}",instance="{number}"}}', "values": "1x30"}
        for rule in rules(made)
        if rule["labels"].get("job", "catalog") != "catalog"
        for number in range(int(rule["expr"].rpartition("<")[2]))
    ]
    tests = []
    for name, which in (("fires", 0), ("is silent", 2)):
        series = [{"series": s, "values": v} for case in CASES.values() for s, v in case[which].items()]
        expected = [_expected(by_alert[alert], labels, fires=which == 0) for alert, (_, labels, _) in CASES.items()]
        tests.append({"name": name, "interval": "1m", "input_series": series + others, "alert_rule_test": expected})
    file = made / "test.yml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules/marketplace.yml"], "evaluation_interval": "1m", "tests": tests}))
    promtool("test", "rules", file)


#: What ``$value`` is in the cases that fire, as the rule shows it.
SHOWN = {
    "MarketplaceNotMeasured": "30m 0s",
    "MarketplaceErrors": "2%",
    "MarketplaceLag": "600",
    "MarketplaceOutboxOld": "30m 0s",
    "MarketplaceParked": "1",
    "MarketplaceJobsFailed": "2",
    "MarketplaceModerationOld": "8h 0m 0s",
    "MarketplaceProcessAway": "1",
}


def _expected(rule: dict[str, Any], labels: dict[str, str], *, fires: bool) -> dict[str, Any]:
    alert = {
        "exp_labels": {"severity": rule["labels"]["severity"], **labels},
        "exp_annotations": annotations(rule, labels),
    }
    return {"eval_time": "30m", "alertname": rule["alert"], "exp_alerts": [alert] if fires else []}


def annotations(rule: dict[str, Any], labels: dict[str, str]) -> dict[str, str]:
    text = re.sub(r"\{\{ \$value.*?\}\}", SHOWN.get(rule["alert"], ""), rule["annotations"]["summary"])
    text = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: labels[found[1]], text)
    return {**rule["annotations"], "summary": text}


def promtool(*arguments: str | Path) -> None:
    assert PROMTOOL is not None, ".ci/run installs Prometheus"
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
