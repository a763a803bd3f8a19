"""``marketplace new plugin``: what it writes passes as it is, by whatever name, and runs in a deployment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from marketplace_core.cli._scaffold import BadName, write_plugin
from marketplace_core.deployment import DEFAULT_FILE
from marketplace_core.testing.client import clients
from marketplace_core.testing.deployments import elsewhere, up

#: The most that writing one may take.
SECONDS = 30.0


def run(*argv: object, cwd: Path, env: Mapping[str, str]) -> str:
    """What a command says; it is a failure if it fails."""
    done = subprocess.run(
        [sys.executable, "-m", *map(str, argv)], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def installed(folder: Path, name: str) -> dict[str, str]:
    """The environment in which the plugin in ``folder`` is installed, as ``pip install --editable`` would have it."""
    meta = folder / "src" / f"marketplace_{name}-0.1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text(f"Metadata-Version: 2.1\nName: marketplace-{name}\nVersion: 0.1.0\n")
    (meta / "entry_points.txt").write_text(f"[marketplace.plugins]\n{name} = marketplace_{name}.plugin\n")
    return {"PYTHONPATH": str(folder / "src")}


Write = Callable[..., tuple[Path, dict[str, str]]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(name, *options)``: by the command, and installed; gives its folder and the environment."""

    def made(name: str, *options: str) -> tuple[Path, dict[str, str]]:
        began = time.monotonic()
        run("marketplace_core.cli", "new", "plugin", name, *options, cwd=tmp_path, env={})
        assert time.monotonic() - began < SECONDS
        return tmp_path / name, installed(tmp_path / name, name)

    return made


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("trinkets", ()),
        ("a_name_so_long_as_is", ("--capability", "another_that_is_long")),
        ("my_orders", ("--capability", "orders")),
    ],
)
def test_style_types_and_check_find_nothing(write: Write, name: str, options: tuple[str, ...]) -> None:
    folder, env = write(name, *options)
    run("ruff", "check", ".", cwd=folder, env={})
    run("mypy", ".", cwd=folder, env={})
    assert run("marketplace_core.cli", "check", "--plugin", name, cwd=folder, env=env) == f"{name}: no problem\n"


@pytest.mark.timeout(300)
def test_its_own_tests_pass(write: Write) -> None:
    folder, env = write("acme_badges", "--capability", "badges")
    said = run("pytest", "-q", "-p", "no:cacheprovider", cwd=folder, env=env)
    assert " passed" in said and "skipped" not in said and "xfailed" not in said, said


def test_a_provider_of_a_capability_that_there_is(write: Write) -> None:
    """Its own tests pass; of the capability's suite each is expected to fail until its methods are written."""
    folder, env = write("my_cart", "--capability", "cart")
    said = run("pytest", "-q", "-p", "no:cacheprovider", "-k", "not TestMyCart", cwd=folder, env=env)
    assert " passed" in said and "skipped" not in said and "xfailed" not in said, said
    said = run("pytest", "-q", "-p", "no:cacheprovider", "-k", "test_equal_variants_are_one_line", cwd=folder, env=env)
    assert " xfailed" in said and " failed" not in said, said


def test_it_is_made_as_a_plugin_of_ours_is(write: Write) -> None:
    """The same files, but for those that a catalogue has more of."""
    folder, _ = write("trinkets")
    catalog = Path(__file__).parents[2] / "plugins" / "catalog"
    package = {path.name for path in (folder / "src" / "marketplace_trinkets").iterdir()} - {"trinkets.py"}
    assert package <= {path.name for path in (catalog / "src" / "marketplace_catalog").iterdir()}
    assert {"pyproject.toml", "README.md", "src", "tests"} == {path.name for path in folder.iterdir()}


@pytest.mark.timeout(300)
async def test_it_runs_in_a_deployment(write: Write, short_folder: Path) -> None:
    _, env = write("trinkets")
    text = DEFAULT_FILE.read_text()
    assert text.count("[plugins.catalog]") == 1 and text.count('"catalog"') == 1
    file = short_folder / "market.toml"
    file.write_text(
        text.replace("[plugins.catalog]", "[plugins.trinkets]\nentries = 1\n[plugins.catalog]").replace(
            '"catalog"', '"catalog", "trinkets"'
        )
    )
    place = short_folder / "here"
    place.mkdir()
    with up(elsewhere(file, place), short_folder / "data", **env) as running:
        async with clients(running.said["audiences"]) as make:
            buyer = make("buyer")
            await buyer.log_in(**running.said["accounts"]["buyer"])
            first, second, *_ = (await buyer.get("/products"))["items"]
            entry = await buyer.post("/trinkets", {"product_id": first["id"]}, 201)
            assert (await buyer.get("/trinkets"))["items"] == [entry]
            assert (await buyer.post("/trinkets", {"product_id": second["id"]}, 409))["code"] == "trinkets.full"
            admin = make("admin")
            await admin.log_in(**running.said["accounts"]["admin"])
            popular = await admin.until("/trinkets", lambda found: found["items"] != [])
            assert popular["items"] == [{"product_id": first["id"], "title": first["title"], "entries": 1}]


@pytest.mark.parametrize(
    ("name", "capability", "said"),
    [
        ("Gifts", None, "'Gifts' is no name of a plugin"),
        ("gifts-2", None, "'gifts-2' is no name of a plugin"),
        ("gifts__2", None, "'gifts__2' is no name of a plugin"),
        ("a_name_of_21_letters1", None, "is no name of a plugin"),
        ("class", None, "'class' is a word of Python or of SQL"),
        ("order", None, "'order' is a word of Python or of SQL"),
        ("catalog", None, "a plugin 'catalog' is installed already"),
        ("popular", None, "the capability cannot be called 'popular', as keepsake.py is"),
        ("gifts", "service", "the capability cannot be called 'service'"),
        ("gifts", "Cart", "'Cart' is no name of a capability"),
    ],
)
def test_a_name_that_cannot_be(tmp_path: Path, name: str, capability: str | None, said: str) -> None:
    with pytest.raises(BadName) as caught:
        write_plugin(name, capability, tmp_path / "made")
    assert said in str(caught.value) and caught.value.remedy
    assert not (tmp_path / "made").exists()


def test_what_is_there_is_not_written_over(write: Write, tmp_path: Path) -> None:
    folder, _ = write("trinkets")
    argv = [sys.executable, "-m", "marketplace_core.cli", "new", "plugin", "trinkets", "--json"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "marketplace: trinkets is there already; choose another name, or another --into\n"
    done = subprocess.run([*argv, "--into", "more"], cwd=tmp_path, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer["folder"] == "more/trinkets"
    assert {path for path in answer["files"] if not (folder / path).exists()} == set()
