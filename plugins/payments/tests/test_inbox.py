"""The table of webhooks as it was released, by core's suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from marketplace_payments import plugin
from marketplace_payments.stores.postgres import WEBHOOKS

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.postgres.webhooks_in import PostgresWebhookInbox
from marketplace_core.capabilities.payments import GatewayEvent
from marketplace_core.testing.contracts.webhooks_in import Outgoing, WebhookInboxContract
from marketplace_core.values import Money

RELEASED = 2
OF_THE_RELEASE = """
INSERT INTO payments.webhooks (gateway, id, payment_id, event, body, state, note, at) VALUES
 ('gateway', 'old-1', 'pay-1', '{"id": "old-1", "type": "t", "payment_id": "pay-1", "amount": null}', '{}', 'received',
  NULL, now()),
 ('gateway', 'old-2', NULL, '{"id": "old-2", "type": "t", "payment_id": null, "amount": null}', '{}', 'ignored',
  'unknown type', now())
"""


class TestWebhooks(WebhookInboxContract):
    @pytest.fixture
    async def database(self, database_factory: Callable[[Sequence[str]], Awaitable[Database]]) -> Database:
        return await database_factory(["CREATE SCHEMA payments;", *(each.script for each in plugin.migrations())])

    @pytest.fixture
    def inbox(self, database: Database) -> PostgresWebhookInbox[GatewayEvent]:
        return PostgresWebhookInbox(database, WEBHOOKS, GatewayEvent)

    @pytest.fixture
    def told(self) -> GatewayEvent:
        return GatewayEvent(id="msg-1", type="payment.captured", payment_id="pay-1", amount=Money(5, "EUR"), step="captured")

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
    database = await database_factory(["CREATE SCHEMA payments;", *scripts[:RELEASED], OF_THE_RELEASE, *scripts[RELEASED:]])
    inbox = PostgresWebhookInbox(database, WEBHOOKS, GatewayEvent)
    units = PostgresUnits(database, clock, "contract", frozenset({"contract"}))
    waits = await inbox.waiting("gateway", "old-1")
    assert waits is not None and (waits.subject, waits.body) == ("pay-1", b"{}")
    assert await inbox.waiting("gateway", "old-2") is None
    taken = await units.run(lambda uow: inbox.close(uow, "gateway", "old-1", "applied"))
    assert taken is not None and taken.event is not None
    again = OF_THE_RELEASE.replace("old-", "new-")
    await database.execute(again)
    assert await inbox.waiting("gateway", "new-1") is not None


@pytest.fixture
def clock(movable_clock: Any) -> Any:
    return movable_clock
