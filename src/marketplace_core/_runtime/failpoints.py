"""Points at which a crash test may end the process. Unarmed, which is always outside of such a test, a hit is one comparison.

``MARKETPLACE_FAILPOINTS=seed:mean`` ends the process by SIGKILL at a point chosen by the seeded generator, on average at
every ``mean``-th hit.

Inside :func:`undoing` no unit of work is committed: it fails where a server that goes away between work and commit would let
it fail.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from contextvars import ContextVar

from marketplace_core.errors import Unavailable

_armed = False
_random = random.Random(0)  # noqa: S311 - chooses where to crash
_chance = 0.0


class RolledBack(Unavailable):
    """A unit of work whose commit was forbidden."""


class _Undoing:
    """Mutable, so that a task which outlives the block commits again."""

    def __init__(self) -> None:
        self.on = True


_undoing: ContextVar[_Undoing | None] = ContextVar("marketplace_undoing", default=None)


def inside_undoing() -> bool:
    found = _undoing.get()
    return found is not None and found.on


@contextlib.contextmanager
def undoing(on: bool = True) -> Iterator[None]:
    """Let the units of work of this block fail before they commit; ``on=False``: not those of a block in such a block."""
    state = _Undoing() if on else None
    token = _undoing.set(state)
    try:
        yield
    finally:
        if state is not None:
            state.on = False
        _undoing.reset(token)


def before_commit() -> None:
    """:raises RolledBack: inside of :func:`undoing`."""
    if inside_undoing():
        raise RolledBack()


def arm(seed: int, mean: int) -> None:
    global _armed, _random, _chance
    _random, _chance, _armed = random.Random(seed), 1.0 / mean, True  # noqa: S311


def hit(name: str) -> None:
    """Perhaps die here, as if the machine had lost power between two lines."""
    if _armed and _random.random() < _chance:
        os.write(2, f"failpoint {name}\n".encode())
        os.kill(os.getpid(), signal.SIGKILL)


if plan := os.environ.get("MARKETPLACE_FAILPOINTS"):
    arm(*(int(part) for part in plan.split(":")))
