"""Reading a deployment without running it: check, plugins, graph, secrets."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from marketplace_core.commands import Data, Failed, File, Json, print_json
from marketplace_core.deployment._problems import DeploymentErrors, DeploymentProblem

app = typer.Typer()

MaybeFile = Annotated[Path | None, typer.Argument(metavar="[FILE]", help="A deployment's file.", show_default=False)]


@app.command()
def check(
    file: MaybeFile = None,
    plugin: Annotated[
        str | None, typer.Option("--plugin", metavar="NAME", help="This one alone, without a deployment.")
    ] = None,
    no_secrets: Annotated[bool, typer.Option("--no-secrets", help="Do not look up what env: and file: name.")] = False,
    json: Json = False,
    alone: Annotated[bool, typer.Option("--alone", hidden=True, help="Tell which services are one process.")] = False,
) -> int:
    """Print every problem of a deployment's file, or of one plugin, one a line. No server is touched."""
    services: list[str] = []
    if plugin is not None and file is None:
        from marketplace_core._plugins.alone import check_plugin  # noqa: PLC0415

        found = check_plugin(plugin)
    elif file is not None and plugin is None:
        found, services = _problems(file, secrets=not no_secrets)
    else:
        raise Failed("check takes either FILE or --plugin NAME", "say which of them it is to check", 2)
    if json:
        problems = [{"key": p.key, "cause": p.cause, "remedy": p.remedy} for p in found]
        print_json({"problems": problems, **({"alone": services} if alone else {})})
    else:
        for problem in found:
            print(problem)
        if not found:
            print(f"{plugin or file}: no problem", file=sys.stderr)
    return 2 if found else 0


def _problems(file: Path, *, secrets: bool) -> tuple[tuple[DeploymentProblem, ...], list[str]]:
    """What is wrong with a file; and, if nothing is, its services whose workers and HTTP side must be one process."""
    from marketplace_core.deployment import load_all  # noqa: PLC0415

    try:
        deployment = load_all(file, secrets=secrets, rehearsed=True).deployment
    except DeploymentErrors as errors:
        return errors.problems, []
    return (), [service.name for service in deployment.services.values() if service.alone]


@app.command()
def plugins(
    file: MaybeFile = None,
    json: Json = False,
) -> int:
    """Show the plugins that are installed, or those of a deployment, and what each declares."""
    from marketplace_core._plugins.catalogue import deployed, installed  # noqa: PLC0415

    items = deployed(file) if file is not None else installed()
    if json:
        print_json({"items": items})
    else:
        for item in items:
            _show(item)
    return 0


def _show(item: dict[str, Any]) -> None:
    provides = f", provides {item['provides']}" if item["provides"] else ""
    print(f"{item['name']} {item['version']}{provides}")
    for field, value in item.items():
        if field in ("name", "version", "provides") or not value:
            continue
        lines = [f"{k}: {', '.join(v)}" for k, v in value.items()] if isinstance(value, dict) else value
        print(f"  {field}: {lines}" if isinstance(lines, str) else "\n".join([f"  {field}:", *(f"    {x}" for x in lines)]))


class GraphFormat(StrEnum):
    mermaid = "mermaid"


@app.command()
def graph(
    file: File,
    format: Annotated[GraphFormat, typer.Option("--format", help="How it is written.")] = GraphFormat.mermaid,
) -> int:
    """Draw who calls and feeds whom, in which service, on which store."""
    from marketplace_core._plugins.graph import mermaid  # noqa: PLC0415
    from marketplace_core.deployment import load_all  # noqa: PLC0415

    print(mermaid(load_all(file, secrets=False)), end="")
    return 0


@app.command("secrets")
def write_secrets(
    file: File,
    process: Annotated[str, typer.Argument(metavar="SERVICE", help="A service, or a gateway with a process of its own.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", metavar="PATH", help="Into this file, for its owner only.")] = None,
    data: Data = Path(".data"),
) -> int:
    """Write the keys that one process needs, so that it starts without the root secret: MARKETPLACE_KEYS names the file."""
    from marketplace_core._runtime.assembly import Assembly  # noqa: PLC0415
    from marketplace_core._supervisor.secrets import root_keys  # noqa: PLC0415
    from marketplace_core.deployment import load  # noqa: PLC0415

    deployment = load(file)
    known = [*deployment.services, *(name for name, gateway in deployment.gateways.items() if gateway.service is None)]
    if process not in known:
        raise Failed(f"the deployment has no service {process!r}", f"use one of {', '.join(known)}", 2)
    text = Assembly.of(deployment).grant(root_keys(deployment, data), process)
    if out is None:
        print(text)
        return 0
    with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        os.fchmod(opened.fileno(), 0o600)
        print(text, file=opened)
    return 0


@app.command()
def openapi(
    file: File,
    audience: Annotated[str, typer.Argument(metavar="AUDIENCE", help="buyer, seller, logistics or admin.")],
) -> int:
    """The OpenAPI document of an audience, without starting anything."""
    from marketplace_core._plugins.openapi import describe  # noqa: PLC0415
    from marketplace_core.values import AUDIENCES  # noqa: PLC0415

    if audience not in AUDIENCES:
        raise Failed(f"there is no audience {audience!r}", f"use {', '.join(AUDIENCES)}", 2)
    print_json(describe(file, next(known for known in AUDIENCES if known == audience)))
    return 0
