"""PostgreSQL units with one mistake each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from msgspec.structs import replace

from marketplace_core._runtime.failpoints import undoing
from marketplace_core.adapters.postgres import Connection
from marketplace_core.adapters.postgres.units import PostgresUnit, PostgresUnits
from marketplace_core.errors import MarketplaceError, Unavailable
from marketplace_core.events import Envelope, Event
from marketplace_core.ports import Claim, KeyParked, UnitOfWork
from marketplace_core.ports.releasing import replaying
from marketplace_core.values import new_id

T = TypeVar("T")
Work = Callable[[UnitOfWork], Awaitable[T]]


class CommitsHalves(PostgresUnits):
    """What failed is committed up to there."""

    async def run(self, work: Work[T]) -> T:
        errors: list[Exception] = []

        async def all_the_same(uow: UnitOfWork) -> T | None:
            try:
                return await work(uow)
            except ValueError as error:
                errors.append(error)
                return None

        answer = await super().run(all_the_same)
        for error in errors:
            raise error
        return answer  # type: ignore[return-value]


class ActsTooEarly(PostgresUnits):
    """What is to come after the commit comes before it."""

    def _unit(self, connection: Connection) -> PostgresUnit:
        class Early(PostgresUnit):
            async def flush(self, answer: Any = None) -> None:
                await self.committed()
                self._acts.clear()
                await super().flush(answer)

        return Early(connection, self._clock.now())


class CommitsAlways(PostgresUnits):
    """It does not ask whether it may."""

    async def run(self, work: Work[T]) -> T:
        with undoing(on=False):
            return await super().run(work)


class NeverReplays(PostgresUnits):
    async def once(self, claim: Claim, answer: type[T], work: Work[T]) -> T:
        return await self.run(work)


class IgnoresTheScope(PostgresUnits):
    async def once(self, claim: Claim, answer: type[T], work: Work[T]) -> T:
        return await super().once(Claim("-", claim.method, claim.key, claim.digest), answer, work)


class IgnoresTheDigest(PostgresUnits):
    async def once(self, claim: Claim, answer: type[T], work: Work[T]) -> T:
        return await super().once(Claim(claim.scope, claim.method, claim.key, b""), answer, work)


class WaitsInsteadOfAnswering(PostgresUnits):
    """A key in use makes the second caller fail in a way that it cannot tell from an outage."""

    async def once(self, claim: Claim, answer: type[T], work: Work[T]) -> T:
        try:
            return await super().once(claim, answer, work)
        except MarketplaceError as error:
            if error.code == "idempotency.in_flight":
                raise Unavailable() from None
            raise


class ForgetsRefusals(PostgresUnits):
    async def once(self, claim: Claim, answer: type[T], work: Work[T]) -> T:
        refusal: list[MarketplaceError] = []

        async def hide(uow: UnitOfWork) -> T:
            try:
                return await work(uow)
            except MarketplaceError as error:
                refusal.append(error)
                raise ZeroDivisionError from None

        try:
            return await super().once(claim, answer, hide)
        except ZeroDivisionError:
            raise refusal[0] from None


class StoresFailures(PostgresUnits):
    async def once(self, claim: Claim, answer: type[T], work: Work[T]) -> T:
        async def refuse(uow: UnitOfWork) -> T:
            try:
                return await work(uow)
            except Unavailable as error:
                raise MarketplaceError("http.not_found", error.detail) from None

        return await super().once(claim, answer, refuse)


class LooksThenWorks(PostgresUnits):
    """Claims nothing: two that look at once both work, each under a claim of its own."""

    async def once(self, claim: Claim, answer: type[T], work: Work[T]) -> T:
        known, found = await self.stored(claim, answer)
        if known:
            return found  # type: ignore[return-value]
        await asyncio.sleep(0.05)
        result = await super().once(Claim(new_id(), claim.method, claim.key, claim.digest), answer, work)
        with contextlib.suppress(Exception):

            async def store(uow: UnitOfWork) -> T:
                return result

            await super().once(claim, answer, store)
        return result


class AnswersBesides(PostgresUnits):
    """The answer is stored in a second transaction, after the acts that follow the commit."""

    async def once(self, claim: Claim, answer: type[T], work: Work[T]) -> T:
        known, found = await self.stored(claim, answer)
        if known:
            return found  # type: ignore[return-value]
        result = await self.run(work)

        async def store(uow: UnitOfWork) -> T:
            return result

        return await super().once(claim, answer, store)


class AppliesAlways(PostgresUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work[None]) -> bool:
        await self.run(work)
        return True


class AppliesLateOnes(PostgresUnits):
    """Each event once, but in any order."""

    async def apply(self, handler: str, envelope: Envelope, work: Work[None]) -> bool:
        return await super().apply(f"{handler}:{envelope.sequence}", envelope, work)


class SharesTheInbox(PostgresUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work[None]) -> bool:
        return await super().apply("all", envelope, work)


class SharesTheNames(PostgresUnits):
    """All plugins of one package are one."""

    def qualified(self, method: str) -> str:
        return f"acme.{method}"


class IgnoresTheWriter(PostgresUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work[None]) -> bool:
        return await super().apply(handler, replace(envelope, writer=""), work)


class KnowsOnlyWriters(PostgresUnits):
    """What has none is of a writer of its own."""

    async def apply(self, handler: str, envelope: Envelope, work: Work[None]) -> bool:
        return await super().apply(handler, replace(envelope, writer=envelope.writer or "none"), work)


class EmitsAnywhere(PostgresUnits):
    def check_topic(self, event: Event) -> None:
        pass


class MarksBeforehand(PostgresUnits):
    """The event is marked as applied in a transaction of its own."""

    async def apply(self, handler: str, envelope: Envelope, work: Work[None]) -> bool:
        async def nothing(uow: UnitOfWork) -> None:
            pass

        if not await super().apply(handler, envelope, nothing):
            return False
        await self.run(work)
        return True


class PassesParkedKeys(PostgresUnits):
    async def apply(self, handler: str, envelope: Envelope, work: Work[None]) -> bool:
        try:
            return await super().apply(handler, envelope, work)
        except KeyParked:
            with replaying():
                return await super().apply(handler, envelope, work)


class EmitsBesides(PostgresUnits):
    """Events leave although the event was known."""

    async def apply(self, handler: str, envelope: Envelope, work: Work[None]) -> bool:
        applied = await super().apply(handler, envelope, work)
        if not applied:
            await self.run(work)
        return applied
