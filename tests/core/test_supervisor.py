"""The supervisor on real processes: small programs in place of the marketplace's, and embedded servers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import psutil
import pytest

from marketplace_core._runtime.assembly import Assembly
from marketplace_core._supervisor import ports
from marketplace_core._supervisor import state as run_state
from marketplace_core._supervisor.children import spawn
from marketplace_core._supervisor.keeper import CannotStart, Policy, ProcessSpec, Supervisor
from marketplace_core._supervisor.ports import answers, free_port, in_use
from marketplace_core._supervisor.secrets import deployment_secret, simulator_secret
from marketplace_core._supervisor.servers import KeptServer, prepare, servers_of
from marketplace_core._supervisor.state import RunState, running
from marketplace_core.adapters.embedded import DataFolder, EmbeddedError
from marketplace_core.adapters.native.server import EmbeddedServer
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.embedded import NativePostgres
from marketplace_core.adapters.postgres.kind import POOL_SIZE
from marketplace_core.deployment import Deployment, Resource, load
from marketplace_core.deployment._kinds import address_of, natives

QUICK = Policy(first=0.05, longest=0.2, healthy=1.0, attempts=5)

READY = "from marketplace_core._supervisor.children import notify_ready; notify_ready()"
STEADY = f"import signal, time; signal.signal(15, lambda *_: exit(0)); print('up', flush=True); {READY}; time.sleep(60)"
DEAF = f"import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); {READY}; time.sleep(60)"
BROKEN = "import sys; print('no such table: carts', file=sys.stderr); sys.exit(3)"


def program(name: str, code: str, **more: object) -> ProcessSpec:
    return ProcessSpec(name=name, kind="worker", argv=(sys.executable, "-c", code), **more)  # type: ignore[arg-type]


@pytest.fixture
def data(short_folder: Path) -> Path:
    return short_folder / "data"


@contextlib.asynccontextmanager
async def supervisor(logs: Path, policy: Policy = QUICK) -> AsyncIterator[Supervisor]:
    made = Supervisor(logs, policy=policy)
    try:
        yield made
    finally:
        await made.stop()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def pids(made: Supervisor) -> dict[str, int | None]:
    return {process.name: process.pid for process in made.processes}


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# ── restarts ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_ends_is_started_again_at_once(tmp_path: Path) -> None:
    async with supervisor(tmp_path, Policy(first=8.0, longest=8.0)) as made:
        await made.start([program("one", STEADY), program("two", STEADY)])
        before = pids(made)
        began = time.monotonic()
        os.kill(before["one"] or 0, signal.SIGKILL)
        await until(lambda: pids(made)["one"] not in (before["one"], None))
        assert time.monotonic() - began < 4
        assert [(process.name, process.restarts) for process in made.processes] == [("one", 1), ("two", 0)]
        assert pids(made)["two"] == before["two"]


async def test_pauses_double_up_to_a_limit_and_begin_anew_after_health(tmp_path: Path) -> None:
    mark = tmp_path / "starts"
    # Ends at once at first, as a process does whose server is away; lives for 3 s the seventh time, and then ends again.
    code = f"""
import pathlib, time
mark = pathlib.Path({str(mark)!r})
with mark.open("a") as file: file.write(f"{{time.monotonic()}}\\n")
count = len(mark.read_text().splitlines())
{READY}
time.sleep(3 if count == 7 else 0 if count > 1 else 0.1)
"""
    said: list[str] = []
    made = Supervisor(tmp_path, policy=Policy(first=0.1, longest=0.3, healthy=3.0, attempts=5), say=said.append)
    try:
        await made.start([program("one", code)])
        await until(lambda: mark.exists() and len(mark.read_text().splitlines()) >= 9, 30)
    finally:
        await made.stop()
    pauses = [line.partition("started again ")[2] for line in said if "started again" in line]
    assert pauses[:8] == ["now", "in 0.1 s", "in 0.2 s", "in 0.3 s", "in 0.3 s", "in 0.3 s", "now", "in 0.1 s"]
    starts = [float(line) for line in mark.read_text().splitlines()]
    gaps = [later - earlier for earlier, later in pairwise(starts)]
    assert all(gap >= least for gap, least in zip(gaps, [0.1, 0.1, 0.2, 0.3, 0.3, 0.3, 3.0, 0.1], strict=False))


async def test_what_is_killed_again_and_again_is_never_long_away(tmp_path: Path) -> None:
    """By the policy that a deployment has: as a worker that was killed while its code was being replaced."""
    said: list[str] = []
    made = Supervisor(tmp_path, say=said.append)
    try:
        await made.start([program("one", STEADY)])
        for _ in range(5):
            await until(lambda: pids(made)["one"] is not None)
            told = len(said)
            os.kill(pids(made)["one"] or 0, signal.SIGKILL)
            await until(lambda told=told: len(said) > told)  # type: ignore[misc]
    finally:
        await made.stop()
    pauses = [line.partition("started again ")[2] for line in said]
    assert pauses == ["now", "in 0.5 s", "in 1 s", "in 2 s", "in 4 s"]
    assert Policy().longest <= 5


async def test_what_never_becomes_ready_ends_the_start_with_its_last_lines(tmp_path: Path) -> None:
    async with supervisor(tmp_path) as made:
        with pytest.raises(CannotStart) as caught:
            await made.start([program("fine", STEADY), program("broken", BROKEN)])
        assert caught.value.cause == "broken cannot start (it ended with code 3): no such table: carts"
        assert caught.value.remedy == f"see {tmp_path}/broken.log"
        assert (tmp_path / "broken.log").read_text().count("carts") == 5


async def test_a_program_that_is_not_there_cannot_start(tmp_path: Path) -> None:
    async with supervisor(tmp_path) as made:
        with pytest.raises(CannotStart, match="No such file"):
            await made.start([ProcessSpec(name="none", kind="api", argv=("/no/such/program",))])


async def test_readiness_is_waited_for(tmp_path: Path) -> None:
    port = free_port(None)
    code = f"""
import http.server, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if time.monotonic() > {time.monotonic() + 0.6} else 503)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", {port}), Handler).serve_forever()
"""
    began = time.monotonic()
    assert not in_use(f"127.0.0.1:{port}")
    async with supervisor(tmp_path) as made:
        await made.start([program("web", code, ready=answers(f"0.0.0.0:{port}", "/readyz"))])
        assert time.monotonic() - began > 0.5
        assert in_use(f"127.0.0.1:{port}")
        assert await answers(f"127.0.0.1:{port}", "/readyz")()
    assert not await answers(f"127.0.0.1:{port}", "/readyz")()


# ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_batches_are_stopped_in_reverse_and_asked_first(tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = (
        "import signal, sys, time;"
        "signal.signal(15, lambda *_: (open({0!r}, 'a').write('{1}\\n'), sys.exit(0)));"
        f"print('up', flush=True); {READY}; time.sleep(60)"
    )
    async with supervisor(tmp_path, Policy()) as made:
        batches = [[program(name, code.format(str(order), name))] for name in ("server", "worker", "gateway")]
        await made.start(*batches)
    assert order.read_text().split() == ["gateway", "worker", "server"]


async def test_what_does_not_listen_is_killed_after_its_grace_with_all_it_started(tmp_path: Path) -> None:
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {DEAF!r}]).pid, flush=True); {DEAF}"
    async with supervisor(tmp_path) as made:
        await made.start([program("deaf", code, grace=0.2)])
        await until(lambda: (tmp_path / "deaf.log").read_text().count("up") == 2)
        below = int((tmp_path / "deaf.log").read_text().split()[0])
        began = time.monotonic()
        await made.stop()
        assert 0.2 <= time.monotonic() - began < 2.0
    await until(lambda: not alive(below))


async def test_kill_ends_at_once_what_stop_waits_for(tmp_path: Path) -> None:
    async with supervisor(tmp_path) as made:
        await made.start([program("a", DEAF, grace=30.0)], [program("b", DEAF, grace=30.0)])
        numbers = [pid or 0 for pid in pids(made).values()]
        stopping = asyncio.create_task(made.stop())
        await asyncio.sleep(0.1)
        assert not stopping.done()
        made.kill()
        await asyncio.wait_for(stopping, 5)
    assert not any(alive(number) for number in numbers)


async def test_what_a_crashed_process_left_in_its_group_goes_with_it(tmp_path: Path) -> None:
    code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {DEAF!r}]).pid, flush=True); {STEADY}"
    async with supervisor(tmp_path) as made:
        await made.start([program("parent", code)])
        await until(lambda: (tmp_path / "parent.log").read_text().count("up") == 2)
        below = int((tmp_path / "parent.log").read_text().split()[0])
        os.kill(pids(made)["parent"] or 0, signal.SIGKILL)
        await until(lambda: not alive(below))


# ── embedded servers ─────────────────────────────────────────────────────────────────────────────────────────


def deployment(**more: object) -> Deployment:
    resources = [
        Resource(name="main", url="embedded:postgres", kind="postgres", embedded=True),
        Resource(name="lasting", url="embedded:redis", kind="redis", embedded=True),
        Resource(name="hot", url="embedded:redis", kind="redis", embedded=True, lasting=False, settings={"role": "cache"}),
        Resource(name="files", url="embedded:folder", kind="folder", embedded=True),
        Resource(name="far", url="env:FAR_AWAY", kind="postgres"),
        Resource(name="shelf", url="folder:/srv/shelf", kind="folder"),
    ]
    made = Deployment(file=Path("/etc/shop.toml"), name="shop", currency="EUR", resources={r.name: r for r in resources})
    return msgspec.structs.replace(made, **more)


async def test_embedded_servers_are_kept_like_any_other_process(data: Path) -> None:
    shop = deployment()
    with DataFolder(data, "supervisor"):
        async with supervisor(data / "logs") as made:
            await made.start(servers_of(shop, data))
            assert list(pids(made)) == ["postgres", "redis-lasting", "redis-cache"]
            await prepare(shop, data, "after")
            for name in ("redis-lasting", "postgres"):
                former = pids(made)[name]
                os.kill(former or 0, signal.SIGKILL)
                await until(lambda name=name, former=former: pids(made)[name] not in (former, None))
            await prepare(shop, data, "after")
            assert [process.restarts for process in made.processes] == [1, 1, 0]
            numbers = [pid or 0 for pid in pids(made).values()]
        assert not any(alive(number) for number in numbers)


async def test_the_embedded_server_takes_every_connection_that_a_deployment_may_open(data: Path) -> None:
    split = load(Path(__file__).parents[2] / "examples" / "split.toml")
    most = 0
    for service in split.services.values():
        used = sum(1 for inside in Assembly.of(split).databases().values() if set(inside) & set(split.plugins_of(service.name)))
        most += service.replicas * used * 2 * POOL_SIZE  # the API's and the worker's
    native = next(one for one in natives(split, data) if isinstance(one, NativePostgres))
    assert native.connections() > most > 100
    async with supervisor(data / "logs") as made:
        with DataFolder(data, "supervisor"):
            await made.start([server for server in servers_of(split, data) if server.name == "postgres"])
            await prepare(split, data, "after")
            database = Database(address_of(split, data, "orders"))
            assert await database.value("SHOW max_connections") == str(native.connections())
            await database.close()
            await made.stop()


def test_the_address_of_any_resource(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAR_AWAY", "postgres://u:p@far/shop")
    shop = deployment()
    assert address_of(shop, data, "main") == f"postgres://db_main@/main?host={data}/run/postgres"
    assert address_of(shop, data, "hot") == f"unix://{data}/run/redis-cache/redis.sock?db=0"
    assert address_of(shop, data, "files") == f"file://{data}/folders/files"
    assert address_of(shop, data, "far") == "postgres://u:p@far/shop"
    assert address_of(shop, data, "shelf") == "file:///srv/shelf"


# ── state and secrets ────────────────────────────────────────────────────────────────────────────────────────


def test_a_state_counts_only_while_its_supervisor_holds_the_folder(data: Path) -> None:
    def state(pid: int) -> RunState:
        return RunState(
            supervisor=pid,
            file="/etc/shop.toml",
            clock="movable",
            listen={"market": "127.0.0.1:9000"},
            audiences={},
            simulators={},
            processes=[],
        )

    assert running(data) is None
    with DataFolder(data, "supervisor"):
        run_state.write(data, state(os.getpid()))
        assert running(data) == state(os.getpid())
        assert run_state.as_running(deployment(), data).clock == "movable"
        other = deployment(file=Path("/etc/other.toml"))
        assert run_state.as_running(other, data) is other
        run_state.write(data, state(1))
        assert running(data) is None
    run_state.write(data, state(os.getpid()))
    assert running(data) is None


def test_secrets_are_made_once_and_for_nobody_else(data: Path) -> None:
    data.mkdir()
    shop = deployment()
    secret = deployment_secret(shop, data)
    assert len(secret) == 64
    assert deployment_secret(shop, data) == secret
    assert (data / "secret").stat().st_mode & 0o777 == 0o600
    assert simulator_secret(data).startswith("whsec_")
    assert simulator_secret(data) == simulator_secret(data)
    assert sorted(path.name for path in data.iterdir()) == ["secret", "simulators"]


def test_a_port_is_kept_if_it_is_free() -> None:
    port = free_port(None)
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert in_use(f"127.0.0.1:{port}")
        assert free_port(port) != port


def test_a_port_that_was_given_away_is_given_to_nobody_else() -> None:
    """Before anybody listens there, and while who did is started again: HTTP servers would share it."""
    port = free_port()
    ask = f"from marketplace_core._supervisor.ports import free_port; print(free_port({port}))"

    def another() -> int:
        return int(subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True).stdout)

    assert another() != port
    os.close(ports._held.pop(port))
    assert another() == port
    assert free_port(port) == port, "it is free again with the end of who was given it"


def test_only_so_many_ports_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "_held", {})
    monkeypatch.setattr(ports, "_MOST_HELD", 3)
    given = [free_port() for _ in range(5)]
    assert list(ports._held) == given[2:]
    for descriptor in ports._held.values():
        os.close(descriptor)


class _Slow(EmbeddedServer):
    """Answers after 200 s, or would; who gives it less learns at once that it was not ready."""

    _title, _end = "slow", signal.SIGTERM

    def __init__(self, data: Path) -> None:
        super().__init__(data, "slow")
        self.given: list[float] = []

    async def _start(self, patience: float) -> None:
        self.given.append(patience)
        if patience < 200:
            raise EmbeddedError("slow is not ready", "wait for it")
        self._child = await spawn("slow", [sys.executable, "-c", "import time; time.sleep(60)"], log=self._log)

    async def stop(self) -> None:
        if self._child is not None:
            await self._child.stop()
        self._release()


async def test_a_server_that_was_not_ready_in_time_is_given_more_the_next_time(tmp_path: Path) -> None:
    server = _Slow(tmp_path)
    supervisor = Supervisor(None, policy=QUICK)
    await supervisor.start([KeptServer("slow", server)])
    await supervisor.stop()
    assert server.given == [60.0, 120.0, 240.0]
