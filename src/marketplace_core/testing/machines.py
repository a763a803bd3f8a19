"""Hypothesis state machines over a service on a real database: rules run in a thread, what they await on the test's loop."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

__all__ = ["Machine", "bounded", "on_a_thread", "run_machine"]

T = TypeVar("T")

#: How many times as many examples as in every run; they are then others each time.
FACTOR = int(os.environ.get("MARKETPLACE_EXAMPLES", "1"))


class Machine(RuleBasedStateMachine):
    """``self.run(awaitable)`` gives what it gives."""

    loop: ClassVar[asyncio.AbstractEventLoop]

    def run(self, act: Awaitable[T], seconds: float = 60.0) -> T:
        async def awaited() -> T:
            return await act

        return asyncio.run_coroutine_threadsafe(awaited(), self.loop).result(seconds)


def bounded(examples: int, steps: int) -> settings:
    """So many sequences of so many acts at most, the same at each run; times ``MARKETPLACE_EXAMPLES``, if that is said.

    Only then a failure is made as short as it can be, which takes minutes.
    """
    return settings(
        max_examples=examples * FACTOR,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=FACTOR == 1,
        phases=[Phase.generate] if FACTOR == 1 else [Phase.generate, Phase.shrink],
        database=None,
    )


async def run_machine(machine: type[Machine], examples: int, steps: int, **surroundings: Any) -> None:
    """On the running loop, which goes on meanwhile; ``surroundings`` are further attributes of the machine's class."""
    bound = type(machine.__name__, (machine,), {"loop": asyncio.get_running_loop(), **surroundings})
    await on_a_thread(lambda: run_state_machine_as_test(bound, settings=bounded(examples, steps)))


async def on_a_thread(examples: Callable[[], object]) -> None:
    """Hypothesis would have it that nobody draws a random number meanwhile; the servers' clients do, for their pauses."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Do not use the `random` module inside strategies")
        await asyncio.to_thread(examples)
