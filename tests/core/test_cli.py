"""The command as a person and a program call it: real processes, exit codes, what stands on which stream."""

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
from marketplace_core.cli._run import COMMANDS
from marketplace_core.testing._forks import command
from tests.core.wrong_plugin import write

COMMAND = [sys.executable, "-m", "marketplace_core.cli"]

FILE = """
[deployment]
name = "shop"
profile = "embedded"
currency = "EUR"

[resources]
main = "embedded:postgres"
lasting = "embedded:redis"
cache = {{ url = "embedded:redis", role = "cache" }}
files = "embedded:folder"

[plugins.auth]
[plugins.catalog]

[services.market]
plugins = ["auth", "catalog"]

[gateways.market]
audiences = ["buyer", "seller", "logistics", "admin"]
listen = "127.0.0.1:{port}"
service = "market"

[simulators.payments]
"""


@pytest.fixture
def file(short_folder: Path) -> Path:
    path = short_folder / "shop.toml"
    path.write_text(FILE.format(port=free_port(None)))
    return path


def marketplace(*arguments: object, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Forked, unless it is about the interpreter's own environment."""
    if cwd is None and not env:
        return command(*arguments, timeout=60)
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
        env={**os.environ, **env},
    )


# ── check, plugins, graph ────────────────────────────────────────────────────────────────────────────────────


def test_check_of_a_good_file_says_nothing_on_standard_output(file: Path) -> None:
    done = marketplace("check", file)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{file}: no problem\n")
    assert json.loads(marketplace("check", file, "--json").stdout) == {"problems": []}


def test_check_prints_every_problem_one_a_line(file: Path) -> None:
    text = file.read_text().replace('["auth", "catalog"]', '["auth", "catlog"]').replace('"EUR"', '"EUR"\nsecret = "env:NONE"')
    file.write_text(text)
    done = marketplace("check", "shop.toml", cwd=file.parent)
    assert done.returncode == 2
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "shop.toml: deployment.secret: the environment variable NONE is not set; export NONE",
        "shop.toml: services.market.plugins[1]: no plugin 'catlog' is installed; did you mean 'catalog'?",
    ]
    done = marketplace("check", file, "--no-secrets", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {
        "problems": [
            {
                "key": "services.market.plugins[1]",
                "cause": "no plugin 'catlog' is installed",
                "remedy": "did you mean 'catalog'?",
            }
        ]
    }


def test_a_broken_third_party_plugin_is_found_by_its_entry_point(file: Path, tmp_path: Path) -> None:
    (tmp_path / "vendor.py").write_text("import vendorlib_that_is_not_there\n")
    meta = tmp_path / "vendor-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: vendor\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[marketplace.plugins]\nvendor = vendor\n")
    file.write_text(file.read_text().replace("[plugins.catalog]", "[plugins.catalog]\n[plugins.vendor]"))
    done = marketplace("check", file, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (2, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{file}: plugins.vendor: the plugin 'vendor' cannot be imported (ModuleNotFoundError: ")
    assert marketplace("up", file, "--data", tmp_path / "data", PYTHONPATH=str(tmp_path)).stderr.splitlines() == [line]
    assert not (tmp_path / "data").exists()


def test_check_of_a_plugin_alone(tmp_path: Path) -> None:
    assert marketplace("check", "--plugin", "catalog").stderr == "catalog: no problem\n"
    write(tmp_path, ("plugin.py", "timedelta(hours=1)", "7"))
    meta = tmp_path / "gifts-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: gifts\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[marketplace.plugins]\ngifts = acme_gifts.plugin\n")
    done = marketplace("check", "--plugin", "gifts", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    said = (
        "its hook 'schedules' failed (TypeError: the schedule 'gifts.tidy' has every=7, write timedelta(seconds=7), at "
        "acme_gifts/plugin.py:47); mend it there, or tell the plugin's author"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, f"acme_gifts/plugin.py: plugins.gifts: {said}\n", "")
    for arguments in ((), ("shop.toml", "--plugin", "gifts")):
        assert marketplace("check", *arguments).returncode == 2


def test_check_loads_no_server_and_no_client() -> None:
    code = "import sys; from marketplace_core.cli._run import run; run(['check', 'none.toml']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"quart", "granian", "psqlpy", "redis", "aiohttp", "arq", "uvloop"}
    assert heavy & set(done.stdout.split()) == set()


def test_plugins_shows_what_is_installed_and_what_is_deployed(file: Path) -> None:
    items = json.loads(marketplace("plugins", file, "--json").stdout)["items"]
    assert [item["name"] for item in items] == ["auth", "catalog"]
    catalog = items[1]
    assert catalog["provides"] == "catalog"
    assert "provide_catalog" in catalog["hooks"]
    assert "GET /buyer/v1/products" in catalog["routes"]
    installed = [item["name"] for item in json.loads(marketplace("plugins", "--json").stdout)["items"]]
    assert installed == sorted(installed)
    assert {"auth", "catalog"} <= set(installed)
    assert "    GET /buyer/v1/products\n" in marketplace("plugins", file).stdout


def test_graph_is_the_same_each_time(file: Path) -> None:
    first, second = (marketplace("graph", file, "--format", "mermaid", PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first.returncode == 0
    assert first.stdout == second.stdout
    lines = first.stdout.splitlines()
    assert lines[0] == "flowchart LR"
    for line in (
        'gateway_market{{"market: buyer, seller, logistics, admin"}}',
        'subgraph service_market["market"]',
        'store_main[("main: postgres")]',
        "gateway_market --> plugin_catalog",
        "plugin_catalog ==> store_main",
    ):
        assert line in lines


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chek"], "No such command 'chek'"),
        (["check"], "check takes either FILE or --plugin NAME"),
        (["check", "x", "--colour"], "No such option: --colour"),
        (["up", "--port", "70000"], "Invalid value for '--port'"),
        (["serve", "none.toml", "market"], "none.toml: file: it cannot be read"),
    ],
)
def test_wrong_input_is_one_line_and_2(arguments: list[str], said: str) -> None:
    done = marketplace(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_every_command_has_its_help() -> None:
    everything = marketplace("--help")
    assert everything.returncode == 0
    for name in COMMANDS:
        done = marketplace(name, "--help")
        assert done.returncode == 0
        assert f"marketplace {name}" in done.stdout
        assert (name in everything.stdout) == (name != "demo")


def test_an_unforeseen_error_is_one_line_that_says_what_next(file: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import marketplace_core.deployment as d\n"
        "def load_all(*a, **k): raise ValueError('two\\nlines')\nd.load_all = load_all\n"
    )
    done = marketplace("check", file, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "marketplace: it failed (ValueError: two lines); set MARKETPLACE_TRACEBACK=1 and run it again to see where\n"
    )
    assert "Traceback" in marketplace("check", file, PYTHONPATH=str(tmp_path), MARKETPLACE_TRACEBACK="1").stderr


def test_serve_and_work_name_what_there_is(file: Path) -> None:
    done = marketplace("serve", file, "markt", "--data", file.parent / "data")
    assert (done.returncode, done.stderr) == (2, "marketplace: the deployment has no service 'markt'; use one of market\n")
    done = marketplace("work", file, "market", "--worker", "night", "--data", file.parent / "data")
    assert (done.returncode, done.stderr) == (
        2,
        "marketplace: the service 'market' has no worker 'night'; use one of worker\n",
    )


# ── up and ps ────────────────────────────────────────────────────────────────────────────────────────────────


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
    done = marketplace("up", file, "--data", file.parent / "data", "--clock", "movable", SHOP_SECRET="s" * 32)
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
