"""Both distributions as a stranger has them: installed by pip alone, beside a marketplace that does not know them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from marketplace_core.testing.client import Client, clients
from marketplace_core.testing.deployments import Running, elsewhere, up

pytestmark = pytest.mark.xdist_group("processes")

HERE = Path(__file__).parents[1]
SQLITE = HERE.parent / "sqlite"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder into which pip has installed both, to be on ``PYTHONPATH``."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    argv = [*pip, "--no-build-isolation", "--target", os.fspath(target), os.fspath(SQLITE), os.fspath(HERE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    yield os.fspath(target)


def marketplace(*arguments: object, path: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": path}
    argv = [sys.executable, "-m", "marketplace_core.cli", *map(str, arguments)]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["market.toml", "split.toml"])
def test_pip_is_all_that_it_needs(installed: str, name: str) -> None:
    without = marketplace("check", HERE / name)
    assert without.returncode != 0
    assert "no plugin 'wishlist' is installed" in without.stderr + without.stdout
    assert "sqlite" in without.stderr + without.stdout
    known = marketplace("check", HERE / name, path=installed)
    assert known.returncode == 0, known.stderr + known.stdout


def test_the_plugin_is_well_made(installed: str) -> None:
    done = marketplace("check", "--plugin", "wishlist", path=installed)
    assert done.returncode == 0, done.stderr + done.stdout


def test_the_readme_is_up_to_date(installed: str) -> None:
    code = "import pathlib, sys; from marketplace_core.testing.readme import check_readme as check"
    argv = [sys.executable, "-c", f"{code}; check('wishlist', pathlib.Path(sys.argv[1]))", os.fspath(HERE / "README.md")]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": installed}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.costly("a whole run of pytest of its own, with its servers")
def test_the_service_is_the_same_on_either_kind_of_server(installed: str) -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", os.fspath(HERE / "tests" / "by_pip.py")]
    done = subprocess.run(argv, env={**os.environ, "PYTHONPATH": installed}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "20 passed" in done.stdout


def test_a_table_that_is_not_the_plugins_own_is_a_problem(installed: str, tmp_path: Path) -> None:
    """Said by the kind of server, as core knows nothing of SQLite's tables."""
    wrong = tmp_path / "wrong"
    shutil.copytree(installed, wrong)
    (wrong / "marketplace_wishlist" / "migrations" / "sqlite" / "0002_wrong.sql").write_text("CREATE TABLE likes (id text);")
    done = marketplace("check", HERE / "market.toml", path=os.fspath(wrong))
    assert done.returncode != 0
    told = " ".join((done.stderr + done.stdout).split())
    assert "its migration 2, 'wrong', touches likes" in told and "write wishlist_likes" in told


#: A third plugin, on a PostgreSQL, that listens to what is emitted in the file.
NOTICING = """
import os

from marketplace_core.hookspecs import PluginInfo, hookimpl
from marketplace_core.ports import handler
from marketplace_wishlist.wishlist import WishAdded


class Service:
    def __init__(self, units):
        self.units = units

    @handler(WishAdded)
    async def on_added(self, uow, event: WishAdded):
        with open(os.environ["NOTICED"], "a") as file:
            file.write(event.product_id + "\\n")


@hookimpl
def info():
    return PluginInfo(name="noticing", version="1.0", requires=("wishlist",), stores=("postgres",))


@hookimpl
def service(context):
    return Service(context.units)


@hookimpl
def subscriptions():
    return (Service.on_added,)
"""


def with_noticing(deployment: Path, installed: str, folder: Path, resource: str) -> str:
    """The path with the plugin beside the others; the deployment's file has it."""
    info = folder / "more" / "acme_noticing-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "more" / "acme_noticing.py").write_text(NOTICING)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-noticing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[marketplace.plugins]\nnoticing = acme_noticing\n")
    text = deployment.read_text().replace("[services.market]\nplugins = [", '[services.market]\nplugins = ["noticing", ')
    deployment.write_text(f'{text}\n[plugins.noticing]\non = {{ noticing = "{resource}" }}\n')
    return os.pathsep.join((installed, os.fspath(folder / "more")))


@pytest.mark.costly("a whole deployment with its demo, twice")
@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("name", "file", "resource"),
    [("market.toml", "data/sqlite/lists.db", "main"), ("split.toml", "wishes/lists.db", "users")],
)
def test_wishes_are_kept_in_a_file(installed: str, short_folder: Path, name: str, file: str, resource: str) -> None:
    deployment, noticed = elsewhere(HERE / name, short_folder), short_folder / "noticed"
    path = with_noticing(deployment, installed, short_folder, resource)
    with up(deployment, short_folder / "data", PYTHONPATH=path, NOTICED=os.fspath(noticed)) as running:
        if name == "split.toml":
            assert {"wishlist.1", "wishlist.2", "wishlist.worker.1", "wishlist.worker.2"} <= running.names().keys()
        kept = asyncio.run(_wish(running))
        until = time.monotonic() + 30
        while not noticed.exists() or len(set(noticed.read_text().split())) < 2:
            assert time.monotonic() < until, "another plugin hears of each"
            time.sleep(0.05)
        again = marketplace("migrate", deployment, "--dry-run", "--data", short_folder / "data", path=path)
        assert "nothing to do" in again.stdout, again.stderr
    with contextlib.closing(sqlite3.connect(short_folder / file)) as raw:
        rows = raw.execute("SELECT type, sequence, relayed_at IS NOT NULL FROM marketplace_outbox ORDER BY id").fetchall()
        assert rows == [("wishlist.added", 1, 1), ("wishlist.added", 2, 1)], "each once, and sent"
    with up(deployment, short_folder / "data", PYTHONPATH=path, NOTICED=os.fspath(noticed)) as running:
        assert asyncio.run(_wishes(running)) == kept


async def _wish(running: Running) -> list[Any]:
    """Two products, of which the seller then archives one."""
    async with clients(running.said["audiences"]) as make:
        buyer, seller = make("buyer"), make("seller")
        await buyer.get("/wishlist", 401)
        await buyer.register("wishing@example.org")
        await seller.log_in(**running.said["accounts"]["seller"])
        own = [one["id"] for one in (await seller.get("/products?status=published&limit=2"))["items"]]
        first, gone = [await _put(buyer, id_) for id_ in own]
        assert await _put(buyer, own[0]) == first
        assert await buyer.get(f"/wishlist/{own[0]}") == first
        assert (await buyer.get("/wishlist"))["items"] == [gone, first]
        await _put(buyer, "0" * 32, 404)
        await seller.post(f"/products/{own[1]}/archive", status=202)
        kept = await buyer.until("/wishlist", lambda body: body["items"] == [first], 30)
        await buyer.get(f"/wishlist/{own[1]}", 404)
        other = make("buyer")
        await other.register("other@example.org")
        await other.delete(f"/wishlist/{own[0]}")
        assert (await other.get("/wishlist"))["items"] == []
        return list(kept["items"])


async def _put(buyer: Client, product_id: str, status: int = 200) -> Any:
    answer = await buyer.send("PUT", f"/wishlist/{product_id}")
    assert answer.status == status, answer.body
    return answer.body


async def _wishes(running: Running) -> list[Any]:
    async with clients(running.said["audiences"]) as make:
        buyer = make("buyer")
        await buyer.log_in("wishing@example.org")
        return list((await buyer.get("/wishlist"))["items"])
