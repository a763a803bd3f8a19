"""The ``marketplace`` command. Exit codes: 0 done, 1 failed, 2 the input was wrong, 130 interrupted.

Nothing is imported here that need not be: the commands, and what they use, are imported when one is called.
"""

from __future__ import annotations

import os
import signal
import sys

__all__ = ["main"]


def main() -> None:
    """The entry point. Never returns; no exception leaves it."""
    if sys.argv[1:2] == ["up"]:
        # It ends with 0 when it is told to, also before it has come to the point of starting anything. Not by an exception:
        # an import may make another of it, and a finalizer goes on as if nothing had been said.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os._exit(0))
    try:
        from marketplace_core.cli._run import run  # noqa: PLC0415

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
