"""What every :class:`~marketplace_core.ports.WebhookInbox` must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from types import ModuleType
from typing import Any, ClassVar

import pytest

from marketplace_core.adapters.postgres.server import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.postgres.webhooks_in import PostgresWebhookInbox, WebhookTable
from marketplace_core.ports import StoredWebhook, UnitOfWork, Units, WebhookInbox, WebhookState, webhooks
from marketplace_core.testing.contracts import Happened, together
from marketplace_core.testing.contracts.clock import MovableClock
from marketplace_core.webhooks import WebhookAnswer

__all__ = ["Outgoing", "WebhookInboxContract", "WebhookTableContract"]

Outgoing = Callable[[], Awaitable[list[str]]]
"""The types of the events that have left, in order."""

DAY = 86_400.0
DAYS = timedelta(days=30)

Databases = Callable[[Sequence[str]], Awaitable[Database]]


class WebhookInboxContract:
    """Fixtures: ``inbox``; ``told``, something that an adapter reads from a webhook of it; ``units`` on the same store and on
    ``clock``, which is movable; ``outgoing``, an :data:`Outgoing` of that store.
    """

    async def test_it_is_as_it_came(self, inbox: WebhookInbox[Any], units: Units, told: Any) -> None:
        webhook = _webhook(told, body='{"name": "Zoë"}'.encode(), subject="pay/1")
        assert await _keep(inbox, units, webhook) == "accepted"
        assert await inbox.waiting("gateway", "msg-1") == webhook

    async def test_a_body_need_not_be_text(self, inbox: WebhookInbox[Any], units: Units, told: Any) -> None:
        assert await _keep(inbox, units, _webhook(told, body=b"\x00\xff {")) == "accepted"
        found = await inbox.waiting("gateway", "msg-1")
        assert found is not None and found.body.endswith(b" {")

    async def test_a_repeat_is_a_duplicate(self, inbox: WebhookInbox[Any], units: Units, told: Any, outgoing: Outgoing) -> None:
        answers = [await _keep(inbox, units, _webhook(told, body=bytes([n]))) for n in range(3)]
        assert answers == ["accepted", "duplicate", "duplicate"]
        assert await outgoing() == [Happened.type]
        await _close(inbox, units, "applied")
        assert await _keep(inbox, units, _webhook(told)) == "duplicate"
        assert await inbox.waiting("gateway", "msg-1") is None

    async def test_of_many_at_once_one_is_accepted(
        self, inbox: WebhookInbox[Any], units: Units, told: Any, outgoing: Outgoing
    ) -> None:
        answers = await together(*(_keep(inbox, units, _webhook(told), slowly=True) for _ in range(6)))
        assert sorted(answers) == ["accepted"] + ["duplicate"] * 5
        assert await outgoing() == [Happened.type]

    async def test_another_source_has_its_own_ids(self, inbox: WebhookInbox[Any], units: Units, told: Any) -> None:
        assert await _keep(inbox, units, _webhook(told)) == "accepted"
        assert await _keep(inbox, units, _webhook(told, source="other")) == "accepted"
        await _close(inbox, units, "applied")
        assert await inbox.waiting("other", "msg-1") is not None

    async def test_what_is_ignored_is_stored_and_tells_nothing(
        self, inbox: WebhookInbox[Any], units: Units, told: Any, outgoing: Outgoing
    ) -> None:
        for webhook in (_webhook(told, state="ignored", note="unknown subject"), _webhook(None, id="msg-2", state="ignored")):
            assert [await _keep(inbox, units, webhook) for _ in range(2)] == ["ignored", "duplicate"]
            assert await inbox.waiting("gateway", webhook.id) is None
        assert await _keep(inbox, units, _webhook(told, id="msg-3", state="applied")) == "accepted"
        assert await outgoing() == []

    async def test_it_is_taken_once(self, inbox: WebhookInbox[Any], units: Units, told: Any) -> None:
        await _keep(inbox, units, _webhook(told))
        taken = await _close(inbox, units, "flagged", "a wrong amount")
        assert taken is not None and (taken.event, taken.state, taken.note) == (told, "flagged", "a wrong amount")
        assert await _close(inbox, units, "applied") is None
        assert await _close(inbox, units, "applied", id_="never") is None

    async def test_of_many_at_once_one_takes_it(self, inbox: WebhookInbox[Any], units: Units, told: Any) -> None:
        await _keep(inbox, units, _webhook(told))
        taken = await together(*(_close(inbox, units, "applied", slowly=True) for _ in range(6)))
        assert sum(each is not None for each in taken) == 1

    async def test_what_was_rolled_back_did_not_happen(
        self, inbox: WebhookInbox[Any], units: Units, told: Any, outgoing: Outgoing
    ) -> None:
        with pytest.raises(_Crash):
            await _keep(inbox, units, _webhook(told), then=_crash)
        assert await outgoing() == []
        assert await _keep(inbox, units, _webhook(told)) == "accepted"
        with pytest.raises(_Crash):
            await _close(inbox, units, "applied", then=_crash)
        assert await inbox.waiting("gateway", "msg-1") is not None

    async def test_a_purge_takes_what_ended_long_ago(
        self, inbox: WebhookInbox[Any], units: Units, told: Any, clock: MovableClock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webhooks, "PURGE_BATCH", 2)
        states: tuple[WebhookState, ...] = ("applied", "ignored", "flagged", "applied", "ignored", "waiting")
        for n, state in enumerate(states):
            await _keep(inbox, units, _webhook(told, id=f"msg-{n}", state=state))
        await clock.advance(20 * DAY)
        await _keep(inbox, units, _webhook(told, id="young", state="applied"))
        await inbox.purge(units, DAYS)
        for id_ in (*(f"msg-{n}" for n in range(6)), "young"):
            assert await _keep(inbox, units, _webhook(told, id=id_)) == "duplicate"
        await clock.advance(11 * DAY)
        await inbox.purge(units, DAYS)
        answers = [await _keep(inbox, units, _webhook(told, id=id_)) for id_ in (*(f"msg-{n}" for n in range(6)), "young")]
        assert answers == ["accepted"] * 5 + ["duplicate"] * 2


class WebhookTableContract(WebhookInboxContract):
    """The suite over a plugin's own table in PostgreSQL, which must read what was written to it before its later migrations.

    Fixture: ``told``. ``plugin`` has the migrations of the schema ``schema``; after the first ``released`` of them ``rows`` can
    be written, an ``INSERT`` of ``old-1``, which waits and is about ``subject``, and of ``old-2``, which was ignored, both from
    ``gateway`` with the body ``{}``.
    """

    plugin: ClassVar[ModuleType]
    schema: ClassVar[str]
    table: ClassVar[WebhookTable]
    event: ClassVar[type]
    released: ClassVar[int]
    rows: ClassVar[str]
    subject: ClassVar[str]

    @pytest.fixture
    async def database(self, database_factory: Databases) -> Database:
        return await database_factory([f"CREATE SCHEMA {self.schema};", *self._scripts()])

    @pytest.fixture
    def inbox(self, database: Database) -> WebhookInbox[Any]:
        return self._on(database)

    @pytest.fixture
    def clock(self, movable_clock: MovableClock) -> MovableClock:
        return movable_clock

    @pytest.fixture
    def units(self, database: Database, clock: MovableClock) -> Units:
        return PostgresUnits(database, clock, "contract", frozenset({"contract"}))

    @pytest.fixture
    def outgoing(self, database: Database) -> Outgoing:
        async def types() -> list[str]:
            return [row["type"] for row in await database.fetch("SELECT type FROM marketplace.outbox ORDER BY id")]

        return types

    def _scripts(self) -> list[str]:
        return [each.script for each in self.plugin.migrations() if (each.store, each.role) == ("postgres", "")]

    def _on(self, database: Database) -> WebhookInbox[Any]:
        return PostgresWebhookInbox(database, self.table, self.event)

    async def test_rows_of_a_release_are_read(self, database_factory: Databases, clock: MovableClock) -> None:
        """And a process of it that runs beside us writes on as it did."""
        scripts = self._scripts()
        before, after = scripts[: self.released], scripts[self.released :]
        database = await database_factory([f"CREATE SCHEMA {self.schema};", *before, self.rows, *after])
        inbox, units = self._on(database), PostgresUnits(database, clock, "contract", frozenset({"contract"}))
        waits = await inbox.waiting("gateway", "old-1")
        assert waits is not None and (waits.subject, waits.body) == (self.subject, b"{}")
        assert await inbox.waiting("gateway", "old-2") is None
        taken = await units.run(lambda uow: inbox.close(uow, "gateway", "old-1", "applied"))
        assert taken is not None and taken.event is not None
        await database.execute(self.rows.replace("old-", "new-"))
        assert await inbox.waiting("gateway", "new-1") is not None


class _Crash(Exception):
    pass


async def _crash() -> None:
    raise _Crash


def _webhook(event: Any, **changes: Any) -> StoredWebhook[Any]:
    fields = {"source": "gateway", "id": "msg-1", "body": b"{}", "state": "waiting"}
    return StoredWebhook(event=event, **(fields | changes))


async def _keep(
    inbox: WebhookInbox[Any],
    units: Units,
    webhook: StoredWebhook[Any],
    *,
    slowly: bool = False,
    then: Callable[[], Awaitable[None]] | None = None,
) -> str:
    async def work(uow: UnitOfWork) -> WebhookAnswer:
        answer = await inbox.keep(uow, webhook, Happened(thing=webhook.id))
        await asyncio.sleep(0.05 * slowly)
        if then is not None:
            await then()
        return answer

    return (await units.run(work)).status


async def _close(
    inbox: WebhookInbox[Any],
    units: Units,
    state: WebhookState,
    note: str | None = None,
    *,
    id_: str = "msg-1",
    slowly: bool = False,
    then: Callable[[], Awaitable[None]] | None = None,
) -> StoredWebhook[Any] | None:
    async def work(uow: UnitOfWork) -> StoredWebhook[Any] | None:
        taken = await inbox.close(uow, "gateway", id_, state, note)
        await asyncio.sleep(0.05 * slowly)
        if then is not None:
            await then()
        return taken

    return await units.run(work)
