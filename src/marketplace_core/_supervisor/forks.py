"""Programs of ours that begin as forks of a process which has imported them already: see :mod:`.fork_server`."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from marketplace_core._supervisor.children import Child, in_child, open_log, spawn
from marketplace_core._supervisor.fork_server import ASK_BYTES, ROOM

__all__ = ["ForkServer", "Forked"]

_PROGRAM = "marketplace_core._supervisor.fork_server"
_PR_SET_CHILD_SUBREAPER = 36


class Forked:
    """A child by a fork server: ours to wait for. From one thread or event loop at a time."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._descriptor = os.pidfd_open(pid)
        self._waiting: asyncio.Task[int] | None = None

    async def wait(self) -> int:
        if self.returncode is None:
            if self._waiting is None:
                self._waiting = asyncio.create_task(self._wait())
            return await asyncio.shield(self._waiting)
        return self.returncode

    async def _wait(self) -> int:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._descriptor)
        return self.reap()

    def reap(self) -> int:
        """The code, once it has ended; waits for that."""
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
            os.close(self._descriptor)
        return self.returncode

    def ended(self, seconds: float | None) -> bool:
        """Whether it has within so many seconds (None: it is waited for)."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN)
        return self.returncode is not None or bool(poll.poll(None if seconds is None else seconds * 1000))

    def send_signal(self, number: int) -> None:
        signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Started by :meth:`start`, and ended by :meth:`stop` or with its parent; what it made for us lives on without it.

    Where there can be none (no Linux, a plugin that starts a thread when it is imported), programs are started as ever.
    """

    def __init__(self, preload: str, *names: str) -> None:
        """``preload``: ``module:function``, which imports what programs need when it is called with ``names``."""
        self._preload, self._names = preload, names
        self._asking: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._adopting = 0
        self._works = sys.platform == "linux"

    @property
    def pid(self) -> int | None:
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self) -> None:
        """It imports meanwhile; who asks it earlier waits for that. From the thread that lives as long as we do."""
        if not self._works or self.pid is not None:
            return
        self.stop()
        self._asking, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._asking.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ASK_BYTES)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", _PROGRAM, str(theirs.fileno()), self._preload, *self._names, ROOM],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                preexec_fn=in_child(None, True, signal.SIGKILL),  # noqa: PLW1509 - it neither imports nor locks
            )

    def stop(self) -> None:
        if self._asking is not None:
            self._asking.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._asking = self._process = None

    async def spawn(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        log: Path | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """As :func:`marketplace_core._supervisor.children.spawn`: in a group of its own, killed when we end."""
        if self._works and list(argv[:2]) == [sys.executable, "-m"]:
            with contextlib.ExitStack() as stack:
                given = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, given)
                streams = [given, 1, 2]
                if log is not None:
                    streams[1:] = [open_log(log)] * 2
                    stack.callback(os.close, streams[1])
                made = await self._forked([os.fspath(each) for each in argv[2:]], env, cwd, streams)
            if made is not None:
                return Child(name, made, group=True)
        return await spawn(name, argv, env=env, log=log, cwd=cwd)

    async def _forked(
        self, argv: list[str], env: Mapping[str, str] | None, cwd: Path | None, streams: list[int]
    ) -> Forked | None:
        with self._takes_in():
            for _ in range(2):  # one that was killed is started again, once
                if (answer := self._ask(argv, env, cwd, streams)) is None:
                    continue
                with answer:
                    answer.setblocking(False)
                    told = await asyncio.get_running_loop().sock_recv(answer, 32)
                if told:
                    return Forked(int(told))
        self._works = False
        return None

    def fork(self, argv: Sequence[str], *, env: Mapping[str, str] | None = None, streams: Sequence[int] = (0, 1, 2)) -> Forked:
        """The same at once, for who has no event loop: ``argv`` begins with the module; ``streams`` become its own."""
        with self._takes_in():
            for _ in range(2 * self._works):
                if (answer := self._ask(list(argv), env, None, list(streams))) is None:
                    continue
                with answer:
                    told = answer.recv(32)
                if told:
                    return Forked(int(told))
        self._works = False
        program = [sys.executable, "-m", *argv]
        actions = [(os.POSIX_SPAWN_DUP2, stream, number) for number, stream in enumerate(streams)]
        return Forked(
            os.posix_spawn(sys.executable, program, os.environ if env is None else env, file_actions=actions, setpgroup=0)
        )

    def run(
        self, argv: Sequence[str], *, given: str = "", env: Mapping[str, str] | None = None, timeout: float | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a module to its end, as :func:`subprocess.run` does; ``given`` is typed in.

        :raises subprocess.TimeoutExpired: it took longer than ``timeout`` seconds, and was killed.
        """
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(open(os.memfd_create(name), "w+b")) for name in ("given", "output", "errors")]
            files[0].write(given.encode())
            files[0].seek(0)
            made = self.fork(argv, env=env, streams=[file.fileno() for file in files])
            try:
                if not made.ended(timeout):
                    raise subprocess.TimeoutExpired(list(argv), timeout or 0)
            except BaseException:
                made.kill()
                raise
            finally:
                code = made.reap()
            output, errors = (os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0).decode() for file in files[1:])
            return subprocess.CompletedProcess(list(argv), code, output, errors)

    def _ask(
        self, argv: list[str], env: Mapping[str, str] | None, cwd: Path | None, streams: list[int]
    ) -> socket.socket | None:
        """Where it will tell the process id of who is forked; None if it is not there."""
        self.start()
        answer, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        request = {"argv": argv, "env": dict(os.environ if env is None else env), "cwd": cwd and os.fspath(cwd)}
        with theirs, contextlib.ExitStack() as stack:
            stack.callback(answer.close)
            with contextlib.suppress(OSError):
                if self._asking is not None:
                    socket.send_fds(self._asking, [json.dumps(request).encode()], [theirs.fileno(), *streams])
                    stack.pop_all()
                    return answer
        return None

    @contextlib.contextmanager
    def _takes_in(self) -> Iterator[None]:
        """Orphans among our descendants become our children: for as long as we ask for one, so that we get no others."""
        with self._lock:
            self._adopting += 1
            _take_in(True)
        try:
            yield
        finally:
            with self._lock:
                self._adopting -= 1
                if self._adopting == 0:
                    _take_in(False)


def _take_in(orphans: bool) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, int(orphans), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "no orphans can be taken in")
