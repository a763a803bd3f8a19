"""Which processes a deployment has on one machine, each as a specification."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from msgspec import Struct

from marketplace_core._supervisor.keeper import ProcessSpec
from marketplace_core._supervisor.ports import answers, free_port, stays_in_use
from marketplace_core._supervisor.secrets import simulator_secret
from marketplace_core.deployment._model import Deployment, Gateway, split_address

__all__ = ["Plan", "audiences_of", "command", "listeners", "plan", "simulator_addresses"]

_WEBHOOKS = {
    "payments": ("buyer", "/webhooks/payments/simulator"),
    "carriers": ("logistics", "/webhooks/carriers/simulator"),
}


#: Each process answers /metrics at an address of its own, of any free port: it tells which. Replicas share all others.
_WATCHED = ("--listen", "127.0.0.1:0")


class Plan(Struct, frozen=True):
    """In the order of their start; the APIs, gateways included, are the first to be stopped."""

    simulators: list[ProcessSpec]
    workers: list[ProcessSpec]
    apis: list[ProcessSpec]


def plan(deployment: Deployment, data: Path, simulators: dict[str, str]) -> Plan:
    """``simulators`` are their ``host:port`` by name."""
    workers = [spec for name in deployment.services for spec in _workers(deployment, name, data)]
    apis = [spec for name in deployment.services for spec in _api(deployment, name, data)]
    for gateway in deployment.gateways.values():
        if gateway.service is None:
            apis += [_served(deployment, gateway.name, name, data) for name in _replicas(gateway.name, gateway.replicas)]
    return Plan([_simulator(deployment, name, address, data) for name, address in simulators.items()], workers, apis)


def command(verb: str, deployment: Deployment, *names: str, data: Path) -> tuple[str, ...]:
    """A command of ours on this deployment."""
    return (sys.executable, "-m", "marketplace_core.cli", verb, os.fspath(deployment.file), *names, "--data", os.fspath(data))


def _api(deployment: Deployment, service: str, data: Path) -> list[ProcessSpec]:
    """The service's HTTP side, if it has one: for gateways inside it, for other processes, or both.

    Its replicas listen on the same addresses, and the kernel parts the connections among them.
    """
    inside = any(gateway.service == service for gateway in deployment.gateways.values())
    found = deployment.services[service]
    if found.internal is None and not inside and not found.alone:
        return []
    return [_served(deployment, service, name, data) for name in _replicas(service, found.replicas)]


def _served(deployment: Deployment, served: str, name: str, data: Path) -> ProcessSpec:
    return ProcessSpec(name=name, kind="api", argv=(*command("serve", deployment, served, data=data), *_WATCHED))


def _workers(deployment: Deployment, service: str, data: Path) -> list[ProcessSpec]:
    """Each worker as often as the service is replicated; of one that is alone they are in the process of its HTTP side."""
    found: list[ProcessSpec] = []
    if deployment.services[service].alone:
        return found
    for worker in deployment.services[service].workers:
        argv = (*command("work", deployment, service, "--worker", worker, data=data), *_WATCHED)
        for name in _replicas(f"{service}.{worker}", deployment.services[service].replicas):
            found.append(ProcessSpec(name=name, kind="worker", argv=argv))
    return found


def _replicas(name: str, count: int) -> list[str]:
    return [name] if count == 1 else [f"{name}.{number}" for number in range(1, count + 1)]


def audiences_of(deployment: Deployment) -> dict[str, str]:
    """The prefix that clients use for each audience; the first gateway in the file that has it."""
    found: dict[str, str] = {}
    for gateway in deployment.gateways.values():
        for audience in gateway.audiences:
            found.setdefault(audience, f"{gateway.url}/{audience}/v1")
    return found


def listeners(deployment: Deployment) -> list[tuple[str, str]]:
    """Every address of the file that is to be free, with the key that names it."""
    found = [(f"gateways.{gateway.name}.listen", gateway.listen) for gateway in deployment.gateways.values()]
    found += [(f"services.{s.name}.internal", s.internal) for s in deployment.services.values() if s.internal]
    return found + [(f"simulators.{s.name}.listen", s.listen) for s in deployment.simulators.values() if s.listen]


# ── simulators ───────────────────────────────────────────────────────────────────────────────────────────────


async def simulator_addresses(deployment: Deployment, data: Path) -> dict[str, str]:
    """Where each simulator listens: as the file says, else where it did the last time, so that links stay good."""
    found = {}
    for simulator in deployment.simulators.values():
        if simulator.listen is not None:
            found[simulator.name] = simulator.listen
            continue
        kept = data / "simulators" / f"{simulator.name}.port"
        kept.parent.mkdir(exist_ok=True)
        last = kept.read_text().strip() if kept.exists() else ""
        wanted = int(last) if last.isdecimal() else None
        if wanted is not None:
            await stays_in_use(f"127.0.0.1:{wanted}")
        port = free_port(wanted)
        kept.write_text(f"{port}\n")
        found[simulator.name] = f"127.0.0.1:{port}"
    return found


def _simulator(deployment: Deployment, name: str, address: str, data: Path) -> ProcessSpec:
    host, port = split_address(address) or ("127.0.0.1", 0)
    folder = data / "simulators"
    argv = [sys.executable, "-m", f"marketplace_simulators.{name}", "--host", host, "--port", str(port)]
    argv += ["--database", os.fspath(folder / f"{name}.db")]
    audience, path = _WEBHOOKS[name]
    gateway: Gateway | None = next((g for g in deployment.gateways.values() if audience in g.audiences), None)
    if gateway is not None:
        argv += ["--webhook-url", f"{gateway.url}/{audience}/v1{path}"]
    return ProcessSpec(
        name=f"simulator.{name}",
        kind="simulator",
        argv=argv,
        env={"MARKETPLACE_SIMULATOR_SECRET": simulator_secret(data)},
        ready=answers(address, "/healthz"),
        grace=5.0,
    )
