"""Schedules by the deployment's clock: one run at a time, whatever the number of workers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from marketplace_core.hookspecs import Schedule

__all__ = ["Schedules"]


class Schedules(ABC):
    """However long nothing ran, one run catches up. A run is repeated when its process dies: its effect is idempotent."""

    @abstractmethod
    async def run(self, schedules: Sequence[Schedule], service: object) -> None:
        """For ever: call what is due on ``service``. One that takes long does not delay the others."""

    @abstractmethod
    async def due(self, schedules: Iterable[Schedule]) -> int:
        """How many are due or running, or failed and will be tried again. :raises Unavailable:"""
