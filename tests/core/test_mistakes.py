"""What an author does wrong is told by ``check``: which plugin and function, the cause, and what to do about it."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import EntryPoint, version
from pathlib import Path

import pytest

from marketplace_core import capabilities, scopes
from marketplace_core._plugins.alone import check_plugin
from marketplace_core._plugins.registry import installed_plugins
from marketplace_core.deployment import DeploymentErrors, load_all
from marketplace_core.errors import CODES
from marketplace_core.events import EVENTS
from tests.core.mistakes import MISTAKES, PLUGIN
from tests.core.wrong_plugin import write

FILE = """
[deployment]
profile = "embedded"
currency = "EUR"
[resources]
main = "embedded:postgres"
lasting = "embedded:redis"
cache = { url = "embedded:redis", role = "cache" }
files = "embedded:folder"
[plugins.auth]
[plugins.catalog]
[plugins.gifts]
[services.market]
plugins = ["auth", "catalog", "gifts"]
[gateways.market]
audiences = ["buyer", "seller"]
listen = "127.0.0.1:8000"
service = "market"
"""

Check = Callable[..., list[str]]


@pytest.fixture(scope="module", autouse=True)
def _nothing_left_to_finalise() -> None:
    """What earlier tests left, whose end is logged with a traceback. CPython 3.11 parses while it formats one; by the garbage
    collector, within the parse of a plugin's source, that is ``SystemError: AST constructor recursion depth mismatch``."""
    gc.collect()


@pytest.fixture
def clean() -> Iterator[None]:
    """What plugins declare as they are imported is as it was afterwards, so that the next test's is not declared twice."""
    capabilities.load_all()
    installed = [entry.load() for entry in installed_plugins().values()]
    assert installed
    kept: list[tuple[dict[str, object], dict[str, object]]] = [
        (found, dict(found))
        for found in (capabilities._declared, CODES, EVENTS, scopes._NAMES)  # type: ignore[list-item]
    ]
    yield
    for found, before in kept:
        found.clear()
        found.update(before)
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_gifts"]:
        del sys.modules[name]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean: None) -> Check:
    """``check(*changes)``: what is told of the plugin with these changes, without the file's name."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)

    def run(*changes: tuple[str, str, str], file: str = FILE, files: Mapping[str, str] | None = None) -> list[str]:
        write(tmp_path, *changes, files=dict(files or {}))
        (tmp_path / "shop.toml").write_text(file)
        found = {**installed_plugins(), "gifts": EntryPoint("gifts", "acme_gifts.plugin", "marketplace.plugins")}
        try:
            load_all("shop.toml", found=found, rehearsed=True)
        except DeploymentErrors as errors:
            return [str(problem).removeprefix("shop.toml: ") for problem in errors.problems]
        return []

    return run


def test_a_plugin_without_a_mistake_is_told_nothing(check: Check) -> None:
    assert check() == []


def alone() -> list[str]:
    found = {"gifts": EntryPoint("gifts", "acme_gifts.plugin", "marketplace.plugins")}
    return [str(problem) for problem in check_plugin("gifts", found)]


def test_a_plugin_is_checked_alone(check: Check) -> None:
    check()
    assert alone() == []


def test_what_a_plugin_alone_is_told(check: Check) -> None:
    """By its file; also where it has settings that only a deployment can give."""
    check(
        (PLUGIN, 'ribbon: str = "red"', "ribbon: str"),
        (PLUGIN, 'requires=("catalog",)', 'requires=("catlog",), core=">=7"'),
        (PLUGIN, "timedelta(hours=1)", "7"),
    )
    core = version("marketplace-core")
    assert alone() == [
        f"acme_gifts/plugin.py: plugins.gifts: {said}"
        for said in (
            f"it works with core >=7, and this is {core}; install a version of one that fits the other",
            "it needs 'catlog', which is no capability; did you mean 'catalog'?",
            "its hook 'schedules' failed (TypeError: the schedule 'gifts.tidy' has every=7, write "
            "timedelta(seconds=7), at acme_gifts/plugin.py:47); mend it there, or tell the plugin's author",
            "provide_gifts (acme_gifts/plugin.py:31) asks for the port of 'catalog', which info() does not name; "
            "add 'catalog' to requires there",
        )
    ]


def test_a_plugin_that_is_not_installed() -> None:
    [problem] = check_plugin("catlog")
    assert str(problem) == "catlog: plugins.catlog: no plugin 'catlog' is installed; did you mean 'catalog'?"


@pytest.mark.behaviour("all-7")
@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told(name: str, check: Check, tmp_path: Path) -> None:
    mistake = MISTAKES[name]
    said = check((mistake.file, mistake.right, mistake.wrong))
    assert f"plugins.gifts: {mistake.said.replace('{folder}', str(tmp_path))}" in said


def test_scripts_of_a_store_that_it_has_not(check: Check) -> None:
    assert check(files={"migrations/postgre/0001_more.sql": ""}) == [
        "plugins.gifts: it has migrations for 'postgre', which is no store of it; did you mean 'postgres'?"
    ]


@pytest.mark.parametrize("name", ["create.sql", "0002_more.sq", "0002.sql", "two_more.sql"])
def test_a_script_of_no_number(check: Check, name: str) -> None:
    assert check(files={f"migrations/postgres/{name}": ""}) == [
        f"plugins.gifts: its hook 'migrations' failed (MisnamedScript: the script migrations/postgres/{name} has no number and "
        "name, at acme_gifts/plugin.py:26); "
        "call it <number>_<name>.sql, such as 0001_tables.sql, in migrations/<store>, or take it out"
    ]


def test_a_script_in_no_folder(check: Check) -> None:
    [said] = check(files={"migrations/0002_more.sql": ""})
    assert "the script migrations/0002_more.sql is in the folder of no store" in said


def test_a_listener_that_nothing_listens_with(check: Check) -> None:
    alone = ('provides="gifts", ', "")
    said = check(
        (PLUGIN, *alone),
        (PLUGIN, "@hookimpl\ndef provide_gifts", "def _provide"),
        (PLUGIN, "router.routers(context.port(Gifts))", "[]"),
    )
    assert said == [
        "plugins.gifts: it has 'gifts.on_product_changed' and no service that this is a method of; implement the hook 'service'"
    ]


def test_a_gateway_that_nobody_can_log_in_at(check: Check) -> None:
    file = FILE.replace("[plugins.auth]\n", "").replace('"auth", ', "")
    assert check(file=file) == [
        "gateways.market: the routes of 'catalog', 'gifts' need an account, and no plugin provides 'auth'; "
        "add [plugins.auth], and name it in a service"
    ]
