"""Inboxes of webhooks with one mistake each."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from msgspec.structs import replace

from marketplace_core.adapters.postgres.webhooks_in import PostgresWebhookInbox
from marketplace_core.events import Event
from marketplace_core.ports import StoredWebhook, UnitOfWork, Units, WebhookState
from marketplace_core.webhooks import WebhookAnswer

Inbox = PostgresWebhookInbox[Any]


class ForgetsWhatItIsAbout(Inbox):
    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[Any]) -> bool:
        return await super().insert(uow, replace(webhook, subject=None))


class TakesTextOnly(Inbox):
    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[Any]) -> bool:
        webhook.body.decode()
        return await super().insert(uow, webhook)


class TakesEach(Inbox):
    """What comes again is as new."""

    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[Any]) -> bool:
        await super().insert(uow, webhook)
        return True


class Looks(Inbox):
    """It looks for one before it stores one, so that of two at once both find none."""

    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[Any]) -> bool:
        known = await self._database.value("SELECT 1 FROM contract.webhooks WHERE id = $1", webhook.id)
        await super().insert(uow, webhook)
        return known is None


class OneForAll(Inbox):
    """It knows ids, and not whose."""

    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[Any]) -> bool:
        return await super().insert(uow, replace(webhook, source="gateway"))


class StoresNoneOfThose(Inbox):
    """What is ignored is not worth a row."""

    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[Any]) -> bool:
        return webhook.state == "ignored" or await super().insert(uow, webhook)


class TellsOfAll(Inbox):
    async def keep(self, uow: UnitOfWork, webhook: StoredWebhook[Any], tell: Event | None = None) -> WebhookAnswer:
        answer = await super().keep(uow, webhook)
        if tell is not None and answer.status != "duplicate":
            uow.emit(tell)
        return answer


class ClosesAgain(Inbox):
    @property
    def _close(self) -> str:  # type: ignore[override]
        return super()._close.replace("AND state = 'waiting'", "")


class ReadsAndThenCloses(Inbox):
    async def close(
        self, uow: UnitOfWork, source: str, webhook_id: str, state: WebhookState, note: str | None = None
    ) -> StoredWebhook[Any] | None:
        found = await self.waiting(source, webhook_id)
        await super().close(uow, source, webhook_id, state, note)
        return found and replace(found, state=state, note=note)


class StoresBeforehand(Inbox):
    """Not in the unit of work."""

    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[Any]) -> bool:
        made = await self._database.value(
            "INSERT INTO contract.webhooks (source, id, event, body, state, at) VALUES ($1, $2, '{}', '', $3, $4)"
            " ON CONFLICT DO NOTHING RETURNING id",
            webhook.source,
            webhook.id,
            webhook.state,
            uow.now,
        )
        return made is not None


class PurgesWhatWaits(Inbox):
    async def delete_ended(self, uow: UnitOfWork, before: datetime, limit: int) -> int:
        await self._database.on(uow).execute("DELETE FROM contract.webhooks WHERE at < $1", before)
        return 0


class PurgesOnce(Inbox):
    """The rest goes the next time."""

    async def purge(self, units: Units, age: Any) -> None:
        await units.run(lambda uow: self.delete_ended(uow, uow.now - age, 2))


MISTAKES: list[tuple[type[Inbox], str]] = [
    (ForgetsWhatItIsAbout, "test_it_is_as_it_came"),
    (TakesTextOnly, "test_a_body_need_not_be_text"),
    (TakesEach, "test_a_repeat_is_a_duplicate"),
    (Looks, "test_of_many_at_once_one_is_accepted"),
    (OneForAll, "test_another_source_has_its_own_ids"),
    (StoresNoneOfThose, "test_what_is_ignored_is_stored_and_tells_nothing"),
    (TellsOfAll, "test_what_is_ignored_is_stored_and_tells_nothing"),
    (ClosesAgain, "test_it_is_taken_once"),
    (ReadsAndThenCloses, "test_of_many_at_once_one_takes_it"),
    (StoresBeforehand, "test_what_was_rolled_back_did_not_happen"),
    (PurgesWhatWaits, "test_a_purge_takes_what_ended_long_ago"),
    (PurgesOnce, "test_a_purge_takes_what_ended_long_ago"),
]
