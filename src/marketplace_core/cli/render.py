"""``marketplace render``: what a platform team deploys, made from the deployment's own file."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from marketplace_core.commands import File, Json, print_json

if TYPE_CHECKING:
    from marketplace_core.cli._render.facts import Facts

app = typer.Typer()


class Kind(StrEnum):
    compose = "compose"
    kubernetes = "kubernetes"
    nginx = "nginx"
    prometheus = "prometheus"
    grafana = "grafana"
    aws = "aws"
    dns = "dns"


Renderer = Callable[["Facts"], dict[str, str]]


@app.command()
def render(
    file: File,
    kind: Annotated[Kind, typer.Argument(metavar="KIND", help=", ".join(Kind))],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="The folder that it is written to.")],
    json: Json = False,
) -> int:
    """Write what deploys a marketplace, made from its file: no server is touched, and no secret is in it."""
    from marketplace_core.cli._render.facts import gather  # noqa: PLC0415

    made: Renderer = importlib.import_module(f"marketplace_core.cli._render.{kind.value}").render
    texts = made(gather(file))
    for path, text in texts.items():
        target = out / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    if json:
        print_json({"kind": kind.value, "files": [str(out / path) for path in texts]})
    else:
        for path in texts:
            print(out / path)
    return 0
