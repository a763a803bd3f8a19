"""``render FILE aws``: Terraform plans it from nothing, servers and all; ``tests/distributed/test_cloud.py`` applies it."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from marketplace_core.cli._render import aws, nginx
from marketplace_core.cli._render.facts import Facts, gather
from tests.core.cli.cloud import Terraform, needs_terraform

EXAMPLE = Path(__file__).parents[3] / "examples" / "distributed.toml"
SUBNETS = ["subnet-1", "subnet-2", "subnet-3"]
VARIABLES: dict[str, Any] = {
    "vpc_id": "vpc-1",
    "public_subnets": SUBNETS,
    "private_subnets": SUBNETS,
    "front_addresses": ["10.0.0.9"],
    "internal_certificate_arn": "arn:aws:acm:eu-central-1:123456789012:certificate/0b2ef5a5-0e16-4a35-9c0e-1a1a1a1a1a1a",
}


@pytest.fixture(scope="module")
def facts() -> Facts:
    return gather(EXAMPLE)


@pytest.fixture(scope="module")
def made(facts: Facts) -> dict[str, str]:
    return aws.render(facts)


@needs_terraform
def test_terraform_plans_all_of_it_from_nothing(made: dict[str, str], tmp_path: Path) -> None:
    everything = {**VARIABLES, "managed": ["postgres", "redis", "kafka", "search"], "kafka_secrets": []}
    found = {one["address"]: one["change"]["after"] for one in Terraform(tmp_path, made, everything).planned()}
    kinds = Counter(address.partition(".")[0] for address in found)
    assert (kinds["aws_lb"], kinds["aws_lb_listener"], kinds["aws_lb_target_group"], kinds["aws_route53_zone"]) == (2, 3, 2, 2)
    assert (kinds["aws_db_instance"], kinds["aws_elasticache_replication_group"], kinds["aws_msk_cluster"]) == (10, 5, 1)
    assert found['aws_lb_listener_rule.hosts["1"]']["condition"][0]["host_header"][0]["values"] == [
        "api.shop.example",
        "m.shop.example",
        "www.shop.example",
    ]
    assert found["aws_lb_target_group.front"]["protocol"] == "HTTPS" and found["aws_lb_target_group.front"]["port"] == 8443
    assert found["aws_lb.internal"]["internal"] and found["aws_lb_target_group.operators"]["port"] == 8444
    assert found['aws_vpc_security_group_ingress_rule.internal["10.0.0.0/8"]']["from_port"] == 443
    [forgotten] = found['aws_elasticache_parameter_group.redis["cache"]']["parameter"]
    assert forgotten == {"name": "maxmemory-policy", "value": "allkeys-lru"}


@needs_terraform
def test_it_is_written_as_terraform_writes_it(made: dict[str, str], tmp_path: Path) -> None:
    assert Terraform(tmp_path, made, {}).run("fmt", "-check", "-diff", *made, good=(0, 3)) == ""


def test_headers_of_pages_pass_the_balancer_and_answers_are_the_proxies(facts: Facts, made: dict[str, str]) -> None:
    """It drops names of other characters, and a header that it set would stand in the place of a proxy's."""
    allowed = re.search(r'Access-Control-Allow-Headers "(.+)";', nginx.render(facts)["front/nginx.conf"])
    assert allowed is not None and all(re.fullmatch(r"[A-Za-z0-9-]+", name) for name in allowed[1].split(", "))
    assert "access_control" not in made["balancer.tf"] and "preserve_host_header       = true" in made["balancer.tf"]


def test_without_internal_hosts_nothing_is_asked_for_them(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text(EXAMPLE.read_text().partition("[edge.operators]")[0])
    found = aws.render(gather(file))
    assert "internal.tf" not in found and "internal" not in found["variables.tf"]


def test_no_secret_is_in_it_and_it_is_the_same_each_time(facts: Facts, made: dict[str, str]) -> None:
    assert aws.render(facts) == made
    assert not any(re.search(r"^\s*(password|secret_key|auth_token)\s*=", text, re.M) for text in made.values())
