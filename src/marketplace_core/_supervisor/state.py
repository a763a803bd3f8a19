"""``DATA/run/state.json``: what runs on a data folder and where. The supervisor writes it, all others only read."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from marketplace_core.adapters.native.folder import DataFolder
from marketplace_core.deployment._model import Deployment

__all__ = ["Kind", "ProcessState", "RunState", "as_running", "running", "targets_of", "write", "write_targets"]

Kind = Literal["supervisor", "api", "worker", "server", "simulator", "edge"]


class ProcessState(Struct, frozen=True):
    """``pid`` is None while it is down; ``restarts`` counts since the supervisor began.

    ``metrics`` is the ``host:port`` at which this process alone answers ``/metrics``; a restart changes it.
    """

    name: str
    kind: Kind
    pid: int | None
    restarts: int
    metrics: str | None = None


class RunState(Struct, frozen=True, kw_only=True):
    """One run of a supervisor. What its options changed of the deployment (``listen``, ``clock``) its children read here.

    :param supervisor: its process id. :param file: the deployment's file, absolute.
    :param listen: ``host:port`` by gateway, and by ``services.<name>`` where a service listens elsewhere than the file says.
    :param audiences: the prefix that clients use, by audience.
    :param simulators: URL by name. :param ready: whether every audience has answered.
    """

    supervisor: int
    file: str
    clock: Literal["system", "movable"]
    listen: dict[str, str]
    audiences: dict[str, str]
    simulators: dict[str, str]
    processes: list[ProcessState]
    ready: bool = False


def _path(data: Path) -> Path:
    return data / "run" / "state.json"


def write(data: Path, state: RunState) -> None:
    """In one step: a reader sees the former state or this one."""
    path = _path(data)
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name("state.json.new")
    fresh.write_bytes(msgspec.json.encode(state))
    fresh.replace(path)


def _targets(data: Path) -> Path:
    return data / "run" / "prometheus.json"


def write_targets(data: Path, processes: Sequence[ProcessState]) -> None:
    """``DATA/run/prometheus.json``: every process, as Prometheus discovers targets from a file."""
    path = _targets(data)
    fresh = path.with_name("prometheus.json.new")
    fresh.write_bytes(msgspec.json.format(msgspec.json.encode(targets_of(processes))))
    fresh.replace(path)


def targets_of(processes: Sequence[ProcessState]) -> list[dict[str, Any]]:
    return [
        {"targets": [process.metrics], "labels": {"process": process.name, "kind": process.kind}}
        for process in processes
        if process.metrics is not None
    ]


def remove(data: Path) -> None:
    _path(data).unlink(missing_ok=True)
    _targets(data).unlink(missing_ok=True)


def running(data: Path) -> RunState | None:
    """What a living supervisor says of the data folder; None where there is none."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        state = msgspec.json.decode(_path(data).read_bytes(), type=RunState)
        # Whoever is below the supervisor reads this while the supervisor holds the lock; a stale file is of another pid.
        if DataFolder(data).holder == state.supervisor:
            return state
    return None


def as_running(deployment: Deployment, data: Path) -> Deployment:
    """The deployment as its supervisor runs it: with the clock and the addresses that ``up`` was told."""
    state = running(data)
    if state is None or state.file != str(deployment.file):
        return deployment
    return overridden(deployment, clock=state.clock, listen=state.listen)


def overridden(deployment: Deployment, *, clock: Literal["system", "movable"], listen: dict[str, str]) -> Deployment:
    gateways = {
        name: msgspec.structs.replace(gateway, listen=listen.get(name, gateway.listen))
        for name, gateway in deployment.gateways.items()
    }
    services = {
        name: msgspec.structs.replace(service, internal=listen.get(f"services.{name}", service.internal))
        for name, service in deployment.services.items()
    }
    return msgspec.structs.replace(deployment, clock=clock, gateways=gateways, services=services)
