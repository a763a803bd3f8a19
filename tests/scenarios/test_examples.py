"""The deployments of ``examples/`` as a reader would run them: started by their file, bought from, operated, stopped."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from marketplace_olist.history import OlistReport

from marketplace_core.testing.client import clients
from marketplace_core.testing.deployments import Running, elsewhere, up
from marketplace_core.testing.servers import Servers
from tests.scenarios.olist_folder import WHOLE, counts, folder

pytestmark = pytest.mark.xdist_group("processes")

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse battery"


def bought(running: Running) -> dict[str, Any]:
    argv = [sys.executable, os.fspath(ROOT / "scripts" / "purchase.py"), json.dumps(running.said)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    order: dict[str, Any] = json.loads(done.stdout)
    return order


def operated(running: Running) -> None:
    """Every command that acts on a marketplace acts on this one."""
    assert json.loads(running.on_file("events", "dead", "list", "--json")) == {"items": []}
    [saga] = json.loads(running.on_file("sagas", "list", "--json"))["items"]
    assert saga["name"] == "orders.checkout" and saga["status"] == "done"
    assert json.loads(running.on_file("sagas", "show", saga["id"], "--json"))["steps"]
    told = running.on_file(
        "accounts", "create", "--role", "admin", "--email", "root@example.org", "--json", given=f"{PASSWORD}\n"
    )
    assert json.loads(told)["email"] == "root@example.org"


def imported(running: Running, source: Path) -> dict[str, tuple[int, ...]]:
    report = msgspec.json.decode(running.on_file("import", "olist", os.fspath(source), "--json"), type=OlistReport)
    assert report.rejected == []
    return counts(report)


async def history_is_seen(running: Running) -> None:
    """What each service was told of it by the others, too; nothing of it begins a checkout."""
    async with clients(running.said["audiences"]) as make:
        admin = make("admin")
        await admin.log_in(**running.said["accounts"]["admin"])
        [order] = (await admin.get("/orders?number=olist:o1"))["items"]
        whole = await admin.until(f"/orders/{order['id']}", lambda one: one["payment"] is not None)
        assert (whole["status"], whole["total"]) == ("delivered", {"amount": 26650, "currency": "BRL"})
        assert whole["payment"]["captured"] == whole["total"]
        assert len((await admin.get("/sagas"))["items"]) == 1


@pytest.mark.costly("a whole deployment with its demo, and every command of an operator")
def test_split_runs_each_service_by_itself(short_folder: Path) -> None:
    file = elsewhere(ROOT / "examples" / "split.toml", short_folder)
    with up(file, short_folder / "data") as running:
        names = running.names()
        expected = {"auth", "catalog", "orders.1", "orders.2", "payments", "market", "buyer", "seller", "logistics", "admin"}
        expected |= {"auth.worker", "catalog.worker", "orders.worker.1", "orders.worker.2", "payments.worker", "market.worker"}
        assert expected <= names.keys() and len({names[name] for name in expected}) == len(expected)
        assert len(set(running.said["audiences"].values())) == 4
        memory = running.memory()
        assert max(memory[gateway] for gateway in ("buyer", "seller", "logistics", "admin")) < 60e6, memory
        assert max(memory[name] for name in expected if ".worker" in name and name != "market.worker") < 90e6, memory
        assert bought(running)["status"] == "confirmed"
        operated(running)
        assert "nothing to do" in running.run("migrate", os.fspath(file), "--dry-run")
        source = folder(short_folder)
        whole = {**WHOLE, "reviews": (2, 2, 0, 0, 0)}  # there is somebody who keeps them
        assert imported(running, source) == whole
        asyncio.run(history_is_seen(running))
        again = imported(running, source)
        assert again == {name: (read, 0, written, 0, skipped) for name, (read, written, _, _, skipped) in whole.items()}


@pytest.mark.costly("a whole deployment with its demo, and every command of an operator")
def test_small_runs_on_servers_of_ones_own(short_folder: Path, marketplace_servers: Servers) -> None:
    file = elsewhere(ROOT / "examples" / "small.toml", short_folder)
    database = marketplace_servers.postgres
    marketplace_servers.create_empty("small")
    with up(
        file,
        short_folder / "data",
        MARKETPLACE_SECRET="pT7vXq2LmZ9wRk4HsB8nYc3JdF6gUa1E-x5oQiWtKyMzNhVb",
        MARKETPLACE_POSTGRES=database.dsn("small"),
        MARKETPLACE_REDIS=marketplace_servers.redis_url(marketplace_servers.lasting),
        MARKETPLACE_CACHE=marketplace_servers.redis_url(marketplace_servers.cache),
    ) as running:
        assert {"market.1", "market.2", "desk", "market.worker.1", "market.worker.2"} <= running.names().keys()
        assert "postgres" not in running.names()
        assert bought(running)["status"] == "confirmed"
        operated(running)


def test_a_file_that_up_refuses_is_told(short_folder: Path) -> None:
    file = short_folder / "shop.toml"
    file.write_text("[deployment]\n")
    with pytest.raises(AssertionError, match=r"shop\.toml: deployment\.currency: "), up(file, short_folder / "data"):
        pass
