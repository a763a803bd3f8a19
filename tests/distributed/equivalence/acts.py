"""The acts: which there are, and the sequence of them that a seed gives.

An act asks once or a few times. It chooses by chance among what is known; one that knows of nothing to do returns False before
it has asked, and another takes its place.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib import import_module
from typing import NamedTuple

from tests.distributed.equivalence.same import STEP
from tests.distributed.equivalence.world import World

__all__ = ["Act", "act", "known_acts", "play"]

Do = Callable[[World], Awaitable[bool | None]]


class Act(NamedTuple):
    """``often``: against others. ``whole``: it shows all of a deployment, so it is not for one that others use too."""

    name: str
    do: Do
    often: int
    whole: bool


_ACTS: dict[str, Act] = {}

#: By which the clock is moved before an act: mostly a little; sometimes for longer than a card's holder is waited for, or than
#: a night.
_MOVES = [STEP] * 16 + [STEP * 3, STEP * 6, timedelta(hours=3), timedelta(days=1)]


def act(often: int = 1, *, whole: bool = False) -> Callable[[Do], Do]:
    def declare(do: Do) -> Do:
        name = do.__name__
        _ACTS[name] = Act(name, do, often, whole)
        return do

    return declare


def known_acts(*, shared: bool) -> list[Act]:
    """In the order of their names."""
    for name in ("shopping", "finding", "reviewing", "selling", "operating", "mistakes"):
        import_module(f"tests.distributed.equivalence.{name}")
    return [each for _, each in sorted(_ACTS.items()) if not (shared and each.whole)]


async def play(world: World, count: int, most: int = 20) -> dict[str, int]:
    """So many acts, or until ``most`` differences were found; how many of each there were.

    Both sides are at rest before each act, and their clocks show the same.
    """
    deck = known_acts(shared=world.shared)
    weights = [each.often for each in deck]
    done: dict[str, int] = {}
    while world.act < count and len(world.differences) < most:
        world.act += 1
        await world.move(world.chance.choice(_MOVES))
        while True:
            [chosen] = world.chance.choices(deck, weights)
            if await chosen.do(world) is not False:
                break
        done[chosen.name] = done.get(chosen.name, 0) + 1
        await world.rest()
    return done
