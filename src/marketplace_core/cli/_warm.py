"""What every process of a deployment imports: for the one that all of them are forked from."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator

import typer

from marketplace_core._plugins.registry import installed_plugins, load_plugins
from marketplace_core.cli._run import command_of

__all__ = ["warm"]

_PROGRAMS = (
    "uvloop",
    "importlib.resources.readers",
    "marketplace_core._runtime.serve",
    "marketplace_core._runtime.worker",
    "marketplace_core.cli.deployments",
    "marketplace_core.cli._demo",
)


def warm(*names: str) -> Iterator[None]:
    """Import core, these plugins, these modules (with a dot in their names), and then the saga engine if a plugin needs it.

    What cannot be imported is told by the process that needs it.
    """
    for name in _PROGRAMS:
        importlib.import_module(name)
    serve = typer.main.get_command(command_of(("serve",))).commands["serve"]  # type: ignore[attr-defined]
    serve.make_context("serve", ["FILE", "SERVICE"])  # what reads options is imported by the first that are read
    load_plugins(tuple(name for name in names if name in installed_plugins()))
    yield  # `check` needs no more
    for name in names:
        if "." in name:
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    if "orchestrator" in names:
        from marketplace_core.adapters.dbos.connections import library  # noqa: PLC0415

        library()
