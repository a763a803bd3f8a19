"""Children of the supervisor: started so that none of them outlives it, whatever ends it.

The kernel itself sends `death_signal` to a child when its parent goes (`PR_SET_PDEATHSIG`), so a SIGKILL of
the supervisor is enough to end everything below it. Two properties of that call shape this module:

- it is bound to the *thread* that forked: start children from the thread that lives as long as the process
  does, which for an event loop run by `asyncio.run` in the main thread is the case;
- a change of user clears it: the user is dropped first, the signal set afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import pwd
import signal
import socket
from asyncio.subprocess import DEVNULL, STDOUT
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

_PR_SET_PDEATHSIG = 1
_NOT_STARTED = 127
#: The environment variable of systemd's protocol.
NOTIFY = "NOTIFY_SOCKET"
#: In that protocol names that begin so are anybody's own.
_WATCHED = b"X_MARKETPLACE_METRICS="


@dataclass(frozen=True)
class SystemUser:
    """An account of the machine with the groups that it is in."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @classmethod
    def named(cls, name: str) -> SystemUser:
        """Raises KeyError if the machine has no such account."""
        entry = pwd.getpwnam(name)
        return cls(name, entry.pw_uid, entry.pw_gid, tuple(os.getgrouplist(name, entry.pw_gid)))


class Started(Protocol):
    """What a child is of, whichever way it began; ``returncode`` is None while it runs."""

    @property
    def pid(self) -> int: ...

    @property
    def returncode(self) -> int | None: ...

    async def wait(self) -> int: ...

    def send_signal(self, signal: int, /) -> None: ...

    def kill(self) -> None: ...


class Child:
    """A process started by `spawn`, or by a fork server. Any number of tasks may wait for it."""

    def __init__(self, name: str, process: Started, *, group: bool) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._group = group

    def __repr__(self) -> str:
        state = "running" if self.running else f"ended with {self.returncode}"
        return f"<Child {self.name} pid={self.pid} {state}>"

    @property
    def returncode(self) -> int | None:
        """None while it runs; minus the signal's number if a signal ended it."""
        return self._process.returncode

    @property
    def running(self) -> bool:
        return self._process.returncode is None

    async def wait(self) -> int:
        return await self._process.wait()

    def send(self, number: int) -> None:
        """Send a signal to the process alone, not to its group; nothing happens if it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self, signal: int = signal.SIGTERM, grace: float = 10.0) -> int:
        """Ask with `signal`, after `grace` seconds kill it with its whole group. Returns the code."""
        self.send(signal)
        try:
            return await asyncio.wait_for(self._process.wait(), grace)
        except TimeoutError:
            self.kill()
            return await self._process.wait()

    def kill(self) -> None:
        """SIGKILL to the process and, if it has a group of its own, to all in it."""
        if not self.running:
            return
        with contextlib.suppress(ProcessLookupError):
            if self._group:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self._process.kill()


async def spawn(
    name: str,
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
    user: str | None = None,
    cwd: Path | None = None,
    new_group: bool = True,
    death_signal: int = signal.SIGKILL,
    pass_fds: Sequence[int] = (),
) -> Child:
    """Start a child that gets `death_signal` when the thread that called this ends.

    Its output is appended to `log`, or goes where ours goes. `env` replaces the environment. In a group of
    its own a child does not hear the terminal's Ctrl-C: stopping it is up to us. `user` needs root, unless
    it is our own. `pass_fds` stay open in the child, under the same numbers. Raises OSError if the program
    cannot be started, KeyError if there is no such user.
    """
    account = SystemUser.named(user) if user is not None else None
    if account is not None and account.uid == os.geteuid():
        account = None
    output = None if log is None else open_log(log)
    try:
        process = await asyncio.create_subprocess_exec(
            *(os.fspath(part) for part in argv),
            stdin=DEVNULL,
            stdout=output,
            stderr=None if output is None else STDOUT,
            env=None if env is None else dict(env),
            cwd=cwd,
            pass_fds=tuple(pass_fds),
            preexec_fn=in_child(account, new_group, death_signal),
        )
    finally:
        if output is not None:
            os.close(output)
    return Child(name, process, group=new_group)


def open_log(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)


def in_child(user: SystemUser | None, new_group: bool, death_signal: int) -> Callable[[], None]:
    """What runs between fork and exec, where one must not import or lock: all else is done before."""
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    prctl.restype = ctypes.c_int

    def prepare() -> None:
        if new_group:
            os.setpgid(0, 0)
        if user is not None:
            os.setgroups(user.groups)
            os.setgid(user.gid)
            os.setuid(user.uid)
        if prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
            os._exit(_NOT_STARTED)
        if os.getppid() != parent:  # it died before the line above, so no signal will come
            os._exit(_NOT_STARTED)

    return prepare


class Readiness:
    """How a child tells us that it is ready: systemd's protocol (sd_notify), on a socket that is but a name.

    ``watched`` is the ``host:port`` at which it said that it answers those who watch it.
    """

    def __init__(self, name: str) -> None:
        self.watched: str | None = None
        self._name = f"marketplace/{os.getpid()}/{id(self)}/{name}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        self._socket.bind(f"\0{self._name}")

    @property
    def env(self) -> dict[str, str]:
        return {NOTIFY: f"@{self._name}"}

    def told(self) -> bool:
        """Whether it has said so since this was last asked."""
        ready = False
        with contextlib.suppress(BlockingIOError):
            while True:
                for line in self._socket.recv(4096).split(b"\n"):
                    ready |= line == b"READY=1"
                    if line.startswith(_WATCHED):
                        self.watched = line.removeprefix(_WATCHED).decode()
        return ready

    def close(self) -> None:
        self._socket.close()


def notify_ready(watched: str | None = None) -> None:
    """Tell whoever started us that we do our work, and where we are ``watched``: our supervisor, or systemd."""
    address = os.environ.get(NOTIFY, "")
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
        also = b"" if watched is None else b"\n" + _WATCHED + watched.encode()
        sender.sendto(b"READY=1" + also, f"\0{address[1:]}" if address.startswith("@") else address)


def memory(pid: int, *, tree: bool = False) -> int:
    """Bytes that a process takes, pages it shares counted by its share of them (PSS); 0 if it is gone.

    With `tree`, those of its descendants too. Where the kernel does not say, resident bytes.
    """
    pids = [pid]
    if tree:
        with contextlib.suppress(psutil.Error):
            pids += [child.pid for child in psutil.Process(pid).children(recursive=True)]
    return sum(_memory(each) for each in pids)


def _memory(pid: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(psutil.Error):
        return int(psutil.Process(pid).memory_info().rss)
    return 0
