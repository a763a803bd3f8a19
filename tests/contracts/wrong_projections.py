"""Projection units, and parkings beneath them, with one mistake each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from msgspec.structs import replace

from marketplace_core.adapters.postgres.parking import PostgresParking
from marketplace_core.events import Envelope, Event
from marketplace_core.ports import KeyParked, Message, ProjectionUnit, ProjectionUnits, Source, UnitOfWork

Work = Callable[[UnitOfWork], Awaitable[None]]


class AppliesAlways(ProjectionUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work) -> bool:
        await super().apply(handler, replace(envelope, sequence=2**40 + envelope.sequence), work)
        return True


class NotesBeforehand(ProjectionUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work) -> bool:
        name = self.qualified(handler)
        if await self._parking.seen(name, envelope) >= envelope.sequence:
            return False
        await self._parking.supersede(name, envelope)
        await work(ProjectionUnit(self._clock.now(), envelope))
        return True


class HoldsTheKey(ProjectionUnits):
    """As a store with transactions does."""

    async def apply(self, handler: str, envelope: Envelope, work: Work) -> bool:
        name = self.qualified(handler)
        parked = {each.key: each for each in await self._parking.list([name])}
        head = parked.get(f"{envelope.topic}:{envelope.key}")
        if head is not None and head.sequence < envelope.sequence:
            raise KeyParked(head.key)
        return await super().apply(handler, envelope, work)


class SwallowsFailures(ProjectionUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work) -> bool:
        async def quietly(uow: UnitOfWork) -> None:
            with suppress(Exception):
                await work(uow)

        return await super().apply(handler, envelope, quietly)


class IgnoresTheWriter(ProjectionUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work) -> bool:
        return await super().apply(handler, replace(envelope, writer=""), work)


class SharesItsInbox(ProjectionUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work) -> bool:
        return await super().apply("everybody", envelope, work)


class _OnItsOwn(ProjectionUnit):
    @property
    def source(self) -> Source:
        return Source(super().source.topic, super().source.key, "")


class HidesTheSource(ProjectionUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work) -> bool:
        async def hidden(uow: UnitOfWork) -> None:
            await work(_OnItsOwn(uow.now, envelope))

        return await super().apply(handler, envelope, hidden)


class _Emitting(ProjectionUnit):
    def emit(self, event: Event, at: object = None) -> None:
        pass


class LosesWhatItEmits(ProjectionUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work) -> bool:
        async def emitting(uow: UnitOfWork) -> None:
            await work(_Emitting(uow.now, envelope))

        return await super().apply(handler, envelope, emitting)


class TellsBeforehand(ProjectionUnits):
    """What is to follow the commit does not wait for the end."""

    async def apply(self, handler: str, envelope: Envelope, work: Work) -> bool:
        async def telling(uow: UnitOfWork) -> None:
            try:
                await work(uow)
            finally:
                await ProjectionUnits.on(uow).committed()

        return await super().apply(handler, envelope, telling)


# ── parkings ─────────────────────────────────────────────────────────────────────────────────────────────────


class NotesNothing(PostgresParking):
    async def supersede(self, handler: str, event: Envelope) -> None:
        pass


class KeepsTheSuperseded(PostgresParking):
    """On the list, and applied by a replay though later ones were."""

    async def supersede(self, handler: str, event: Envelope) -> None:
        await self._database.execute(
            "INSERT INTO marketplace.inbox AS i (handler, key, sequence, writer) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (handler, key) DO UPDATE SET sequence = excluded.sequence",
            handler,
            f"{event.topic}:{event.key}",
            event.sequence,
            event.writer,
        )


class TakesAllOffTheList(PostgresParking):
    async def supersede(self, handler: str, event: Envelope) -> None:
        await super().supersede(handler, event)
        await self._database.execute("DELETE FROM marketplace.parked")


class TakesLaterOnesOffTheList(PostgresParking):
    async def supersede(self, handler: str, event: Envelope) -> None:
        await super().supersede(handler, event)
        await self._database.execute("DELETE FROM marketplace.parked WHERE handler = $1", handler)


class ForgetsWhatItSaw(PostgresParking):
    """While something is parked: a replay is taken for the newest."""

    async def seen(self, handler: str, event: Message | Envelope) -> int:
        last = await super().seen(handler, event)
        return 0 if last > event.sequence else last
