"""Points at which a crash test may end the process. Unarmed, which is always outside of such a test, a hit is one comparison.

``MARKETPLACE_FAILPOINTS=seed:mean`` ends the process by SIGKILL at a point chosen by the seeded generator, on average at
every ``mean``-th hit.
"""

from __future__ import annotations

import os
import random
import signal

_armed = False
_random = random.Random(0)  # noqa: S311 - chooses where to crash
_chance = 0.0


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
