"""``DATA/run/state.json``: what runs on a data folder and where. The supervisor writes it, all others only read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from marketplace_core.adapters.native.folder import DataFolder
from marketplace_core.adapters.postgres.native import EmbeddedPostgres
from marketplace_core.adapters.redis.native import EmbeddedRedis
from marketplace_core.deployment._model import Deployment

__all__ = ["Kind", "ProcessState", "RunState", "as_running", "embedded_url", "running", "targets_of", "write", "write_targets"]

Kind = Literal["supervisor", "api", "worker", "server", "simulator"]


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
    :param listen: ``host:port`` by gateway. :param audiences: the prefix that clients use, by audience.
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
    return msgspec.structs.replace(deployment, clock=clock, gateways=gateways)


def embedded_url(deployment: Deployment, data: Path, resource: str) -> str:
    """The address of any resource: of an embedded one that in the data folder, of others theirs, references resolved.

    ``postgres://…`` (for psqlpy and libpq), ``redis://…`` or ``unix://…`` (for redis-py), ``file:///…`` (a folder).

    :raises KeyError: there is no such resource. :raises marketplace_core.deployment.MissingReference: see ``check``.
    """
    found = deployment.resources[resource]
    if found.embedded and found.kind == "postgres":
        return EmbeddedPostgres(data).dsn(database_of(deployment, resource))
    if found.embedded and found.kind == "redis":
        return EmbeddedRedis(data, role_of(deployment, resource)).url
    if found.kind == "folder":
        return f"file://{os.fspath(folder_of(deployment, data, resource))}"
    return deployment.resolve(found.url) if not found.url.startswith("file:///") else found.url


def database_of(deployment: Deployment, resource: str) -> str:
    """The database of an embedded:postgres: several resources share one server."""
    return str(deployment.resources[resource].settings.get("database", resource))


def role_of(deployment: Deployment, resource: str) -> Literal["lasting", "cache"]:
    """Which embedded Redis serves a resource: one for each role."""
    return "lasting" if deployment.resources[resource].lasting else "cache"


def folder_of(deployment: Deployment, data: Path, resource: str) -> Path:
    """The folder of a resource of that kind; it need not exist yet."""
    found = deployment.resources[resource]
    if found.embedded:
        return data.resolve() / "folders" / resource
    address = found.url if found.url.startswith("file:///") else deployment.resolve(found.url)
    return deployment.file.parent / address.removeprefix("folder:").removeprefix("file://")
