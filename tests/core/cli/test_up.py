from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from marketplace_core._supervisor.ports import free_port
from tests.core.cli.programs import COMMAND, marketplace


def below(data: Path) -> list[psutil.Process]:
    """Every process that works in the folder or names it, but for ourselves."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            there = Path(process.cwd()).is_relative_to(data) or any(str(data) in part for part in process.cmdline())
            if there and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def assert_nothing_left(data: Path, seconds: float = 0.0) -> None:
    deadline = time.monotonic() + seconds
    while left := below(data):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)


class Running:
    """``marketplace up`` as a child of the test."""

    def __init__(self, file: Path, data: Path, *arguments: str) -> None:
        self.data = data
        self.errors = file.parent / "errors"
        argv = [*COMMAND, "up", str(file), "--data", str(data), "--json", *arguments]
        with self.errors.open("w") as errors:
            self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=errors, text=True)

    def ready(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        told: dict[str, Any] = json.loads(line)
        return told

    def ps(self) -> dict[str, dict[str, Any]]:
        done = marketplace("ps", "--data", self.data, "--json")
        return {item["name"]: item for item in json.loads(done.stdout)["items"]}

    def end(self, *numbers: signal.Signals) -> tuple[int, str]:
        """Send signals. Gives the exit code and what else stood on standard output."""
        for number in numbers:
            self.process.send_signal(number)
            time.sleep(0.1 if len(numbers) > 1 else 0)
        output, _ = self.process.communicate(timeout=40)
        return self.process.returncode, output


@contextlib.contextmanager
def up(file: Path, *arguments: str) -> Iterator[Running]:
    run = Running(file, file.parent / "data", *arguments)
    try:
        yield run
    finally:
        run.process.kill()
        run.process.communicate()
        assert_nothing_left(run.data, 5.0)


def assert_watched(run: Running, processes: dict[str, dict[str, Any]]) -> None:
    """Each process of ours answers at an address of its own, which a file for Prometheus has too."""
    watched = {name: item["metrics"] for name, item in processes.items() if item["metrics"]}
    assert watched.keys() == {"market", "market.worker"}
    for name, kind in (("market", "api"), ("market.worker", "worker")):
        with urllib.request.urlopen(f"http://{watched[name]}/metrics") as answer:
            assert f'kind="{kind}"' in answer.read().decode()
    found = json.loads((run.data / "run" / "prometheus.json").read_text())
    assert {one["labels"]["process"]: one["targets"] for one in found} == {name: [at] for name, at in watched.items()}


def test_up_says_one_line_keeps_what_it_started_and_ends_with_0(file: Path) -> None:
    port = free_port(None)
    with up(file, "--port", str(port)) as run:
        told = run.ready()
        url = f"http://127.0.0.1:{port}"
        assert told["url"] == url
        assert told["audiences"] == {name: f"{url}/{name}/v1" for name in ("buyer", "seller", "logistics", "admin")}
        assert told["accounts"] == {}
        assert told["data"] == str(run.data)
        first = run.ps()
        assert {name: item["kind"] for name, item in first.items()} == {
            "supervisor": "supervisor",
            "fork-server": "supervisor",
            "postgres": "server",
            "redis-lasting": "server",
            "redis-cache": "server",
            "simulator.payments": "simulator",
            "market.worker": "worker",
            "market": "api",
        }
        assert all(item["pid"] and item["memory"] > 500_000 for item in first.values())
        assert first["supervisor"]["pid"] == run.process.pid
        assert oct((run.data / "secret").stat().st_mode)[-3:] == "600"
        assert_watched(run, first)

        os.kill(first["redis-cache"]["pid"], signal.SIGKILL)
        assert run.ps()["supervisor"]["pid"] == run.process.pid  # it answers whatever is down
        deadline = time.monotonic() + 10
        while (again := run.ps()["redis-cache"])["restarts"] != 1 or not again["pid"]:
            assert time.monotonic() < deadline, again

        assert run.end(signal.SIGTERM) == (0, "")
        assert_nothing_left(run.data)
        assert "redis-cache: it was ended by SIGKILL" in run.errors.read_text()
        assert "redis-cache: it was ended by SIGKILL" in (run.data / "logs" / "supervisor.log").read_text()
        assert run.ps() == {}
        assert marketplace("ps", "--data", run.data).stdout == f"nothing runs on {run.data}\n"
        simulator = told["simulators"]["payments"]
    with up(file) as run:
        assert run.ready()["simulators"] == {"payments": simulator}
        assert run.end(signal.SIGINT) == (0, "")
        assert_nothing_left(run.data)


def test_nothing_outlives_a_killed_supervisor_and_the_next_start_works(file: Path) -> None:
    with up(file) as run:
        run.ready()
        run.process.kill()
        run.process.wait()
        assert_nothing_left(run.data, 5.0)
        assert run.ps() == {}
    with up(file) as run:
        run.ready()
        assert run.end(signal.SIGINT, signal.SIGINT) == (0, "")
        assert_nothing_left(run.data)


def await_ears(pid: int) -> None:
    """Until the interpreter hears SIGINT: before that the kernel ends it without a word."""
    caught = 0
    while not caught >> (signal.SIGINT - 1) & 1:
        time.sleep(0.001)
        status = Path(f"/proc/{pid}/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.4, 1.0, 1.6, 2.4])
def test_ctrl_c_during_start_leaves_nothing(file: Path, delay: float) -> None:
    with up(file) as run:
        await_ears(run.process.pid)
        time.sleep(delay)
        code = run.end(signal.SIGINT)[0]
        told = run.errors.read_text()
        assert code == 0 or "KeyboardInterrupt" in told, told  # so early that the interpreter itself was still starting
        assert_nothing_left(run.data)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_where_exceptions_are_swallowed_is_heard(number: signal.Signals) -> None:
    """As in what the import system calls when a lock of a module is gone."""
    code = f"""
import os, sys, types
from marketplace_core.cli import main

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), {int(number)})
        for _ in range(1000):
            pass

def run(arguments):
    Finalized()
    print("went on", flush=True)

sys.modules["marketplace_core.cli._run"] = types.SimpleNamespace(run=run)
sys.argv = ["marketplace", "up"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_second_ctrl_c_does_not_wait_for_what_is_deaf(file: Path) -> None:
    with up(file) as run:
        run.ready()
        worker = run.ps()["market.worker"]["pid"]
        os.kill(worker, signal.SIGSTOP)  # so that it hears no SIGTERM
        began = time.monotonic()
        assert run.end(signal.SIGINT, signal.SIGINT) == (0, "")
        assert time.monotonic() - began < 8.0
        assert_nothing_left(run.data)


def test_a_port_that_is_taken_is_named(file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = marketplace("up", file, "--data", file.parent / "data", "--port", port)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"marketplace: port {port} is in use (127.0.0.1:{port}); choose another with --port\n"
    assert_nothing_left(file.parent / "data")


def test_a_folder_that_is_in_use_or_of_another_release_is_refused(file: Path) -> None:
    data = file.parent / "data"
    code = (
        "import sys, time; from pathlib import Path; from marketplace_core.adapters.embedded import DataFolder;"
        f"DataFolder(Path({str(data)!r})).acquire(); print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        done = marketplace("up", file, "--data", data)
        holder.kill()
    assert (done.returncode, done.stderr) == (
        1,
        f"marketplace: the data folder {data} is in use by pid {holder.pid}; stop that marketplace, or choose another --data\n",
    )
    (data / "VERSION").write_text("99\n")
    done = marketplace("up", file, "--data", data)
    assert done.returncode == 2
    assert done.stderr.startswith(f"marketplace: the data folder {data} has format '99', this release reads 1; start it with")


def test_up_refuses_options_that_the_file_cannot_have(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = file.read_text()
    file.write_text(
        text + f'[gateways.second]\naudience = "buyer"\nlisten = "127.0.0.1:{free_port(None)}"\nservice = "market"\n'
    )
    done = marketplace("up", file, "--data", file.parent / "data", "--port", "8999")
    assert (done.returncode, done.stderr) == (
        2,
        "marketplace: --port moves the one gateway, and the file has 2; change listen in the file\n",
    )
    production = text.replace('profile = "embedded"', 'profile = "production"\nsecret = "env:SHOP_SECRET"')
    file.write_text(production.replace("[simulators.payments]", ""))
    done = marketplace(
        "up",
        file,
        "--data",
        file.parent / "data",
        "--clock",
        "movable",
        SHOP_SECRET="G7vYp2Qm9RkW4tZx8LdN3sHf6BcJ1aVe5UgTyKoM0iXq",
    )
    assert (done.returncode, done.stderr) == (
        2,
        "marketplace: a production clock cannot be moved; leave out --clock, or choose another profile in the file\n",
    )


def test_what_cannot_start_ends_up_with_its_last_lines(file: Path, tmp_path: Path) -> None:
    # A worker that ends at once stands for any that does: in this environment it does not come to its work.
    (tmp_path / "sitecustomize.py").write_text(
        "import os\nimport marketplace_core._runtime.serve as p\n"
        "def work(*a): os.write(2, b'the worker found no licence\\n'); os._exit(1)\n"
        "p.work = work\n"
    )
    done = marketplace("up", file, "--data", file.parent / "data", PYTHONPATH=str(tmp_path))
    assert (done.returncode, "licence" in done.stderr) == (1, True)
    last = done.stderr.splitlines()[-1]
    assert last == (
        "marketplace: market.worker cannot start (it ended with code 1): the worker found no licence; "
        f"see {file.parent}/data/logs/market.worker.log"
    )
    assert_nothing_left(file.parent / "data")
