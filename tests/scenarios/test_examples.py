"""The deployments of ``examples/`` as a reader would run them: started by their file, bought from, operated, stopped."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from marketplace_core._net import free_port
from marketplace_core.testing.servers import Servers

pytestmark = pytest.mark.xdist_group("processes")

ROOT = Path(__file__).parents[2]
START_SECONDS = 90.0
OURS = [sys.executable, "-m", "marketplace_core.cli"]
PASSWORD = "correct horse battery"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, which PostgreSQL's user may pass."""
    made = Path(tempfile.mkdtemp(prefix="mp-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


def copied(name: str, folder: Path) -> Path:
    """The example, on ports that are free now."""
    text = re.sub(r"127\.0\.0\.1:\d+", lambda _: f"127.0.0.1:{free_port()}", (ROOT / "examples" / name).read_text())
    (folder / name).write_text(text)
    return folder / name


class Running:
    """What ``up`` said, and the deployment's commands."""

    def __init__(self, file: Path, data: Path, env: Mapping[str, str]) -> None:
        self._file, self._data, self._env = file, data, {**os.environ, **env}
        argv = [*OURS, "up", os.fspath(file), "--demo", "--json", "--data", os.fspath(data)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=self._env)
        try:
            line = self.process.stdout.readline() if self.process.stdout else ""
            assert line, self.process.communicate()[1]
        except BaseException:  # the time of the test may be over: what was started must not outlive it
            self.process.kill()
            self.process.communicate()
            raise
        self.said: dict[str, Any] = json.loads(line)

    def run(self, *arguments: str, given: str = "") -> str:
        done = subprocess.run(
            [*OURS, *arguments, "--data", os.fspath(self._data)],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            env=self._env,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def on_file(self, *arguments: str, given: str = "") -> str:
        return self.run(*arguments, "--file", os.fspath(self._file), given=given)

    def names(self) -> dict[str, int]:
        return {item["name"]: item["pid"] for item in json.loads(self.run("ps", "--json"))["items"]}


@contextlib.contextmanager
def up(file: Path, data: Path, **env: str) -> Iterator[Running]:
    running = Running(file, data, env)
    try:
        below = psutil.Process(running.process.pid).children(recursive=True)
        yield running
        running.process.send_signal(signal.SIGINT)
        assert running.process.wait(30) == 0
    finally:
        running.process.kill()
        running.process.communicate()
    deadline = time.monotonic() + 5
    while left := [process for process in below if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


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


def test_split_runs_each_service_by_itself(folder: Path) -> None:
    file = copied("split.toml", folder)
    with up(file, folder / "data") as running:
        names = running.names()
        expected = {"auth", "catalog", "orders.1", "orders.2", "payments", "market", "buyer", "seller", "logistics", "admin"}
        expected |= {"auth.worker", "catalog.worker", "orders.worker.1", "orders.worker.2", "payments.worker", "market.worker"}
        assert expected <= names.keys() and len({names[name] for name in expected}) == len(expected)
        assert len(set(running.said["audiences"].values())) == 4
        assert bought(running)["status"] == "confirmed"
        operated(running)
        assert "nothing to do" in running.run("migrate", os.fspath(file), "--dry-run")


def test_small_runs_on_servers_of_ones_own(folder: Path, marketplace_servers: Servers) -> None:
    file = copied("small.toml", folder)
    database = marketplace_servers.postgres
    marketplace_servers.create_empty("small")
    with up(
        file,
        folder / "data",
        MARKETPLACE_SECRET="a secret of thirty-two characters or more",
        MARKETPLACE_POSTGRES=database.dsn("small"),
        MARKETPLACE_REDIS=marketplace_servers.redis_url(marketplace_servers.lasting),
        MARKETPLACE_CACHE=marketplace_servers.redis_url(marketplace_servers.cache),
    ) as running:
        assert {"market.1", "market.2", "desk", "market.worker.1", "market.worker.2"} <= running.names().keys()
        assert "postgres" not in running.names()
        assert bought(running)["status"] == "confirmed"
        operated(running)
