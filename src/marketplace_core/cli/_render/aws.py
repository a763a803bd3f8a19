"""AWS as Terraform: the balancers before the proxies, who reaches whom, names, buckets, and servers by variable."""

from __future__ import annotations

from typing import Any

from marketplace_core.cli._render.facts import Facts
from marketplace_core.cli._render.processes import port_of
from marketplace_core.cli._render.templates import fill
from marketplace_core.cli._render.zones import AWS_LABEL, zones
from marketplace_core.deployment import Edge

__all__ = ["render"]


def render(facts: Facts) -> dict[str, str]:
    """:raises Failed: no client has a public host, or the file does not say in which zone they are."""
    deployment, found = facts.deployment, zones(facts)
    internal = [_internal(edge) for edge in facts.internal]
    values: dict[str, Any] = {
        "name": deployment.name,
        "zone": found.zone,
        "aws_zone": found.aws_zone,
        "aws_label": AWS_LABEL,
        "hosts": [host.name for host in found.hosts],
        "front_port": port_of(deployment.front.listen),
        "front_protocol": _protocol(facts.public[0]),
        "internal": internal,
        "networks": sorted({network for edge in facts.internal for network in edge.allow}),
        "buckets": _of_kind(facts, "s3"),
        "postgres": _of_kind(facts, "postgres"),
        "redis": {name: _role(facts, name) for name in _of_kind(facts, "redis")},
        "kafka": _of_kind(facts, "kafka"),
        "search": _of_kind(facts, "elasticsearch"),
    }
    files = ["versions", "variables", "network", "balancer", "names", "storage", "managed", *(["internal"] if internal else [])]
    return {f"{file}.tf": fill(f"aws/{file}.tf.j2", **values) for file in files}


def _internal(edge: Edge) -> dict[str, Any]:
    return {
        "name": edge.name.replace("_", "-"),
        "variable": edge.name.replace("-", "_"),
        "host": edge.host,
        "port": port_of(edge.listen),
        "protocol": _protocol(edge),
    }


def _protocol(edge: Edge) -> str:
    """What a proxy of it speaks, behind the balancer."""
    return "HTTP" if edge.tls is None else "HTTPS"


def _of_kind(facts: Facts, kind: str) -> list[str]:
    return [name for name, resource in facts.deployment.resources.items() if resource.kind == kind and not resource.embedded]


def _role(facts: Facts, name: str) -> str:
    """As its table says it, for its address, which a variable has, was not asked."""
    return str(facts.deployment.resources[name].settings.get("role", "lasting"))
