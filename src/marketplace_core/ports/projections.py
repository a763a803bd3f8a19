"""Units of work on a store that is a projection: an index, a cache, a feed, a table of analytics.

Such a store has no transaction with what it has seen, and no outbox. Its events carry whole state, so that a later one of a
key makes an earlier one superfluous: what fails is put aside and holds up nothing, and goes when a later event has been
applied. What the plugin has seen, and what was put aside, is on a server that keeps an inbox (the plugin's role ``inbox``).

.. code-block:: python

    class SearchService:
        def __init__(self, units: ProjectionUnits, index: Index) -> None:
            self.units, self.index = units, index

        @handler(ProductChanged)
        async def on_product_changed(self, uow: UnitOfWork, event: ProductChanged) -> None:
            unit = ProjectionUnits.on(uow)
            await self.index.put(event.product_id, event.title, version=unit.sequence, source=unit.source)


    @hookimpl
    def service(context):
        return SearchService(context.projections, context.store(STORES))
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TypeVar, cast

from msgspec import Struct

from marketplace_core import calls
from marketplace_core.events import Envelope, Event
from marketplace_core.ports.parking import Parking
from marketplace_core.ports.units import Claim, UnitOfWork, Units
from marketplace_core.values import Clock

__all__ = ["ProjectionUnit", "ProjectionUnits", "Source"]

T = TypeVar("T")


class Source(Struct, frozen=True):
    """Whose sequence it is: sequences of two sources are not compared."""

    topic: str
    key: str
    writer: str


class ProjectionUnit(UnitOfWork):
    """The work on one event, or on none.

    It may be done again, and by two processes at once where one was stopped for a while. So a store keeps ``sequence`` and
    ``source`` beside what it writes, and writes only over what has a smaller sequence of the same source.
    """

    def __init__(self, now: datetime, envelope: Envelope | None) -> None:
        self._now, self._envelope = now, envelope
        self._acts: list[Callable[[], Awaitable[None]]] = []

    @property
    def now(self) -> datetime:
        return self._now

    @property
    def sequence(self) -> int:
        """That of the event. :raises LookupError: it is of no event."""
        return self._of_event().sequence

    @property
    def source(self) -> Source:
        """That of the event. :raises LookupError: it is of no event."""
        envelope = self._of_event()
        return Source(envelope.topic, envelope.key, envelope.writer)

    def _of_event(self) -> Envelope:
        if self._envelope is None:
            raise LookupError("this unit of work is of no event; ask it in a handler")
        return self._envelope

    def emit(self, event: Event, at: datetime | None = None) -> None:
        """:raises TypeError: always."""
        raise TypeError(f"a projection has no outbox to emit {event.type!r} by; let a plugin emit it whose store is a truth")

    def enqueue(self, job: str, args: Struct | None = None) -> None:
        """:raises TypeError: always."""
        raise TypeError(f"a projection has no outbox to enqueue {job!r} by; do it in the handler, or at a schedule")

    def after_commit(self, act: Callable[[], Awaitable[None]]) -> None:
        self._acts.append(act)

    async def committed(self) -> None:
        for act in self._acts:
            await act()


class ProjectionUnits(Units):
    """Units of work of one plugin on projections.

    In order for each key while all goes well, at least once; what a handler keeps failing at is parked, and later events of its
    key go on and take it off the list.
    """

    def __init__(self, parking: Parking, clock: Clock, plugin: str) -> None:
        """``parking``: where the plugin's deliverer parks what fails, too."""
        super().__init__(plugin)
        self._parking, self._clock = parking, clock

    @staticmethod
    def on(uow: UnitOfWork) -> ProjectionUnit:
        """What a handler is given, with the sequence and source of its event."""
        return cast(ProjectionUnit, uow)

    async def run(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """``work`` as it is: what it has written before it failed stays."""
        unit = ProjectionUnit(self._clock.now(), None)
        answer = await work(unit)
        await unit.committed()
        return answer

    async def once(self, claim: Claim, answer: type[T], work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """:raises TypeError: always."""
        raise TypeError(f"a projection cannot keep the answer of {claim.method!r} with what it did; use @natural")

    async def stored(self, claim: Claim, answer: type[T]) -> tuple[bool, T | None]:
        """:raises TypeError: always."""
        raise TypeError(f"a projection keeps no answers of {claim.method!r}; use @natural")

    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        """As for every store, but that it may be done again after a crash, and that no key ever waits."""
        name = self.qualified(handler)
        if await self._parking.seen(name, envelope) >= envelope.sequence:
            return False
        with calls.scope(calls.Call(trace=envelope.trace, origin=envelope.origin, request_id=envelope.id)):
            unit = ProjectionUnit(self._clock.now(), envelope)
            await work(unit)
            await self._parking.supersede(name, envelope)
            await unit.committed()
        return True
