"""What is rendered for AWS and DNS, applied from nothing to what answers as AWS: moto. It waits for more than a minute, as the
provider does before it asks how a balancer or a certificate comes along; so it is not among the tests that run each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from marketplace_core.cli._render import aws as rendered
from marketplace_core.cli._render import dns
from marketplace_core.cli._render.facts import gather
from tests.core.cli.cloud import Terraform, aws, moto, needs_terraform, octodns, records
from tests.core.cli.test_render_dns import HOSTS, put, written

EXAMPLE = Path(__file__).parents[2] / "examples" / "distributed.toml"
#: What moto takes and does not give again: the network of a private zone.
NOT_RETURNED = {("aws_route53_zone", "vpc")}


def variables(endpoint: str) -> dict[str, Any]:
    """The network that is there already, and a certificate of one's own."""
    subnets = [one["SubnetId"] for one in aws("ec2", endpoint).describe_subnets()["Subnets"]]
    [vpc] = aws("ec2", endpoint).describe_vpcs()["Vpcs"]
    own = aws("acm", endpoint).request_certificate(DomainName="admin.internal.shop.example")
    return {
        "vpc_id": vpc["VpcId"],
        "public_subnets": subnets,
        "private_subnets": subnets,
        "front_addresses": ["172.31.0.9"],
        "internal_certificate_arn": own["CertificateArn"],
        "keep": False,
    }


@needs_terraform
@pytest.mark.timeout(600)
def test_from_nothing_to_the_front_proxy(tmp_path: Path) -> None:
    facts = gather(EXAMPLE)
    with moto(tmp_path) as endpoint:
        terraform = Terraform(tmp_path, rendered.render(facts), variables(endpoint), endpoint)
        terraform.run("apply", "-auto-approve", "-input=false", "-no-color")
        changed = {(one["type"], name) for one in terraform.planned() for name in _changed(one["change"])}
        assert changed <= NOT_RETURNED

        told = {name: yaml.safe_load(terraform.run("output", "-raw", name)) for name in ("cloudflare", "balancer")}
        [alias] = told["balancer"]
        put(tmp_path, made := dns.render(facts))
        config = written(tmp_path, made["config.yaml"], told["cloudflare"], alias["name"].rstrip("."), alias["hosted-zone-id"])
        octodns("sync", config, endpoint, "--doit")
        public, balanced = records(endpoint, "shop.example"), records(endpoint, "edge.shop.example")
        assert public["edge.shop.example", "NS"] == sorted(balanced["edge.shop.example", "NS"])
        elb = aws("elbv2", endpoint)
        by_name = {one["DNSName"].lower(): one["LoadBalancerArn"] for one in elb.describe_load_balancers()["LoadBalancers"]}
        for host in HOSTS:
            [name] = public[f"{host}.shop.example", "CNAME"]
            assert _targets(elb, by_name[balanced[name, "A"].lower()], f"{host}.shop.example") == [("172.31.0.9", 8443)]


def _changed(change: dict[str, Any]) -> set[str]:
    before, after = change["before"] or {}, change["after"] or {}
    return {name for name in {*before, *after} if before.get(name) != after.get(name)}


def _targets(elb: Any, balancer: str, host: str) -> list[tuple[str, int]]:
    """Where a request for a host goes that comes to a balancer by TLS."""
    [listener] = [one for one in elb.describe_listeners(LoadBalancerArn=balancer)["Listeners"] if one["Port"] == 443]
    rules = elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]
    [group] = [
        rule["Actions"][0]["TargetGroupArn"]
        for rule in rules
        if any(host in condition["HostHeaderConfig"]["Values"] for condition in rule["Conditions"])
    ]
    found = elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
    return [(one["Target"]["Id"], one["Target"]["Port"]) for one in found]
