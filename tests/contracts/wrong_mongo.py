"""MongoDB units, outboxes and parkings with one mistake each."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from marketplace_core.adapters.mongo.outbox import _NAMES, MongoOutbox, _MongoLanes
from marketplace_core.adapters.mongo.parking import MongoParking
from marketplace_core.adapters.mongo.schema import INBOX
from marketplace_core.adapters.mongo.server import Connection
from marketplace_core.adapters.mongo.units import MongoUnit, MongoUnits
from marketplace_core.errors import MarketplaceError
from marketplace_core.events import Envelope
from marketplace_core.outbox import Lanes
from marketplace_core.ports import Claim, Message, UnitOfWork

T = TypeVar("T")
Work = Callable[[UnitOfWork], Awaitable[T]]


class WritesOutside(MongoUnits):
    """Each write is its own: the session was forgotten."""

    def _unit(self, connection: Connection) -> MongoUnit:
        connection._session = None
        return super()._unit(connection)


class ForgetsRefusals(MongoUnits):
    """The transaction ends with the refusal, and nothing keeps it."""

    async def _refuse(self, claim: Claim, error: MarketplaceError, answer: type[T]) -> T:
        raise error


class RunsOnce(MongoUnits):
    """One that met another is not run again."""

    async def run(self, work: Work[T]) -> T:
        self._database._transact = lambda work: self._database._attempt(work, 0.0)  # type: ignore[method-assign]
        return await super().run(work)


class AppliesAlways(MongoUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work[None]) -> bool:
        await self.run(work)
        return True


class _Forgetful(MongoUnit):
    async def _count(self) -> dict[tuple[str, str], int]:
        return dict.fromkeys(Counter((item.topic, item.key) for item in self.items), 0)


class CountsPerUnit(MongoUnits):
    def _unit(self, connection: Connection) -> MongoUnit:
        return _Forgetful(connection, self._clock.now(), self.check_topic)


class _Everything(_MongoLanes):
    async def take(self) -> None:
        self._leases.held = set(_NAMES)

    def _check(self) -> None:
        pass


class OwnsEveryLane(MongoOutbox):
    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        async with super().lanes() as lanes:
            lanes.__class__ = _Everything
            await lanes.take()  # type: ignore[attr-defined]
            yield lanes


class TellsNobody(MongoOutbox):
    @contextlib.asynccontextmanager
    async def lanes(self) -> AsyncIterator[Lanes]:
        async with super().lanes() as lanes:
            assert isinstance(lanes, _MongoLanes)
            lanes._woken.set = lambda: None  # type: ignore[method-assign]
            yield lanes


class ParksTheEventOnly(MongoParking):
    """Later events of the key go on."""

    async def park(self, handler: str, message: Message, error: str, attempts: int) -> None:
        await super().park(handler, message, error, attempts)
        await self._database.update(INBOX, {}, {"$set": {"parked_at": None}})
