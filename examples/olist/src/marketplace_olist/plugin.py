"""The plugin's hooks: it adds a command, and nothing that runs."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from marketplace_core.hookspecs import PluginInfo, hookimpl
from marketplace_olist import commands as importing


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="olist", version="0.1.0")


@hookimpl
def commands() -> Sequence[typer.Typer]:
    return (importing.app,)
