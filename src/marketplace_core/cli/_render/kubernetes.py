"""Kubernetes: manifests of every process and proxy, for ``kubectl apply -k``; secrets are named and never in them."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from marketplace_core.cli._render.facts import Facts
from marketplace_core.cli._render.nginx import configurations
from marketplace_core.cli._render.placed import CERTIFICATES, DATA, host_of, placed, places, root_variables, variables
from marketplace_core.cli._render.processes import WATCHED, apart, port_of
from marketplace_core.cli._render.templates import fill
from marketplace_core.deployment import Edge

__all__ = ["render"]


def render(facts: Facts) -> dict[str, str]:
    """:raises Failed: no client has a public host, or the file is for one machine only."""
    deployment = facts.deployment
    proxies = configurations(facts, places(facts))
    values = {
        "name": deployment.name,
        "version": metadata.version("marketplace-core"),
        "processes": apart(deployment),
        "gateway_ports": [port_of(gateway.listen) for gateway in deployment.gateways.values()],
        "variables": variables(deployment),
        "roots": root_variables(deployment),
        "watched": WATCHED,
        "data": DATA,
        "certificates": CERTIFICATES,
        "edges": [_front(facts), *(_edge(edge) for edge in (*facts.public, *facts.internal))],
    }
    files = ("kustomization.yaml", "base.yaml", "processes.yaml", "edge.yaml")
    return {
        **{file: fill(f"kubernetes/{file}.j2", **values) for file in files},
        "marketplace.toml": placed(facts),
        **{f"nginx/{path}": text for path, text in proxies.items()},
    }


def _front(facts: Facts) -> dict[str, Any]:
    tls = [edge.name for edge in facts.public if edge.tls is not None]
    port = port_of(facts.deployment.front.listen)
    return {
        "host": "edge-front",
        "folder": "front",
        "component": "front",
        "port": port,
        "tls": tls,
        "allow": (),
        "internal": False,
    }


def _edge(edge: Edge) -> dict[str, Any]:
    """A public client's proxy is reached by the front one, which has the certificates."""
    return {
        "host": host_of(edge),
        "folder": edge.name,
        "component": "edge",
        "port": port_of(edge.listen),
        "tls": [edge.name] if edge.internal and edge.tls is not None else [],
        "allow": edge.allow,
        "internal": edge.internal,
    }
