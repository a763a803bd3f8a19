"""Webhooks that go out, in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.webhooks_out import CLAIM, NEXT_DUE, PURGE_DELIVERIES, PostgresWebhookOutbox
from marketplace_core.ports import Units
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.webhooks_out import WebhookOutboxContract
from marketplace_core.testing.plans import read_whole
from tests.contracts import wrong_webhooks_out as wrong

_MANY = """
INSERT INTO marketplace.webhook_deliveries
  (id, plugin, endpoint_id, message_id, type, body, trace, state, created_at, due_at, ended_at)
SELECT $1 || n, 'contract', 'e' || n % 20, $1 || n, 't', '', '', $1, now(), now() + interval '1 hour', now()
FROM generate_series(1, 20000) AS n
"""

_ENDPOINTS = """
INSERT INTO marketplace.webhook_endpoints (id, plugin, owner, url, events, state, generation, secret_at, created_at)
SELECT 'e' || n, 'contract', 's', '', '{}', 'on', 1, now(), now() FROM generate_series(1, 5000) AS n
"""


@pytest.fixture
async def other_database(database: Database) -> AsyncIterator[Database]:
    other = Database(database.dsn)
    yield other
    await other.close()


class TestPostgresWebhookOutbox(WebhookOutboxContract):
    @pytest.fixture
    def outbox(self, database: Database, clock: Any) -> PostgresWebhookOutbox:
        return PostgresWebhookOutbox(database, clock, "contract")

    @pytest.fixture
    def second(self, other_database: Database, clock: Any) -> PostgresWebhookOutbox:
        return PostgresWebhookOutbox(other_database, clock, "contract")

    @pytest.fixture
    def other(self, database: Database, clock: Any) -> PostgresWebhookOutbox:
        return PostgresWebhookOutbox(database, clock, "other")


@pytest.mark.parametrize(("mistake", "test", "arguments"), wrong.MISTAKES)
async def test_the_suite_notices(
    mistake: type[PostgresWebhookOutbox],
    test: str,
    arguments: dict[str, Any],
    database: Database,
    other_database: Database,
    units: Units,
    clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "outbox": mistake(database, clock, "contract"),
        "second": mistake(other_database, clock, "contract"),
        "other": mistake(database, clock, "other"),
        "units": units,
        "clock": clock,
        "monkeypatch": monkeypatch,
        **arguments,
    }
    await assert_contract_fails(WebhookOutboxContract, test, **fixtures_of(WebhookOutboxContract, test, given))


def test_each_rule_has_a_mistake() -> None:
    assert {test for _, test, _ in wrong.MISTAKES} == rules(WebhookOutboxContract)


async def test_no_statement_reads_a_whole_table(database: Database, clock: Any) -> None:
    for state in ("waiting", "delivered"):
        await database.execute(_MANY, state)
    await database.execute(_ENDPOINTS)
    await database.execute("ANALYZE marketplace.webhook_deliveries, marketplace.webhook_endpoints")
    now = clock.now()
    assert await read_whole(database, CLAIM, "contract", [], now, 16, 4, now) == []
    assert await read_whole(database, NEXT_DUE, "contract", []) == []
    assert await read_whole(database, PURGE_DELIVERIES, "contract", now, 1000) == []
