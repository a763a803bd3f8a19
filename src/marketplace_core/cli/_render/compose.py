"""Docker Compose: every process and proxy a service, the migration before them, secrets by reference."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from marketplace_core.cli._render.facts import Facts
from marketplace_core.cli._render.nginx import configurations
from marketplace_core.cli._render.placed import CERTIFICATES, host_of, placed, places, root_variables, variables
from marketplace_core.cli._render.processes import WATCHED, apart, hosts_of_gateways, port_of
from marketplace_core.cli._render.templates import fill
from marketplace_core.deployment import Edge

__all__ = ["render"]


def render(facts: Facts) -> dict[str, str]:
    """:raises Failed: no client has a public host, or the file is for one machine only."""
    deployment = facts.deployment
    proxies = configurations(facts, places(facts))
    compose = fill(
        "compose/compose.yaml.j2",
        name=deployment.name,
        version=metadata.version("marketplace-core"),
        processes=apart(deployment),
        variables=variables(deployment),
        roots=root_variables(deployment),
        watched=WATCHED,
        certificates=CERTIFICATES,
        grace=60,
        front_port=port_of(deployment.front.listen),
        public=[_proxy(facts, edge) for edge in facts.public],
        internal=[_proxy(facts, edge) for edge in facts.internal],
        tls=[edge.name for edge in facts.public if edge.tls is not None],
    )
    return {
        "compose.yaml": compose,
        "marketplace.toml": placed(facts),
        **{f"nginx/{path}": text for path, text in proxies.items()},
    }


def _proxy(facts: Facts, edge: Edge) -> dict[str, Any]:
    hosts = hosts_of_gateways(facts.deployment)
    return {
        "name": edge.name,
        "host": host_of(edge),
        "port": port_of(edge.listen),
        "gateways": list(dict.fromkeys(hosts[name] for name in edge.gateways)),
        "tls": edge.tls is not None,
    }
