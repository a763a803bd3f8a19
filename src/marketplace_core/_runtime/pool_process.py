"""A process of a pool: does one thing after another, and ends with the process that started it."""

from __future__ import annotations

import ctypes
import os
import pickle
import signal
import struct
import sys
import traceback
from typing import Any, BinaryIO

_PR_SET_PDEATHSIG = 1
_HEADER = struct.Struct("!Q")


def main(parent: int) -> None:
    """:param parent: its process id."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above, so no signal will come
        return
    for number in (signal.SIGINT, signal.SIGTERM):  # of a terminal or a supervisor to the whole group: the parent ends us
        signal.signal(number, signal.SIG_IGN)
    asked = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what work prints is no answer
    while header := asked.read(_HEADER.size):
        packed = asked.read(*_HEADER.unpack(header))
        _answer(answers, _result(packed))


def _result(packed: bytes) -> bytes:
    """A pickle of whether it failed and what it gave or raised."""
    try:
        work, args, kwargs = pickle.loads(packed)  # noqa: S301 - our own parent's
        return _pickled(False, work(*args, **kwargs))
    except BaseException as error:
        error.add_note("".join(traceback.format_tb(error.__traceback__)))
        try:
            packed = _pickled(True, error)
            pickle.loads(packed)  # noqa: S301 - some can only be pickled
            return packed
        except Exception:
            return _pickled(True, RuntimeError("".join(traceback.format_exception(error))))


def _pickled(failed: bool, value: Any) -> bytes:
    return pickle.dumps((failed, value), pickle.HIGHEST_PROTOCOL)


def _answer(answers: BinaryIO, packed: bytes) -> None:
    answers.write(_HEADER.pack(len(packed)) + packed)
    answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
