"""Where a plugin computes: away from the event loop, and never more at once than was said."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from marketplace_core.errors import Unavailable

__all__ = ["Pool", "PoolFull", "ProcessDied"]

P = ParamSpec("P")
T = TypeVar("T")


class PoolFull(Unavailable):
    """As much waits as may: whoever asks is better told at once than left waiting."""


class ProcessDied(RuntimeError):
    """Work ended the process that did it, and the process that tried it again: it asks for too much memory, or is broken."""


class Pool(ABC):
    """Work of more than 20 ms of CPU, each a plain function; made by :meth:`marketplace_core.context.PluginContext.pool`."""

    @abstractmethod
    async def run(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``work`` gives or raises.

        In a pool of processes it is a function of a module, and what it is given and gives can be pickled; one whose process
        is killed is done once more, so it changes nothing but its result; and one that nobody waits for any more is ended.

        :raises PoolFull: too many wait. :raises ProcessDied: see there.
        """
