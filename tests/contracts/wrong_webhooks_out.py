"""Outboxes of webhooks with one mistake each."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from marketplace_core.adapters.postgres import webhooks_out as adapter
from marketplace_core.adapters.postgres.webhooks_out import PostgresWebhookOutbox
from marketplace_core.ports import Endpoint, UnitOfWork, Units, WebhookDelivery, WebhookMessage
from marketplace_core.ports.webhooks_out import Attempt, Due, Wake
from marketplace_core.values import new_id

Outbox = PostgresWebhookOutbox
DELIVERIES = "marketplace.webhook_deliveries"


class KnowsOneEvent(Outbox):
    async def add_endpoint(self, uow: UnitOfWork, endpoint_id: str, owner: str, url: str, events: Sequence[str]) -> Endpoint:
        return await super().add_endpoint(uow, endpoint_id, owner, url, events[:1])


class AsksNotWhose(Outbox):
    """Whoever knows its id."""

    async def remove_endpoint(self, uow: UnitOfWork, owner: str, endpoint_id: str) -> bool:
        await self._database.on(uow).execute("DELETE FROM marketplace.webhook_endpoints WHERE id = $1", endpoint_id)
        return True


class KeepsItsSecret(Outbox):
    async def renew_secret(self, uow: UnitOfWork, owner: str, endpoint_id: str) -> Endpoint | None:
        return next((each for each in await self.endpoints(owner) if each.id == endpoint_id), None)


class SendsAll(Outbox):
    """Of which type does not matter."""

    async def send(self, uow: UnitOfWork, owner: str, message: WebhookMessage) -> int:
        found = await self._database.on(uow).value(
            "SELECT events[1] FROM marketplace.webhook_endpoints WHERE owner = $1 ORDER BY id LIMIT 1", owner
        )
        return await super().send(uow, owner, replace(message, type=found.replace("*", "x")))


class SendsToTheFirst(Outbox):
    async def claim(self, limit: int, busy: Collection[str] = ()) -> list[Due]:
        return (await super().claim(limit, busy))[:1]


class SendsItAgain(Outbox):
    async def send(self, uow: UnitOfWork, owner: str, message: WebhookMessage) -> int:
        return await super().send(uow, owner, replace(message, id=new_id()))


class SendsBeforehand(Outbox):
    """Not in the unit of work."""

    async def send(self, uow: UnitOfWork, owner: str, message: WebhookMessage) -> int:
        found = await self.endpoints(owner)
        await self._database.execute(
            f"INSERT INTO {DELIVERIES} (id, plugin, endpoint_id, message_id, type, body, trace, state, created_at, due_at)"  # noqa: S608
            " VALUES ($1, $2, $3, $1, 't', '', '', 'waiting', $4, $4)",
            message.id,
            self._plugin,
            found[0].id,
            uow.now,
        )
        return 1


class ClaimsNothing(Outbox):
    """It only looks."""

    async def claim(self, limit: int, busy: Collection[str] = ()) -> list[Due]:
        found = await super().claim(limit, busy)
        statement = f"UPDATE {DELIVERIES} SET due_at = $2, tries = tries - 1 WHERE id = ANY($1::text[])"  # noqa: S608
        await self._database.execute(statement, [due.id for due in found], self._clock.now())
        return found


class KeepsItForEver(Outbox):
    async def claim(self, limit: int, busy: Collection[str] = ()) -> list[Due]:
        found = await super().claim(limit, busy)
        statement = f"UPDATE {DELIVERIES} SET due_at = due_at + interval '10 years' WHERE id = ANY($1::text[])"  # noqa: S608
        await self._database.execute(statement, [due.id for due in found])
        return found


class BelievesWhoeverComes(Outbox):
    async def finish(self, uow: UnitOfWork, due: Due, attempt: Attempt) -> Endpoint | None:
        tries = await self._database.on(uow).value(f"SELECT tries FROM {DELIVERIES} WHERE id = $1", due.id)  # noqa: S608
        return await super().finish(uow, replace(due, tries=tries), attempt)


class TriesAgainAtOnce(Outbox):
    async def finish(self, uow: UnitOfWork, due: Due, attempt: Attempt) -> Endpoint | None:
        again = attempt.again_at and uow.now
        return await super().finish(uow, due, replace(attempt, again_at=again))


class TakesTheOldest(Outbox):
    """Of whomever they are."""

    async def claim(self, limit: int, busy: Collection[str] = ()) -> list[Due]:
        found = []
        while len(found) < limit and (more := await super().claim(limit - len(found), busy)):
            found += more
        return found


class ForgetsWhoIsBusy(Outbox):
    async def next_due(self, busy: Collection[str] = ()) -> datetime | None:
        return await super().next_due()


class NeverEnds(Outbox):
    async def finish(self, uow: UnitOfWork, due: Due, attempt: Attempt) -> Endpoint | None:
        return await super().finish(uow, due, replace(attempt, delivered=False, again_at=uow.now + timedelta(seconds=5)))


class SwitchesOffTwice(Outbox):
    """Each that fails gives notice."""

    async def finish(self, uow: UnitOfWork, due: Due, attempt: Attempt) -> Endpoint | None:
        off = await super().finish(uow, due, attempt)
        return off or (due.endpoint if attempt.switch_off else None)


class LeavesThemWaiting(Outbox):
    async def claim(self, limit: int, busy: Collection[str] = ()) -> list[Due]:
        return [due for due in await super().claim(limit, busy) if due.endpoint is not None]


class TellsWhereItIsOff(Outbox):
    async def claim(self, limit: int, busy: Collection[str] = ()) -> list[Due]:
        some = Endpoint(
            id="",
            owner="",
            url="",
            events=(),
            state="on",
            generation=1,
            secret_at=self._clock.now(),
            created_at=self._clock.now(),
        )
        return [due if due.endpoint else replace(due, endpoint=some) for due in await super().claim(limit, busy)]


class ListsTheOldestFirst(Outbox):
    async def deliveries(self, owner: str, endpoint_id: str, size: int, before: str | None = None) -> list[WebhookDelivery]:
        return (await super().deliveries(owner, endpoint_id, size, before))[::-1]


class SendsAnotherOneAgain(Outbox):
    """Under another id, which its receiver does not know for a repeat."""

    async def claim(self, limit: int, busy: Collection[str] = ()) -> list[Due]:
        return [replace(due, message_id=new_id()) for due in await super().claim(limit, busy)]


class PurgesEverybodys(Outbox):
    async def delete_ended(self, uow: UnitOfWork, before: datetime, limit: int) -> int:
        statement = f"DELETE FROM {DELIVERIES} WHERE state <> 'waiting' AND ended_at < $1"  # noqa: S608
        await self._database.on(uow).execute(statement, before)
        return 0


class PurgesOnce(Outbox):
    async def purge(self, units: Units, age: timedelta) -> None:
        await units.run(lambda uow: self.delete_ended(uow, uow.now - age, 2))


class Deaf(Outbox):
    @contextlib.asynccontextmanager
    async def waking(self) -> AsyncIterator[Wake]:
        class Sleeps(Wake):
            async def wait(self, seconds: float) -> bool:
                await asyncio.sleep(seconds)
                return False

        yield Sleeps()


class HearsOfNewOnes(Outbox):
    """And not of what is sent again."""

    async def redeliver(self, uow: UnitOfWork, owner: str, endpoint_id: str, delivery_id: str) -> bool:
        channel, adapter.CHANNEL = adapter.CHANNEL, "nobody"
        try:
            return await super().redeliver(uow, owner, endpoint_id, delivery_id)
        finally:
            adapter.CHANNEL = channel


MISTAKES: list[tuple[type[Outbox], str, dict[str, Any]]] = [
    (KnowsOneEvent, "test_an_endpoint_is_as_it_was_added", {}),
    (AsksNotWhose, "test_only_its_owner_changes_it", {}),
    (KeepsItsSecret, "test_secrets_are_counted", {}),
    (SendsAll, "test_it_goes_to_who_wants_it", {"events": ("orders.placed",), "type_": "orders.paid", "wanted": False}),
    (SendsToTheFirst, "test_it_goes_to_each_of_its_owners_endpoints", {}),
    (SendsItAgain, "test_a_message_goes_once", {}),
    (SendsBeforehand, "test_what_was_rolled_back_is_not_sent", {}),
    (ClaimsNothing, "test_two_processes_share_it", {}),
    (KeepsItForEver, "test_what_a_killed_process_had_is_due_again", {}),
    (BelievesWhoeverComes, "test_who_comes_too_late_changes_nothing", {}),
    (TriesAgainAtOnce, "test_it_is_tried_again_when_it_is_due", {}),
    (TakesTheOldest, "test_one_endpoint_holds_up_no_other", {}),
    (ForgetsWhoIsBusy, "test_what_is_busy_is_not_waited_for", {}),
    (NeverEnds, "test_what_arrived_is_not_sent_again", {}),
    (SwitchesOffTwice, "test_one_that_is_off_is_told_nothing", {}),
    (LeavesThemWaiting, "test_what_waits_for_one_that_is_off_or_gone_ends", {}),
    (TellsWhereItIsOff, "test_what_waits_for_one_that_is_off_or_gone_ends", {}),
    (ListsTheOldestFirst, "test_deliveries_are_listed_the_newest_first", {}),
    (SendsAnotherOneAgain, "test_what_has_ended_is_sent_again_on_demand", {}),
    (PurgesEverybodys, "test_a_purge_takes_what_ended_long_ago", {}),
    (PurgesOnce, "test_a_purge_takes_what_ended_long_ago", {}),
    (Deaf, "test_who_sends_is_woken", {}),
    (HearsOfNewOnes, "test_who_sends_is_woken", {}),
]
