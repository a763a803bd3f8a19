"""``render FILE compose``: valid by the specification's schema, complete, and without a secret."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from msgspec.structs import replace

from marketplace_core.cli._render import compose
from marketplace_core.cli._render.facts import Facts, gather
from marketplace_core.cli._render.processes import apart
from marketplace_core.commands import Failed
from marketplace_core.deployment import Deployment

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "distributed.toml"


@pytest.fixture(scope="module")
def facts() -> Facts:
    return gather(EXAMPLE)


@pytest.fixture(scope="module")
def made(facts: Facts) -> dict[str, str]:
    return compose.render(facts)


@pytest.fixture(scope="module")
def services(made: dict[str, str]) -> dict[str, Any]:
    return yaml.safe_load(made["compose.yaml"])["services"]  # type: ignore[no-any-return]


def test_it_is_valid_by_the_specification_and_the_same_each_time(facts: Facts, made: dict[str, str]) -> None:
    schema = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
    checker = jsonschema.Draft7Validator(schema)
    assert [f"{error.json_path}: {error.message}" for error in checker.iter_errors(yaml.safe_load(made["compose.yaml"]))] == []
    assert list(checker.iter_errors({"services": {"web": {"imag": "nginx"}}})), "the schema refuses what it does not know"
    assert compose.render(facts) == made


def test_every_process_and_proxy_is_a_service_that_is_watched(facts: Facts, services: dict[str, Any]) -> None:
    processes = {process.name: process for process in apart(facts.deployment)}
    proxies = {"edge-front", "edge-mobile", "edge-web", "edge-public", "edge-operators"}
    assert set(services) == {"migrate", *processes, *proxies}
    for name, process in processes.items():
        one = services[name]
        assert one["command"][0] == ("work" if process.kind == "worker" else "serve")
        assert one["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
        assert "/readyz" in one["healthcheck"]["test"][-1]
        assert one.get("deploy", {}).get("replicas", 1) == process.replicas
        assert one["secrets"] == [{"source": f"keys_{process.of}", "target": "keys"}]
        assert one["read_only"] and one["cap_drop"] == ["ALL"]
    assert services["migrate"]["depends_on"] == {} and services["migrate"]["command"][0] == "migrate"
    assert {name for name, one in services.items() if "ports" in one} == {"edge-front", "edge-operators"}
    assert services["edge-operators"]["ports"] == ["127.0.0.1:8444:8444"]


def test_secrets_are_references_and_the_root_is_for_migrations_only(services: dict[str, Any]) -> None:
    for name, one in services.items():
        for variable, value in one.get("environment", {}).items():
            assert value == f"${{{variable}:?}}" or (variable, value) == ("MARKETPLACE_KEYS", "/run/secrets/keys")
        assert ("MARKETPLACE_SECRET" in one.get("environment", {})) == (name == "migrate")


def test_the_file_is_the_same_deployment_at_the_addresses_of_its_hosts(
    facts: Facts, made: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "marketplace.toml").write_text(made["marketplace.toml"])
    placed = gather(tmp_path / "marketplace.toml").deployment
    assert {service.internal for service in placed.services.values()} == {f"0.0.0.0:{port}" for port in range(8101, 8115)}
    assert placed.services["catalog"].reached_at == "http://catalog:8103"
    assert placed.gateways["buyer"].listen == "0.0.0.0:8080"
    assert _without_places(placed) == _without_places(facts.deployment)


def test_what_is_a_folder_beside_the_file_is_one_that_all_hosts_share(tmp_path: Path) -> None:
    text = EXAMPLE.read_text().replace('{ url = "env:MARKETPLACE_FILES", kind = "s3" }', '"folder:files"')
    file = tmp_path / "shop.toml"
    file.write_text(text.replace('{ url = "env:MARKETPLACE_INDEX", kind = "elasticsearch" }', '"tantivy:index"'))
    resources = tomllib.loads(compose.render(gather(file))["marketplace.toml"])["resources"]
    assert (resources["files"], resources["index"]) == ("folder:/data/files", "tantivy:/data/index")


def test_proxies_reach_services_that_are_there(made: dict[str, str], services: dict[str, Any]) -> None:
    for path, text in made.items():
        if path.startswith("nginx/"):
            reached = set(re.findall(r"^\s+server ([a-z0-9.-]+):\d+", text, re.M))
            assert reached and reached <= set(services), path
    assert "server gateway-buyer:8080" in made["nginx/web/nginx.conf"]


@pytest.mark.parametrize(
    ("written", "cause"),
    [
        ('"env:MARKETPLACE_USERS"', "resources.users has a password in the file"),
        ('"env:MARKETPLACE_CARTS"', "resources.carts.url names a file of one machine"),
        ('"env:MARKETPLACE_SECRET"', "deployment.secret is in no environment variable"),
    ],
)
def test_what_is_a_secret_or_of_one_machine_is_refused(facts: Facts, tmp_path: Path, written: str, cause: str) -> None:
    other = '"postgres://shop:hunter2@db/users"' if "USERS" in written else '"file:secret.txt"'
    file = tmp_path / "shop.toml"
    file.write_text(EXAMPLE.read_text().replace(written, other))
    with pytest.raises(Failed, match=re.escape(cause)):
        compose.render(replace(facts, deployment=gather(file).deployment))


def test_the_image_has_nothing_that_builds_it_and_no_root() -> None:
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    last = text.rpartition("\nFROM ")[2]
    assert text.count("\nFROM ") == 2 and "pip install" not in last
    assert re.search(r"^USER 10001:10001$", last, re.M) and "HEALTHCHECK" in last and "org.cyclonedx.sbom=" in last
    assert "--require-hashes" in text


def _without_places(deployment: Deployment) -> Deployment:
    return replace(
        deployment,
        file=Path(),
        resources={n: r for n, r in deployment.resources.items() if n not in ("files", "index")},
        services={n: replace(s, internal=None, address=None) for n, s in deployment.services.items()},
        gateways={n: replace(g, listen="") for n, g in deployment.gateways.items()},
    )
