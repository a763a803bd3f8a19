"""A process that has imported what the programs of a deployment need, and becomes one of them by forking.

Imports are nearly all that a start costs: 1.0 to 1.5 s of CPU, and 50 ms where they are there already. This is the program
(``python -m marketplace_core._supervisor.fork_server FD MODULE:FUNCTION ARGUMENT …``); who asks it is :mod:`.forks`.

The kernel sends the parent-death signal when a process's *parent* ends, and only a parent may wait for a child. So that both
are the supervisor, as for all that it starts, each child is forked twice: the one in between ends at once, and the kernel
gives the orphan to the nearest ancestor that takes orphans in (``PR_SET_CHILD_SUBREAPER``), which the supervisor does while it
asks. From then on the child is the supervisor's own, and it does not matter to it what becomes of this process.

Nothing here may start a thread: it would not be there in the child, and what it had locked would be locked for ever.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

__all__ = ["ASK_BYTES", "ROOM", "main"]

ASK_BYTES = 256 * 1024
#: The last argument of the program: room for the names of what it becomes, as `ps` shows them.
ROOM = "-" * 2048
_PR_SET_PDEATHSIG = 1
_FAILED = 127


def main(arguments: Sequence[str]) -> None:
    """Until whoever asks has gone. In a child: the program that it has become."""
    descriptor, preload, *names = arguments[:-1]
    asked = socket.socket(fileno=int(descriptor))
    parent = os.getppid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _entitle(("marketplace fork server",))
    gc.disable()
    module, _, function = preload.partition(":")
    for _ in getattr(importlib.import_module(module), function)(*names) or ():
        while select.select([asked], [], [], 0)[0]:  # it needs no more than there is by now
            if (program := _forked(asked, parent)) is not None:
                return _become(*program)
    gc.collect()
    gc.freeze()  # a search for cycles would write to every page that is shared
    while (program := _forked(asked, parent)) is None:
        pass
    return _become(*program)


def _forked(asked: socket.socket, parent: int) -> tuple[dict[str, Any], list[int]] | None:
    """Answer one request. In the child: what it is to become, with its streams."""
    request, streams, _, _ = socket.recv_fds(asked, ASK_BYTES, 4)
    if not request or len(os.listdir("/proc/self/task")) > 1:  # an import has started a thread
        os._exit(0)  # whoever asks has gone, or starts programs as anybody does
    answer = streams.pop(0)
    if _is_child(parent, answer):
        asked.close()
        return json.loads(request), streams
    for each in (answer, *streams):
        os.close(each)
    return None


def _is_child(parent: int, answer: int) -> bool:
    """Fork. True in the child, once it is the ``parent``'s; it has told its process id then."""
    reading, writing = os.pipe()
    between = os.fork()
    if between:
        os.close(reading)
        os.waitpid(between, 0)
        os.close(writing)  # its parent is another from now on
        return False
    if os.fork():
        os._exit(0)
    os.close(writing)
    os.read(reading, 1)
    os.close(reading)
    if ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0) != 0 or os.getppid() != parent:
        os._exit(_FAILED)
    os.setpgid(0, 0)
    os.write(answer, str(os.getpid()).encode())
    os.close(answer)
    return True


def _become(program: dict[str, Any], streams: list[int]) -> None:
    """``python -m`` of a module."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.environ.clear()
    os.environ.update(program["env"])
    if program["cwd"] is not None:
        os.chdir(program["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    module, *arguments = program["argv"]
    sys.argv = [module, *arguments]
    sys.orig_argv = [sys.executable, "-m", module, *arguments]
    _entitle(sys.orig_argv)
    gc.enable()
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _entitle(argv: Sequence[str]) -> None:
    """What `ps` shows of this process: the kernel reads it where the arguments were, up to a zero if the last byte is none."""
    with contextlib.suppress(OSError, ValueError):
        with open("/proc/self/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end of proc(5), where a program may see its own
        size = end - start
        text = " ".join(argv).encode()[: size - 2]
        ctypes.memmove(start, text + bytes(size - 1 - len(text)) + b".", size)


if __name__ == "__main__":
    main(sys.argv[1:])
