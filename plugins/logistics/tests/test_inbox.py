"""The table of webhooks as it was released, by core's suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from marketplace_logistics import plugin
from marketplace_logistics.domain import TrackingEvent
from marketplace_logistics.stores.postgres import WEBHOOKS

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.postgres.webhooks_in import PostgresWebhookInbox
from marketplace_core.testing.contracts.webhooks_in import Outgoing, WebhookInboxContract

RELEASED = 2
OF_THE_RELEASE = """
INSERT INTO logistics.webhooks (carrier, id, state, tracking_number, event, body, received_at) VALUES
 ('gateway', 'old-1', 'accepted', 'T1', '{"code": "delivered", "location": null, "occurred_at": "2026-01-01T00:00:00Z"}',
  '{}', now()), ('gateway', 'old-2', 'ignored', NULL, NULL, '{}', now())
"""


class TestWebhooks(WebhookInboxContract):
    @pytest.fixture
    async def database(self, database_factory: Callable[[Sequence[str]], Awaitable[Database]]) -> Database:
        return await database_factory(["CREATE SCHEMA logistics;", *(each.script for each in plugin.migrations())])

    @pytest.fixture
    def inbox(self, database: Database) -> PostgresWebhookInbox[TrackingEvent]:
        return PostgresWebhookInbox(database, WEBHOOKS, TrackingEvent)

    @pytest.fixture
    def told(self) -> TrackingEvent:
        return TrackingEvent("delivered", "Berlin", datetime(2026, 1, 1, tzinfo=UTC))

    @pytest.fixture
    def clock(self, movable_clock: Any) -> Any:
        return movable_clock

    @pytest.fixture
    def units(self, database: Database, clock: Any) -> PostgresUnits:
        return PostgresUnits(database, clock, "contract", frozenset({"contract"}))

    @pytest.fixture
    def outgoing(self, database: Database) -> Outgoing:
        async def types() -> list[str]:
            return [row["type"] for row in await database.fetch("SELECT type FROM marketplace.outbox ORDER BY id")]

        return types


async def test_rows_of_the_release_are_read(
    database_factory: Callable[[Sequence[str]], Awaitable[Database]], clock: Any
) -> None:
    """And a process of it that runs beside us writes on as it did."""
    scripts = [each.script for each in plugin.migrations()]
    database = await database_factory(["CREATE SCHEMA logistics;", *scripts[:RELEASED], OF_THE_RELEASE, *scripts[RELEASED:]])
    inbox = PostgresWebhookInbox(database, WEBHOOKS, TrackingEvent)
    units = PostgresUnits(database, clock, "contract", frozenset({"contract"}))
    waits = await inbox.waiting("gateway", "old-1")
    assert waits is not None and (waits.subject, waits.body) == ("T1", b"{}")
    assert await inbox.waiting("gateway", "old-2") is None
    taken = await units.run(lambda uow: inbox.close(uow, "gateway", "old-1", "applied"))
    assert taken is not None and taken.event is not None
    again = OF_THE_RELEASE.replace("old-", "new-")
    await database.execute(again)
    assert await inbox.waiting("gateway", "new-1") is not None


@pytest.fixture
def clock(movable_clock: Any) -> Any:
    return movable_clock
