"""Who may import whom: a plugin imports core's public names, core imports no plugin, rules import values only."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "src" / "marketplace_core"
PLUGINS = sorted(plugin.parent for plugin in ROOT.glob("*/*/src/marketplace_*/plugin.py"))  # those of examples too
PURE = ("marketplace_core.values", "marketplace_core.errors", "marketplace_core.pictures.values")


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def ours(path: Path) -> list[str]:
    return [name for name in imported(path) if name.startswith("marketplace_")]


@pytest.mark.parametrize("package", PLUGINS, ids=lambda path: path.name)
def test_a_plugin_imports_core_and_itself(package: Path) -> None:
    for path in package.rglob("*.py"):
        for name in ours(path):
            assert name.split(".")[0] in {"marketplace_core", package.name}, f"{path} imports {name}"
            private = any(part.startswith("_") for part in name.split("."))
            assert not private, f"{path} imports {name}, which is core's own"


def test_core_imports_no_plugin() -> None:
    for path in CORE.rglob("*.py"):
        for name in ours(path):
            assert name.split(".")[0] == "marketplace_core", f"{path} imports {name}"


@pytest.mark.parametrize("package", PLUGINS, ids=lambda path: path.name)
def test_rules_are_pure(package: Path) -> None:
    domain = package / "domain.py"
    if not domain.exists():
        return
    for name in imported(domain):
        top = name.split(".")[0]
        standard = top in sys.stdlib_module_names or top == "__future__"
        assert standard or name.startswith(PURE), f"{domain} imports {name}"
    assert not [node for node in ast.walk(ast.parse(domain.read_text())) if isinstance(node, ast.AsyncFunctionDef | ast.Await)]


@pytest.mark.parametrize("package", PLUGINS, ids=lambda path: path.name)
def test_sagas_import_capabilities_only(package: Path) -> None:
    sagas = package / "sagas.py"
    if sagas.exists():
        for name in ours(sagas):
            assert name.startswith(("marketplace_core.capabilities.", "marketplace_core.sagas.")), f"{sagas} imports {name}"


@pytest.mark.parametrize("package", PLUGINS, ids=lambda path: path.name)
def test_every_plugin_has_the_same_files(package: Path) -> None:
    folder = package.parents[1]
    assert (folder / "README.md").exists() and (folder / "pyproject.toml").exists()
    configured = "def settings(" in (package / "plugin.py").read_text()
    for name in ("plugin.py", "py.typed", *(["config.py"] if configured else [])):
        assert (package / name).exists(), f"{package.name} has no {name}"
    wiring = [path for path in package.rglob("*.py") if any(n.endswith(".hookimpl") for n in imported(path))]
    assert wiring == [package / "plugin.py"], "only plugin.py knows of hooks"


def test_capabilities_have_their_parts_in_order() -> None:
    order = ("values", "what a", "events", "errors", "port", "hooks")
    for path in (CORE / "capabilities").glob("[a-z]*.py"):
        banners = [line[5:].split(" ─")[0] for line in path.read_text().splitlines() if line.startswith("# ── ")]
        places = [next(i for i, part in enumerate(order) if banner.startswith(part)) for banner in banners]
        assert places == sorted(places), f"{path.name}: {banners}"
