"""Commands that plugins add to ``marketplace``: found, listed, told of when two have one name, and not imported for nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.core.strangers import install

BOTH = ("marketplace.plugins", "marketplace.commands")

PLUGIN = """
from __future__ import annotations

import typer

from marketplace_core.commands import Failed, Json, print_json
from marketplace_core.hookspecs import PluginInfo, hookimpl

app = typer.Typer()
group = typer.Typer()
app.add_typer(group, name="{group}")


@group.command()
def {command}(name: str, json: Json = False) -> int:
    "Greet somebody."
    if not name:
        raise Failed("nobody is to be greeted", "give a name", 2)
    print_json({{"greeting": name}}) if json else print("Good day,", name)
    return 0


@hookimpl
def info():
    return PluginInfo(name="{name}", version="1.0")


@hookimpl
def commands():
    return [app]
"""


def stranger(folder: Path, name: str, group: str, command: str, *, groups: tuple[str, ...] = BOTH) -> None:
    install(folder, name, PLUGIN.format(name=name, group=group, command=command), groups=groups)


def run(folder: Path, *arguments: str, prefix: str = "") -> subprocess.CompletedProcess[str]:
    """``prefix``: Python that runs before, in the same process."""
    code = f"{prefix}\nfrom marketplace_core.cli import main\nmain()"
    env = {**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, env=env, cwd=folder
    )


def test_a_command_of_a_plugin_is_one_like_others(tmp_path: Path) -> None:
    stranger(tmp_path, "greeter", "greet", "somebody")
    assert run(tmp_path, "greet", "somebody", "Ada").stdout == "Good day, Ada\n"
    assert json.loads(run(tmp_path, "greet", "somebody", "Ada", "--json").stdout) == {"greeting": "Ada"}
    failed = run(tmp_path, "greet", "somebody", "")
    assert (failed.returncode, failed.stderr) == (2, "marketplace: nobody is to be greeted; give a name\n")
    assert run(tmp_path, "greet", "somebody").returncode == 2, "an argument is missing"
    assert "greet" in run(tmp_path, "--help").stdout
    assert "Greet somebody." in run(tmp_path, "greet", "--help").stdout
    [item] = [one for one in json.loads(run(tmp_path, "plugins", "--json").stdout)["items"] if one["name"] == "greeter"]
    assert item["commands"] == ["greet somebody"] and "problems" not in item


def test_it_may_stand_in_a_group_of_cores(tmp_path: Path) -> None:
    stranger(tmp_path, "greeter", "clock", "greet")
    assert run(tmp_path, "clock", "greet", "Ada").stdout == "Good day, Ada\n"
    listed = run(tmp_path, "clock", "--help").stdout
    assert "greet" in listed and "advance" in listed


def test_no_plugin_is_imported_for_a_command_of_cores(tmp_path: Path) -> None:
    install(tmp_path, "greeter", "raise SystemExit('imported')", groups=BOTH)
    assert json.loads(run(tmp_path, "ps", "--json").stdout) == {"items": []}
    assert "advance" in run(tmp_path, "clock", "advance", "--help").stdout


def test_to_list_commands_only_plugins_with_some_are_imported(tmp_path: Path) -> None:
    stranger(tmp_path, "greeter", "greet", "somebody")
    install(tmp_path, "silent", "raise SystemExit('imported')")
    look = (
        "import atexit, sys\natexit.register(lambda: print(sorted(n for n in sys.modules"
        " if n.endswith('.plugin') and n.startswith(('marketplace_', 'acme_')))))"
    )
    listed = run(tmp_path, "--help", prefix=look)
    assert listed.returncode == 0
    imported = listed.stdout.splitlines()[-1]
    ours = ("analytics", "moderation", "olist", "online_retail", "recommendations", "search")
    assert imported == str(["acme_greeter.plugin", *(f"marketplace_{name}.plugin" for name in ours)])
    assert "somebody" in run(tmp_path, "greet", "--help").stdout


def test_a_name_that_two_have_is_told_with_both(tmp_path: Path) -> None:
    stranger(tmp_path, "greeter", "greet", "somebody")
    stranger(tmp_path, "welcomer", "greet", "somebody")
    refused = run(tmp_path, "greet", "somebody", "Ada", "--json")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        "marketplace: the command 'greet somebody' is added by the plugin 'greeter' and by the plugin 'welcomer';"
        " uninstall one of them, or tell its author\n"
    )
    items = {one["name"]: one for one in json.loads(run(tmp_path, "plugins", "--json").stdout)["items"]}
    assert items["welcomer"]["problems"] == [
        "the command 'greet somebody' is declared by the plugin 'greeter' too; keep one of them"
    ]


def test_cores_own_names_are_cores(tmp_path: Path) -> None:
    stranger(tmp_path, "greeter", "import", "products")
    stranger(tmp_path, "taker", "ps", "all")
    assert "one row a variant" in run(tmp_path, "import", "products", "--help").stdout
    listed = run(tmp_path, "--help")
    assert listed.returncode == 0
    told = {
        "greeter": "the command 'import products' is added by the plugin 'greeter' and is there by marketplace itself",
        "taker": "the command 'ps' is added by the plugin 'taker' and is there by marketplace itself",
    }
    for line in told.values():
        assert line in listed.stderr
    items = {one["name"]: one for one in json.loads(run(tmp_path, "plugins", "--json").stdout)["items"]}
    assert items["greeter"]["problems"] == [
        "the command 'import products' is core's own 'import products'; give it another name"
    ]
    assert items["taker"]["problems"] == ["the command 'ps all' is core's own 'ps'; give it another name"]


@pytest.mark.parametrize("code", ["raise OSError('no such disk')", "from marketplace_core.hookspecs import hookimpl"])
def test_a_plugin_that_is_broken_takes_no_other_commands_with_it(tmp_path: Path, code: str) -> None:
    stranger(tmp_path, "greeter", "greet", "somebody")
    install(tmp_path, "broken", code, groups=BOTH)
    greeted = run(tmp_path, "greet", "somebody", "Ada")
    assert (greeted.returncode, greeted.stdout) == (0, "Good day, Ada\n")
    assert "the commands of the plugin 'broken' cannot be loaded" in greeted.stderr
    unknown = run(tmp_path, "gret")
    assert unknown.returncode == 2 and "No such command 'gret'" in unknown.stderr


def test_commands_that_nobody_would_find_are_told(tmp_path: Path) -> None:
    stranger(tmp_path, "greeter", "greet", "somebody", groups=("marketplace.plugins",))
    assert run(tmp_path, "greet", "somebody", "Ada").returncode == 2
    [item] = [one for one in json.loads(run(tmp_path, "plugins", "--json").stdout)["items"] if one["name"] == "greeter"]
    assert item["problems"] == [
        "it has the command 'greet somebody', and its distribution does not say so;"
        " add the entry point 'greeter' to the group 'marketplace.commands' of its distribution"
    ]
