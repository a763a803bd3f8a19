"""Webhooks that come in, in PostgreSQL."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from msgspec import Struct

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.webhooks_in import PostgresWebhookInbox, WebhookTable
from marketplace_core.ports import Units
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of, rules
from marketplace_core.testing.contracts.webhooks_in import Outgoing, WebhookInboxContract
from tests.contracts import wrong_webhooks_in as wrong
from tests.contracts.conftest import PostgresProbe


class Told(Struct, frozen=True):
    payment: str


TABLE = WebhookTable(name="contract.webhooks")
OTHERWISE = WebhookTable(name="contract.webhooks", source="gateway", at="came_at", waiting="received", text=True)


@pytest.fixture
def told() -> Told:
    return Told("pay-1")


@pytest.fixture(params=[TABLE, OTHERWISE], ids=["core's", "another's"])
def table(request: pytest.FixtureRequest) -> WebhookTable:
    chosen: WebhookTable = request.param
    return chosen


@pytest.fixture
async def database(database_factory: Callable[[Sequence[str]], Awaitable[Database]], table: WebhookTable) -> Database:
    return await database_factory(["CREATE SCHEMA contract;", table.script])


@pytest.fixture
def outgoing(database: Database) -> Outgoing:
    return PostgresProbe(database).outgoing


class TestPostgresWebhookInbox(WebhookInboxContract):
    @pytest.fixture
    def inbox(self, database: Database, table: WebhookTable) -> PostgresWebhookInbox[Told]:
        return PostgresWebhookInbox(database, table, Told)


@pytest.mark.parametrize("table", [TABLE], indirect=True, ids=[""])
@pytest.mark.parametrize(("mistake", "test"), wrong.MISTAKES)
async def test_the_suite_notices(
    mistake: type[PostgresWebhookInbox[Told]],
    test: str,
    database: Database,
    units: Units,
    clock: Any,
    told: Told,
    outgoing: Outgoing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"inbox": mistake(database, TABLE, Told), "units": units, "clock": clock, "told": told, "outgoing": outgoing}
    given["monkeypatch"] = monkeypatch
    await assert_contract_fails(WebhookInboxContract, test, **fixtures_of(WebhookInboxContract, test, given))


def test_each_rule_has_a_mistake() -> None:
    assert {test for _, test in wrong.MISTAKES} == rules(WebhookInboxContract)
