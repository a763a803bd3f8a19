"""The commands that plugins add: which plugins do, what their commands are called, and where they stand among core's.

A distribution says by an entry point of the group ``marketplace.commands`` that its plugin adds commands: to list them all,
only those plugins are imported, and none to run a command of core's own.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import metadata
from typing import Any

import typer

from marketplace_core._plugins.specs import PluginProblem, implementations
from marketplace_core.commands import Failed

__all__ = ["GROUP", "add_plugin_commands", "command_names", "command_problems"]

GROUP = "marketplace.commands"
Command = Any  # click's or Typer's own: which of the two it is depends on Typer's version


def command_names(apps: Iterable[typer.Typer]) -> list[str]:
    """``import olist`` and the like, of every command that is no group."""
    return [name for app in apps for name, _ in _leaves(typer.main.get_group(app))]


def _leaves(group: Command, before: str = "") -> Iterator[tuple[str, Command]]:
    for name, command in group.commands.items():
        full = f"{before}{name}"
        if _is_group(command):
            yield from _leaves(command, f"{full} ")
        else:
            yield full, command


def _is_group(command: Command) -> bool:
    return hasattr(command, "commands")


@cache
def core_names() -> frozenset[str]:
    """Of core's own commands, all of which are imported for it."""
    from marketplace_core.cli._run import COMMANDS  # noqa: PLC0415 - it comes here for those of plugins

    modules = (importlib.import_module(f"marketplace_core.cli.{name}") for name in dict.fromkeys(COMMANDS.values()))
    return frozenset(command_names(module.app for module in modules))


def command_problems(name: str, commands: Sequence[str]) -> Iterator[PluginProblem]:
    """Commands of a plugin that nobody would find, or that stand where core has its own."""
    if not commands:
        return
    installed = {entry.name for entry in metadata.entry_points(group="marketplace.plugins")}
    if name in installed and name not in _entries():
        remedy = f"add the entry point {name!r} to the group {GROUP!r} of its distribution"
        yield PluginProblem(name, f"it has the command {commands[0]!r}, and its distribution does not say so", remedy)
    for command in commands:
        if owner := next((own for own in core_names() if _collide(own, command)), None):
            yield PluginProblem(name, f"the command {command!r} is core's own {owner!r}", "give it another name")


def _collide(one: str, other: str) -> bool:
    """The same, or one is a group in which the other stands."""
    return one == other or one.startswith(f"{other} ") or other.startswith(f"{one} ")


# ── for the command line ─────────────────────────────────────────────────────────────────────────────────────


def _entries() -> Mapping[str, metadata.EntryPoint]:
    return {entry.name: entry for entry in metadata.entry_points(group=GROUP)}


def add_plugin_commands(core: Command, tell: Callable[[str], None]) -> None:
    """Put the commands of every installed plugin among those of ``core``, groups of one name together.

    A name that two have is refused when it is called, and belongs to core where core has it. ``tell`` is given a line for
    each plugin whose commands are not to be had.
    """
    owners: dict[str, str] = {}
    for name, entry in sorted(_entries().items()):
        try:
            made = implementations(entry.load())["commands"][0]()
            groups = [typer.main.get_group(app) for app in made]
        except (Exception, SystemExit) as error:
            said = " ".join(f"{type(error).__name__}: {error}".split())
            tell(f"the commands of the plugin {name!r} cannot be loaded ({said}); install it anew, or tell its author")
            continue
        for group in groups:
            _merge(core, group, f"the plugin {name!r}", owners, tell)


def _merge(
    into: Command, group: Command, owner: str, owners: dict[str, str], tell: Callable[[str], None], before: str = ""
) -> None:
    for name, command in group.commands.items():
        full, there = f"{before}{name}", into.commands.get(name)
        if there is None:
            into.commands[name] = command
            owners |= {full: owner} | {f"{full} {below}": owner for below in _below(command)}
        elif _is_group(there) and _is_group(command):
            _merge(there, command, owner, owners, tell, f"{full} ")
        elif full in owners:
            into.commands[name] = _refused(full, owners[full], owner)
        else:
            tell(_twice(full, "marketplace itself", owner))


def _below(command: Command) -> Iterator[str]:
    if _is_group(command):
        for name, each in command.commands.items():
            yield name
            yield from (f"{name} {below}" for below in _below(each))


def _twice(name: str, one: str, other: str) -> str:
    return f"the command {name!r} is added by {other} and is there by {one}; uninstall one of them, or tell its author"


def _refused(name: str, one: str, other: str) -> Command:
    app = typer.Typer()

    @app.command(
        help=f"Added twice: by {one} and by {other}.",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def refuse() -> None:
        raise Failed(f"the command {name!r} is added by {one} and by {other}", "uninstall one of them, or tell its author", 2)

    return typer.main.get_command(app)
