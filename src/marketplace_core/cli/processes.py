"""One process of a deployment: serve, work, migrate. They end with their parent when ``up`` starts them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from marketplace_core.commands import Data, Failed, File, print_json
from marketplace_core.deployment import Deployment, load

app = typer.Typer()

_DATA = Path(".data")
Listen = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Where this process alone answers /healthz, /readyz and /metrics.")
]


def _deployment(file: Path, data: Path) -> Deployment:
    from marketplace_core._supervisor.state import as_running  # noqa: PLC0415

    return as_running(load(file), data)


@app.command()
def serve(
    file: File,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A service, or a gateway with a process of its own.")],
    listen: Listen = None,
    data: Data = _DATA,
) -> int:
    """Answer HTTP for one service or gateway, until SIGTERM or SIGINT."""
    deployment = _deployment(file, data)
    gateways = [gateway.name for gateway in deployment.gateways.values() if gateway.service is None]
    _known(service, [*deployment.services, *gateways])
    import uvloop  # noqa: PLC0415

    from marketplace_core._runtime import serve as process_main  # noqa: PLC0415

    uvloop.run(process_main.serve(deployment, service, data, listen))
    return 0


@app.command()
def work(
    file: File,
    service: Annotated[str, typer.Argument(metavar="SERVICE", help="A service.")],
    worker: Annotated[str, typer.Option("--worker", metavar="NAME", help="One of its workers; the first, if not said.")] = "",
    listen: Listen = None,
    data: Data = _DATA,
) -> int:
    """Run one worker of a service, until SIGTERM or SIGINT."""
    deployment = _deployment(file, data)
    _known(service, deployment.services)
    workers = deployment.services[service].workers
    if worker and worker not in workers:
        raise Failed(f"the service {service!r} has no worker {worker!r}", f"use one of {', '.join(workers)}", 2)
    if deployment.services[service].alone:
        raise Failed(f"the workers of {service!r} are in the process of its HTTP side", f"run serve {file} {service}", 2)
    import uvloop  # noqa: PLC0415

    from marketplace_core._runtime import serve as process_main  # noqa: PLC0415

    uvloop.run(process_main.work(deployment, service, worker or next(iter(workers)), data, listen))
    return 0


@app.command()
def migrate(
    file: File,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would run.")] = False,
    data: Data = _DATA,
) -> int:
    """Bring the stores of every plugin up to date, forward only. Two at once do no harm."""
    deployment = _deployment(file, data)
    import uvloop  # noqa: PLC0415

    from marketplace_core._runtime import serve as process_main  # noqa: PLC0415

    done = uvloop.run(process_main.migrate(deployment, data, dry_run))
    for database, steps in done.items():
        for step in steps:
            print(f"{database}: {step.plugin} {step.number} {step.name}")
    if not any(done.values()):
        print("there is nothing to do")
    return 0


@app.command(hidden=True)
def demo(file: File, data: Data = _DATA) -> int:
    """Load the demo's catalogue and accounts into a running deployment, once; print the accounts as JSON."""
    deployment = _deployment(file, data)
    import uvloop  # noqa: PLC0415

    from marketplace_core.cli import _demo as demo  # noqa: PLC0415

    print_json(uvloop.run(demo.load(deployment, data)))
    return 0


def _known(name: str, names: Iterable[str]) -> None:
    known = list(names)
    if name not in known:
        raise Failed(f"the deployment has no service {name!r}", f"use one of {', '.join(known)}", 2)
