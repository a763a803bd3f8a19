from __future__ import annotations

import asyncio
import os
import pwd
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from marketplace_core._supervisor.children import Child, SystemUser, memory, spawn

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys, time;"
    "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    "print(p.pid, flush=True); time.sleep(60)",
]
STARTER = """
import asyncio, sys
from pathlib import Path
from marketplace_core._supervisor.children import spawn

async def main():
    child = await spawn("sleeper", [sys.executable, "-c", "import time; time.sleep(60)"])
    print(child.pid, flush=True)
    await child.wait()

if sys.argv[1] == "uvloop":
    import uvloop as loop
else:
    import asyncio as loop
loop.run(main())
"""


async def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def started(log: Path, argv: list[str], *, new_group: bool = True) -> Child:
    child = await spawn("child", argv, log=log, new_group=new_group)
    await until(lambda: log.read_text().endswith("\n"))
    return child


async def test_output_is_appended_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "child.log"
    both = [sys.executable, "-c", "import os; os.write(1, b'out\\n'); os.write(2, b'err\\n')"]
    for _ in range(2):
        child = await spawn("child", both, log=log)
        assert await child.wait() == 0
    assert log.read_text() == "out\nerr\n" * 2
    assert not child.running


async def test_environment_and_folder_are_those_given(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "import os; print(os.environ['COLOUR'], os.environ.get('HOME'), os.getcwd())"
    child = await spawn("child", [sys.executable, "-c", script], env={"COLOUR": "red"}, log=log, cwd=tmp_path)
    await child.wait()
    assert log.read_text() == f"red None {tmp_path}\n"


async def test_a_missing_program_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await spawn("child", [tmp_path / "nothing"])


async def test_an_unknown_user_raises() -> None:
    with pytest.raises(KeyError):
        await spawn("child", SLEEPER, user="no-such-user")


async def test_stop_asks_first(tmp_path: Path) -> None:
    child = await started(tmp_path / "log", SLEEPER)
    assert child.running
    assert child.returncode is None
    assert await child.stop() == -signal.SIGTERM
    assert child.returncode == -signal.SIGTERM
    assert await child.stop() == -signal.SIGTERM


async def test_stop_kills_what_does_not_listen(tmp_path: Path) -> None:
    child = await started(tmp_path / "log", DEAF)
    assert await child.stop(grace=0.1) == -signal.SIGKILL


async def test_several_tasks_may_wait(tmp_path: Path) -> None:
    child = await started(tmp_path / "log", SLEEPER)
    waiting = [asyncio.create_task(child.wait()) for _ in range(3)]
    await child.stop()
    assert await asyncio.gather(*waiting) == [-signal.SIGTERM] * 3


async def test_kill_takes_the_whole_group(tmp_path: Path) -> None:
    child = await started(tmp_path / "log", PARENT)
    grandchild = int((tmp_path / "log").read_text())
    child.kill()
    await child.wait()
    await until(lambda: not alive(grandchild))


async def test_a_child_has_a_group_of_its_own_unless_told_otherwise(tmp_path: Path) -> None:
    own = await started(tmp_path / "own", SLEEPER)
    shared = await started(tmp_path / "shared", SLEEPER, new_group=False)
    try:
        assert os.getpgid(own.pid) == own.pid
        assert os.getpgid(shared.pid) == os.getpgid(0)
    finally:
        for child in own, shared:
            child.kill()
            await child.wait()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_child_ends_with_its_killed_parent(loop: str) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", STARTER, loop, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert starter.stdout is not None
    pid = int(await starter.stdout.readline())
    assert alive(pid)
    starter.kill()
    await starter.communicate()
    await until(lambda: not alive(pid), 1.0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_a_child_of_another_user_ends_with_its_killed_parent_too(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = (
        "import ctypes, os, time;"
        "number = ctypes.c_int();"
        "ctypes.CDLL(None).prctl(2, ctypes.byref(number));"
        "print(os.getuid(), os.getgid(), os.getgroups(), number.value)"
    )
    child = await spawn(
        "child",
        ["/usr/bin/env", "python3", "-c", script],
        log=log,
        user="nobody",
        death_signal=signal.SIGQUIT,
    )
    assert await child.wait() == 0
    user = SystemUser.named("nobody")
    assert log.read_text() == f"{user.uid} {user.gid} {list(user.groups)} {int(signal.SIGQUIT)}\n"


async def test_our_own_user_needs_no_root(tmp_path: Path) -> None:
    child = await spawn("child", ["/bin/true"], user=pwd.getpwuid(os.geteuid()).pw_name)
    assert await child.wait() == 0


async def test_memory_counts_a_process_and_with_tree_what_is_below(tmp_path: Path) -> None:
    child = await started(tmp_path / "log", PARENT)
    grandchild = int((tmp_path / "log").read_text())
    await asyncio.sleep(0.1)
    try:
        assert memory(child.pid) > 1_000_000
        assert memory(child.pid, tree=True) > memory(child.pid) + memory(grandchild) // 2
    finally:
        child.kill()
        await child.wait()
    assert memory(child.pid) == 0
