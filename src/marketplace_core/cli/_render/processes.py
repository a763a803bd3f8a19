"""The processes of a deployment where each has a host of its own: a container, a pod."""

from __future__ import annotations

from msgspec import Struct

from marketplace_core.commands import Failed
from marketplace_core.deployment import Deployment
from marketplace_core.deployment._model import Gateway

__all__ = ["WATCHED", "Apart", "apart", "hosts_of_gateways", "port_of"]

#: Where each process answers /healthz, /readyz and /metrics.
WATCHED = 9464


class Apart(Struct, frozen=True):
    """``name`` is its host's. ``of`` is the service or gateway whose keys it has; ``arguments`` stand after ``marketplace``,
    with ``FILE`` for the deployment's file. ``ports`` are those that others reach."""

    name: str
    kind: str
    of: str
    arguments: tuple[str, ...]
    ports: tuple[int, ...]
    replicas: int
    plugins: tuple[str, ...] = ()
    alone: bool = False


def apart(deployment: Deployment) -> list[Apart]:
    """In the order of their start. :raises Failed: two of them would have one name."""
    found = [*_workers(deployment), *_services(deployment), *_gateways(deployment)]
    names = [process.name for process in found]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise Failed(f"two processes would have the host {twice}", "give the service, worker or gateway another name", 2)
    return found


def hosts_of_gateways(deployment: Deployment) -> dict[str, str]:
    """Of each gateway, the name of the process that it is in."""
    return {g.name: _host(g.service) if g.service else f"gateway-{_host(g.name)}" for g in deployment.gateways.values()}


def _host(name: str) -> str:
    return name.replace("_", "-")


def _workers(deployment: Deployment) -> list[Apart]:
    return [
        Apart(
            name=f"{_host(service.name)}-{_host(worker)}",
            kind="worker",
            of=service.name,
            arguments=("work", "FILE", service.name, "--worker", worker),
            ports=(),
            replicas=service.replicas,
            plugins=deployment.plugins_of(service.name),
        )
        for service in deployment.services.values()
        if not service.alone
        for worker in service.workers
    ]


def _services(deployment: Deployment) -> list[Apart]:
    found = []
    for service in deployment.services.values():
        inside = [gateway for gateway in deployment.gateways.values() if gateway.service == service.name]
        ports = [port_of(service.internal)] if service.internal is not None else []
        ports += [port_of(gateway.listen) for gateway in inside]
        if ports or service.alone:
            found.append(
                Apart(
                    name=_host(service.name),
                    kind="service",
                    of=service.name,
                    arguments=("serve", "FILE", service.name),
                    ports=tuple(ports),
                    replicas=service.replicas,
                    plugins=deployment.plugins_of(service.name),
                    alone=service.alone,
                )
            )
    return found


def _gateways(deployment: Deployment) -> list[Apart]:
    return [_gateway(gateway) for gateway in deployment.gateways.values() if gateway.service is None]


def _gateway(gateway: Gateway) -> Apart:
    return Apart(
        name=f"gateway-{_host(gateway.name)}",
        kind="gateway",
        of=gateway.name,
        arguments=("serve", "FILE", gateway.name),
        ports=(port_of(gateway.listen),),
        replicas=gateway.replicas,
    )


def port_of(address: str) -> int:
    """Of an address as a checked file has it."""
    return int(address.rpartition(":")[2])
