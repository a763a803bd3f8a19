"""``render FILE kubernetes``: each manifest is valid by Kubernetes' own schema, and they fit each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from marketplace_core.cli._render import kubernetes
from marketplace_core.cli._render.facts import Facts, gather
from marketplace_core.cli._render.processes import apart

EXAMPLE = Path(__file__).parents[3] / "examples" / "distributed.toml"
SCHEMA = Path(__file__).parent / "schemas" / "kubernetes.json"
PROXIES = {"edge-front", "edge-mobile", "edge-web", "edge-public", "edge-operators"}

Manifests = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture(scope="module")
def facts() -> Facts:
    return gather(EXAMPLE)


@pytest.fixture(scope="module")
def made(facts: Facts) -> dict[str, str]:
    return kubernetes.render(facts)


@pytest.fixture(scope="module")
def manifests(made: dict[str, str]) -> Manifests:
    files = yaml.safe_load(made["kustomization.yaml"])["resources"]
    found = [one for file in files for one in yaml.load_all(made[file], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))]
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in found}
    assert len(by_name) == len(found), "no two have one name"
    return by_name


def pods(manifests: Manifests) -> Iterator[tuple[str, dict[str, Any]]]:
    for (kind, name), one in manifests.items():
        if kind in ("Deployment", "Job"):
            yield name, one["spec"]["template"]["spec"]


def test_each_is_valid_by_the_schema(facts: Facts, made: dict[str, str], manifests: Manifests) -> None:
    schema = json.loads(SCHEMA.read_text())
    checkers = {
        kind: jsonschema.Draft202012Validator({**own, "$defs": schema["$defs"]}) for kind, own in schema["kinds"].items()
    }
    wrong = [
        f"{name}: {error.json_path}: {error.message}"
        for name, one in manifests.items()
        for error in checkers[one["kind"]].iter_errors(one)
    ]
    assert wrong == []
    service = manifests["Service", "catalog"]
    assert list(checkers["Service"].iter_errors({**service, "spec": {**service["spec"], "prots": []}})), "it is strict"
    assert kubernetes.render(facts) == made


def test_every_process_is_deployed_watched_scaled_and_kept(facts: Facts, manifests: Manifests) -> None:
    processes = apart(facts.deployment)
    assert {name for kind, name in manifests if kind == "Deployment"} == {p.name for p in processes} | PROXIES
    for process in processes:
        deployment = manifests["Deployment", process.name]
        container = deployment["spec"]["template"]["spec"]["containers"][0]
        probes = {probe: container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
        assert list(probes.values()) == ["/healthz", "/readyz", "/healthz"]
        assert manifests["PodDisruptionBudget", process.name]["spec"]["maxUnavailable"] == 1
        scaled = manifests["HorizontalPodAutoscaler", process.name]["spec"]
        assert scaled["minReplicas"] == process.replicas and "replicas" not in deployment["spec"]
        lag = [one["external"]["metric"]["selector"]["matchLabels"]["plugin"] for one in scaled["metrics"] if "external" in one]
        assert lag == (list(process.plugins) if process.kind == "worker" else [])
        assert (("Service", process.name) in manifests) == bool(process.ports)
    assert manifests["Job", "migrate"]["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"


def test_each_is_found_by_what_selects_it(manifests: Manifests) -> None:
    labels = {
        name: one["spec"]["template"]["metadata"]["labels"] for (kind, name), one in manifests.items() if kind == "Deployment"
    }
    for (kind, name), one in manifests.items():
        if kind == "Service":
            assert one["spec"]["selector"].items() <= labels[name].items()
            container = manifests["Deployment", name]["spec"]["template"]["spec"]["containers"][0]
            assert {p["port"] for p in one["spec"]["ports"]} <= {p["containerPort"] for p in container["ports"]}
        elif kind in ("PodDisruptionBudget", "Deployment"):
            assert one["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
        elif kind == "HorizontalPodAutoscaler":
            assert one["spec"]["scaleTargetRef"]["name"] in labels


def test_who_reaches_whom_is_said(manifests: Manifests) -> None:
    def reached(name: str) -> dict[int, Any]:
        rules = manifests["NetworkPolicy", name]["spec"]["ingress"]
        return {port["port"]: rule.get("from") for rule in rules for port in rule["ports"]}

    assert manifests["NetworkPolicy", "nobody"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}
    assert reached("edge-front") == {8443: None}
    assert reached("edge-operators") == {8444: [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}
    assert reached("edge-web")[8092][0]["podSelector"]["matchLabels"] == {"app.kubernetes.io/component": "front"}
    assert reached("gateway-admin")[8083][0]["podSelector"]["matchExpressions"][0]["values"] == ["edge"]
    assert "edge" not in reached("catalog")[8103][0]["podSelector"]["matchExpressions"][0]["values"]
    assert set(reached("catalog-worker")) == {9464}


def test_secrets_are_named_and_the_root_is_for_the_migration_only(made: dict[str, str], manifests: Manifests) -> None:
    assert not {kind for kind, _ in manifests} & {"Secret"}
    for name, pod in pods(manifests):
        assert pod["securityContext"]["runAsNonRoot"] and pod["automountServiceAccountToken"] is False
        container = pod["containers"][0]
        assert container["securityContext"]["readOnlyRootFilesystem"]
        named = {one["valueFrom"]["secretKeyRef"]["name"] for one in container.get("env", ()) if "valueFrom" in one}
        assert ("marketplace-root" in named) == (name == "migrate")
        assert {one["name"] for one in container.get("env", ()) if "value" in one} <= {"MARKETPLACE_KEYS"}
    keys = manifests["Deployment", "catalog-worker"]["spec"]["template"]["spec"]["volumes"][-1]["secret"]
    assert keys == {"secretName": "marketplace-keys", "items": [{"key": "catalog.json", "path": "catalog.json"}]}


def test_the_files_that_it_names_are_written(made: dict[str, str], manifests: Manifests) -> None:
    kustomization = yaml.safe_load(made["kustomization.yaml"])
    maps = {one["name"]: one["files"][0].rpartition("=")[2] for one in kustomization["configMapGenerator"]}
    assert set(maps) == {"marketplace", *PROXIES} and set(maps.values()) <= set(made)
    used = {v["configMap"]["name"] for _, pod in pods(manifests) for v in pod["volumes"] if "configMap" in v}
    assert used == set(maps)
