"""A deployment whose processes have a host each: its file, references and proxies, with the addresses of these hosts."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from marketplace_core.cli._render.facts import Facts, Places
from marketplace_core.cli._render.processes import hosts_of_gateways, port_of
from marketplace_core.commands import Failed
from marketplace_core.deployment import Deployment, Edge
from marketplace_core.deployment._kinds import installed_kinds
from marketplace_core.deployment._references import is_reference, masked, references
from marketplace_core.deployment._toml import toml

__all__ = ["CERTIFICATES", "DATA", "host_of", "placed", "places", "root_variables", "variables"]

#: Where a proxy finds the PEM of each client.
CERTIFICATES = "/etc/marketplace/tls"
#: The folder that all hosts share: where the file names a folder beside itself, it is in there.
DATA = "/data"
_ROOTS = ("deployment.secret", "deployment.former_secret")


def placed(facts: Facts) -> str:
    """The deployment's file for these hosts. :raises Failed: something in it is for one machine only, or is a secret."""
    deployment, raw = facts.deployment, _raw(facts.deployment)
    kinds = installed_kinds().by_name
    for name, resource in deployment.resources.items():
        if masked(resource.url) != resource.url:
            raise Failed(f"resources.{name} has a password in the file", "write env:NAME in its place", 2)
        if resource.embedded:
            raise Failed(f"resources.{name} is a server that `up` starts", "name one that all hosts reach", 2)
        if (kind := kinds.get(resource.kind)) is not None and kind.path and not is_reference(resource.url):
            scheme, _, path = resource.url.rpartition(":")
            raw["resources"][name] = _at(raw["resources"][name], f"{scheme or resource.kind}:{PurePosixPath(DATA, path)}")
    for name in deployment.simulators:
        raise Failed(f"simulators.{name} is a program of one machine", "leave it out of what is deployed", 2)
    for name, service in deployment.services.items():
        if service.internal is not None:
            port = port_of(service.internal)
            raw["services"][name]["internal"] = f"0.0.0.0:{port}"
            raw["services"][name]["address"] = service.address or f"http://{name.replace('_', '-')}:{port}"
    for name, gateway in deployment.gateways.items():
        raw["gateways"][name]["listen"] = f"0.0.0.0:{port_of(gateway.listen)}"
    return toml(raw, "Made by `marketplace render`: change the file that it is made from instead.")


def variables(deployment: Deployment) -> list[str]:
    """The environment variables that every process reads. :raises Failed: a reference names a file, which hosts have not."""
    found = set()
    for key, reference in _references(deployment):
        if key in _ROOTS:
            continue
        if reference.startswith("file:"):
            raise Failed(f"{key} names a file of one machine", "write env:NAME in its place", 2)
        found.add(reference.removeprefix("env:"))
    return sorted(found)


def root_variables(deployment: Deployment) -> list[str]:
    """Those of the root secrets, which only migrations read. :raises Failed: there is none, or it is in a file."""
    found = [reference for key, reference in _references(deployment) if key in _ROOTS]
    if not found or not all(reference.startswith("env:") for reference in found):
        raise Failed("deployment.secret is in no environment variable", 'write secret = "env:MARKETPLACE_SECRET"', 2)
    return [reference.removeprefix("env:") for reference in found]


def places(facts: Facts) -> Places:
    """Where the proxies are: ``edge-front``, and ``edge-NAME`` of each client."""
    hosts = hosts_of_gateways(facts.deployment)
    return Places(
        front=lambda deployment: f"0.0.0.0:{port_of(deployment.front.listen)}",
        client=lambda edge: f"0.0.0.0:{port_of(edge.listen)}",
        client_at=lambda edge: f"{host_of(edge)}:{port_of(edge.listen)}",
        gateway_at=lambda gateway: f"{hosts[gateway.name]}:{port_of(gateway.listen)}",
        certificate=lambda edge: None if edge.tls is None else f"{CERTIFICATES}/{edge.name}.pem",
    )


def host_of(edge: Edge) -> str:
    """Of the proxy of one client."""
    return f"edge-{edge.name.replace('_', '-')}"


def _at(resource: str | dict[str, Any], url: str) -> str | dict[str, Any]:
    return {**resource, "url": url} if isinstance(resource, dict) else url


def _raw(deployment: Deployment) -> dict[str, Any]:
    return tomllib.loads(deployment.file.read_text(encoding="utf-8"))


def _references(deployment: Deployment) -> Iterator[tuple[str, str]]:
    for table, value in _raw(deployment).items():
        if table != "edge":  # no process of ours reads certificates
            yield from references(value, table)
