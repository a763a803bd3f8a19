"""The fork server: what it makes is ours as if we had started it, and costs no imports."""

from __future__ import annotations

import ast
import asyncio
import ctypes
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import psutil
import pytest

from marketplace_core._supervisor.children import Child
from marketplace_core._supervisor.forks import ForkServer
from marketplace_core._supervisor.keeper import ProcessSpec, Supervisor
from marketplace_core.testing._forks import command

PROGRAM = """
import os, signal, sys, threading, time
from marketplace_core._supervisor.children import notify_ready
from marketplace_core.values import new_id

def main(what, *more):
    if what == "tell":
        print(os.environ.get("COLOUR"), os.environ.get("HOME"), os.getcwd(), sys.argv[1:], sys.stdin.read(), flush=True)
    elif what == "id":
        print(new_id(), flush=True)
    elif what == "end":
        print("ending", file=sys.stderr)
        sys.exit(int(more[0]))
    elif what == "fail":
        raise ValueError("two")
    elif what == "interrupt":
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)
    else:
        print("up", flush=True)
        notify_ready()
        time.sleep(60)

if __name__ == "__main__":
    main(*sys.argv[1:])
"""
STARTER = """
import asyncio, sys
from pathlib import Path
from marketplace_core._supervisor.forks import ForkServer

async def main():
    forks = ForkServer("fork_preload:load")
    child = await forks.spawn("sleeper", [sys.executable, "-m", "fork_program", "sleep"], log=Path("/dev/null"))
    print(child.pid, forks.pid, flush=True)
    await child.wait()

if sys.argv[1] == "uvloop":
    import uvloop as loop
else:
    import asyncio as loop
loop.run(main())
"""
PR_GET_CHILD_SUBREAPER = 37


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a fork server finds ``fork_preload`` and ``fork_program``."""
    (tmp_path / "fork_preload.py").write_text("def load(*names):\n    import marketplace_core._runtime.serve\n")
    (tmp_path / "fork_program.py").write_text(PROGRAM)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.fixture
def server(modules: Path) -> Iterator[ForkServer]:
    made = ForkServer("fork_preload:load")
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def sleeper(server: ForkServer, tmp_path: Path) -> AsyncIterator[Child]:
    child = await spawned(server, "sleep", log=tmp_path / "log")
    await until(lambda: (tmp_path / "log").read_text() == "up\n")
    yield child
    child.kill()
    await child.wait()


async def spawned(server: ForkServer, *arguments: str, **options: object) -> Child:
    return await server.spawn("child", [sys.executable, "-m", "fork_program", *arguments], **options)  # type: ignore[arg-type]


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_what_it_makes_is_our_child_in_a_group_of_its_own(server: ForkServer, sleeper: Child) -> None:
    process = psutil.Process(sleeper.pid)
    assert process.ppid() == os.getpid()
    assert os.getpgid(sleeper.pid) == sleeper.pid
    assert process.cmdline()[-3:] == ["-m", "fork_program", "sleep"]
    assert psutil.Process(server.pid).cmdline() == ["marketplace", "fork", "server"]
    assert await sleeper.stop() == -signal.SIGTERM
    assert await sleeper.stop() == sleeper.returncode == -signal.SIGTERM


async def test_its_environment_folder_input_and_output_are_those_given(server: ForkServer, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    log = tmp_path / "logs" / "log"
    child = await spawned(server, "tell", "x", env={"COLOUR": "red"}, cwd=folder, log=log)
    assert await child.wait() == 0
    assert log.read_text() == f"red None {folder} ['tell', 'x'] \n"
    again = await spawned(server, "end", "3", log=log)
    assert await again.wait() == 3
    assert log.read_text().endswith("\nending\n")


async def test_an_error_and_an_interrupt_end_it_as_they_end_any_program(server: ForkServer, tmp_path: Path) -> None:
    failed = await spawned(server, "fail", log=tmp_path / "log")
    assert await failed.wait() == 1
    assert (tmp_path / "log").read_text().endswith("ValueError: two\n")
    interrupted = await spawned(server, "interrupt", log=tmp_path / "log")
    assert await interrupted.wait() == -signal.SIGINT


def test_a_program_is_run_to_its_end(server: ForkServer) -> None:
    done = server.run(["fork_program", "tell"], given="typed in")
    assert (done.returncode, done.stdout.split()[-2:], done.stderr) == (0, ["typed", "in"], "")
    assert server.run(["fork_program", "end", "7"]).returncode == 7
    with pytest.raises(subprocess.TimeoutExpired):
        server.run(["fork_program", "sleep"], timeout=0.2)


async def test_it_imports_nothing_again(server: ForkServer) -> None:
    def cpu() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    server.run(["fork_program", "id"])
    before = cpu()
    for _ in range(5):
        server.run(["fork_program", "id"])
    assert (cpu() - before) / 5 < 0.15, "by itself each imports for a second"


async def test_two_of_them_make_different_ids(server: ForkServer) -> None:
    made = [server.run(["fork_program", "id"]).stdout for _ in range(5)]
    assert len({one[-13:] for one in made}) == len(made), "the part that is made by chance"


async def test_many_at_once(server: ForkServer, tmp_path: Path) -> None:
    children = await asyncio.gather(*(spawned(server, "end", str(n), log=tmp_path / "log") for n in range(1, 21)))
    assert await asyncio.gather(*(child.wait() for child in children)) == list(range(1, 21))


async def test_they_live_on_without_it_and_it_is_started_again(server: ForkServer, sleeper: Child, tmp_path: Path) -> None:
    former = server.pid
    assert former is not None
    os.kill(former, signal.SIGKILL)
    await until(lambda: server.pid is None)
    another = await spawned(server, "end", "4", log=tmp_path / "other")
    assert await another.wait() == 4
    assert server.pid not in (former, None)
    assert sleeper.running


async def test_we_take_in_orphans_only_while_we_ask(server: ForkServer, sleeper: Child) -> None:
    taken = ctypes.c_int(1)
    ctypes.CDLL(None).prctl(PR_GET_CHILD_SUBREAPER, ctypes.byref(taken), 0, 0, 0)
    assert taken.value == 0
    assert [child.pid for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_they_end_with_their_killed_parent(modules: Path, loop: str) -> None:
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, loop, stdout=asyncio.subprocess.PIPE, env={**os.environ}
    )
    assert starter.stdout is not None
    pids = [int(each) for each in (await starter.stdout.readline()).split()]
    assert all(map(alive, pids))
    starter.kill()
    await starter.communicate()
    await until(lambda: not any(map(alive, pids)), 1.0)


async def test_where_an_import_starts_a_thread_programs_are_started_as_ever(modules: Path) -> None:
    """What the thread had locked at that moment would be locked in the child for ever."""
    (modules / "fork_preload.py").write_text(
        "import threading, time\ndef load():\n    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    server = ForkServer("fork_preload:load")
    child = await spawned(server, "end", "5")
    assert await child.wait() == 5
    assert server.run(["fork_program", "end", "6"]).returncode == 6
    server.stop()


async def test_the_supervisor_keeps_them_like_any_other(server: ForkServer, tmp_path: Path) -> None:
    made = Supervisor(tmp_path, spawn=server.spawn)
    try:
        spec = ProcessSpec(name="one", kind="worker", argv=(sys.executable, "-m", "fork_program", "sleep"))
        await made.start([spec])
        former = made.processes[0].pid
        os.kill(former or 0, signal.SIGKILL)
        await until(lambda: made.processes[0].pid not in (former, None))
        assert made.processes[0].restarts == 1
    finally:
        await made.stop()


def test_commands_of_a_test_are_forked() -> None:
    done = command("check", "none.toml", env={**os.environ, "COLUMNS": "80"})
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith("none.toml: file: it cannot be read")


def test_no_module_keeps_what_differs_from_process_to_process() -> None:
    """It is imported once for all of them: a process id that was asked for then would be the fork server's."""
    root = Path(__file__).parents[2]
    found = []
    for file in sorted([*root.glob("src/**/*.py"), *root.glob("plugins/*/src/**/*.py"), *root.glob("examples/*/src/**/*.py")]):
        module = ast.parse(file.read_text())
        at_import = [
            each for each in module.body if not isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        ]
        for node in (node for statement in at_import for node in ast.walk(statement)):
            if isinstance(node, ast.Attribute) and node.attr in {"getpid", "getppid", "urandom", "new_id"}:
                found.append(f"{file.relative_to(root)}:{node.lineno}")
    assert found == []
