"""What operators are shown, and how they say what they want."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from marketplace_core.cli._run import COMMANDS
from marketplace_core.commands import print_table


def test_no_id_is_cut_however_narrow_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    rows = [("018f" * 9, "catalog.on_seller_changed", None), ("b", "c", "an error of\ntwo lines " * 9)]
    print_table(("id", "handler", "error"), rows)
    header, first, second = capsys.readouterr().out.splitlines()
    assert first == f"{'018f' * 9}  catalog.on_seller_changed"
    assert header.split() == ["id", "handler", "error"]
    assert second.split()[:2] == ["b", "c"] and second.count("two lines") == 9


def test_every_command_on_a_marketplace_takes_its_file_the_same_way() -> None:
    """By ``--file``, and none by its place; what FILE is to those of a deployment, ``import`` has for what it reads."""
    seen = 0
    for path, command in _commands(("clock", "events", "jobs", "sagas", "accounts", "import")):
        options = {option: one for one in command.params for option in one.opts}
        assert "--file" in options and not options["--file"].required, path
        assert [one.name for one in command.params if one.param_type_name == "argument" and one.name == "file"] == [], path
        seen += 1
    assert seen >= 14


def _commands(names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    for name in names:
        module = importlib.import_module(f"marketplace_core.cli.{COMMANDS[name]}")
        yield from _leaves(name, getattr(typer.main.get_command(module.app), "commands")[name])  # noqa: B009


def _leaves(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield path, command
        return
    for name, below in command.commands.items():
        yield from _leaves(f"{path} {name}", below)
