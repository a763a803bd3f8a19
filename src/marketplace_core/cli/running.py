"""A whole marketplace on this machine: up, ps."""

from __future__ import annotations

import asyncio
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.adapters.native.folder import FORMAT
from marketplace_core.commands import Data, Failed, Json, print_json
from marketplace_core.deployment._problems import DeploymentErrors, DeploymentProblem

if TYPE_CHECKING:
    from collections.abc import Callable

    from marketplace_core._supervisor.forks import ForkServer
    from marketplace_core._supervisor.up import Started
    from marketplace_core.deployment import Deployment

app = typer.Typer()

_DATA = Path(".data")


class ClockKind(StrEnum):
    system = "system"
    movable = "movable"


class Servers(StrEnum):
    named = "named"
    native = "native"


@app.command()
def up(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="The deployment's file; the embedded one, if none.", show_default=False),
    ] = None,
    demo: Annotated[bool, typer.Option("--demo", help="Load a catalogue and accounts to try things with, once.")] = False,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Where the only gateway listens.")] = None,
    data: Data = _DATA,
    clock: Annotated[ClockKind | None, typer.Option(help="movable: the time can be moved.")] = None,
    servers: Annotated[
        Servers,
        typer.Option(help="native: start every server of the file here, its proxies included; named: use those that it names."),
    ] = Servers.named,
    json: Json = False,
) -> int:
    """Run everything of a deployment on this machine, until Ctrl-C."""
    from marketplace_core._supervisor.natively import natively  # noqa: PLC0415
    from marketplace_core._supervisor.up import up as run  # noqa: PLC0415
    from marketplace_core.deployment import DEFAULT_FILE, outline  # noqa: PLC0415

    named = path = DEFAULT_FILE if file is None else file
    native = servers is Servers.native
    forks = _fork_server(path)
    try:
        if native:
            path = natively(outline(named), data)
        alone = _check(path, forks, told_of=named)
        deployment = _told_otherwise(outline(path), port, None if clock is None else clock.value)
        services = {name: msgspec.structs.replace(one, alone=name in alone) for name, one in deployment.services.items()}
        deployment = msgspec.structs.replace(deployment, services=services)
        started = _shower(json, demo)
        say = _sayer(json)
        return asyncio.run(run(deployment, data, demo=demo, say=say, started=started, forks=forks, proxied=native))
    except EmbeddedError as error:
        raise Failed(error.cause, error.remedy, 2 if _other_format(data) else 1) from error
    finally:
        forks.stop()


def _fork_server(path: Path) -> ForkServer:
    """It begins to import what the deployment's processes need, for which nobody has to wait yet."""
    from marketplace_core._supervisor.forks import ForkServer  # noqa: PLC0415
    from marketplace_core.deployment import outline  # noqa: PLC0415

    try:
        deployment = outline(path)
        names = [*deployment.plugins, *(f"marketplace_simulators.{name}" for name in deployment.simulators)]
    except DeploymentErrors:  # `check` tells of them
        names = []
    forks = ForkServer("marketplace_core.cli._warm:warm", *names)
    forks.start()
    return forks


def _check(path: Path, forks: ForkServer, told_of: Path) -> list[str]:
    """In a process of its own: it imports every plugin, and the supervisor would keep their memory for ever. What is wrong
    is told of the file ``told_of``.

    :returns: the services that are one process, which only their plugins can tell.
    """
    asked = forks.run(["marketplace_core.cli", "check", os.fspath(path), "--json", "--alone"])
    sys.stderr.write(asked.stderr)
    try:
        answer = msgspec.json.decode(asked.stdout.splitlines()[-1])
        if asked.returncode == 0:
            alone: list[str] = answer["alone"]
            return alone
        found: list[dict[str, str]] = answer["problems"]
    except (IndexError, KeyError, msgspec.DecodeError):
        raise Failed("the deployment cannot be checked", f"run `marketplace check {told_of}`") from None
    raise DeploymentErrors(DeploymentProblem(os.fspath(told_of), **problem) for problem in found)


def _told_otherwise(deployment: Deployment, port: int | None, clock: Any) -> Deployment:
    """The deployment with what the options say."""
    from marketplace_core._supervisor.ports import free_port  # noqa: PLC0415
    from marketplace_core._supervisor.state import overridden  # noqa: PLC0415

    if clock == "movable" and deployment.profile == "production":
        raise Failed("a production clock cannot be moved", "leave out --clock, or choose another profile in the file", 2)
    listen = {}
    if port is not None:
        if len(deployment.gateways) != 1:
            raise Failed(
                f"--port moves the one gateway, and the file has {len(deployment.gateways)}", "change listen in the file", 2
            )
        (gateway,) = deployment.gateways.values()
        listen[gateway.name] = f"{gateway.listen.rpartition(':')[0]}:{port}"
        # Somebody else may run the same file here: what only our own processes ask moves, too.
        inside = {name: service.internal for name, service in deployment.services.items() if service.internal}
        listen |= {f"services.{name}": f"{at.rpartition(':')[0]}:{free_port()}" for name, at in inside.items()}
    return overridden(deployment, clock=clock or deployment.clock, listen=listen)


def _other_format(data: Path) -> bool:
    version = data / "VERSION"
    return version.exists() and version.read_text().strip() != str(FORMAT)


def _sayer(json: bool) -> Callable[[str], None]:
    def say(text: str) -> None:
        print(f"marketplace: {text}", file=sys.stderr if json else sys.stdout, flush=True)

    return say


def _shower(json: bool, demo: bool) -> Callable[[Started], None]:
    def show(started: Started) -> None:
        if json:
            print_json(started)
            return
        from marketplace_core.cli._welcome import welcome  # noqa: PLC0415

        welcome(started, demo=demo)

    return show


@app.command()
def ps(data: Data = _DATA, json: Json = False) -> int:
    """Show what runs on a data folder, and the memory that each takes (its share, PSS)."""
    from marketplace_core._supervisor.children import memory  # noqa: PLC0415
    from marketplace_core._supervisor.state import running  # noqa: PLC0415

    state = running(data)
    items = []
    for process in state.processes if state else ():
        taken = 0 if process.pid is None else memory(process.pid, tree=process.kind != "supervisor")
        items.append({**msgspec.to_builtins(process), "memory": taken})
    if json:
        print_json({"items": items})
    elif not items:
        print(f"nothing runs on {data}")
    else:
        print(f"{'NAME':<24} {'KIND':<10} {'PID':>8} {'RESTARTS':>8} {'MEMORY':>10}  METRICS")
        for item in items:
            pid = item["pid"] or "down"
            print(
                f"{item['name']:<24} {item['kind']:<10} {pid:>8} {item['restarts']:>8} {item['memory'] / 1e6:>7.1f} MB"
                f"  {item['metrics'] or ''}".rstrip()
            )
    return 0
