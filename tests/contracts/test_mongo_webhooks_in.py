"""Webhooks that come in, in MongoDB."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Struct

from marketplace_core.adapters.mongo import Database
from marketplace_core.adapters.mongo.migrate import migrate_database
from marketplace_core.adapters.mongo.units import MongoUnits
from marketplace_core.adapters.mongo.webhooks_in import MongoWebhookInbox
from marketplace_core.hookspecs import Migration
from marketplace_core.ports import StoredWebhook, UnitOfWork, Units, WebhookState
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of
from marketplace_core.testing.contracts.clock import MovableClock
from marketplace_core.testing.contracts.webhooks_in import Outgoing, WebhookInboxContract

pytestmark = pytest.mark.xdist_group("mongo")

NAME = "contract.webhooks"
INDEX = {"name": "ended", "key": {"at": 1}, "partialFilterExpression": {"ended": True}}
MADE = Migration("mongo", 1, "webhooks", json.dumps([{"createIndexes": NAME, "indexes": [INDEX]}]))


class Told(Struct, frozen=True):
    payment: str


class LooksFirst(MongoWebhookInbox[Any]):
    """It looks outside of the unit, so that of two at once both find none; and writes it anew."""

    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[Any]) -> bool:
        known = await self.waiting(webhook.source, webhook.id)
        await super().insert(uow, webhook)
        return known is None


class NeverEnds(MongoWebhookInbox[Any]):
    """What is closed does not say so where a purge looks."""

    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[Any]) -> bool:
        made = await super().insert(uow, webhook)
        await self._database.on(uow).update(self._name, {}, {"$unset": {"ended": ""}})
        return made


class RemembersWhatWaited(MongoWebhookInbox[Any]):
    """It asks once, and a unit that is run again is given what it was told before."""

    _known: StoredWebhook[Any] | None = None

    async def close(
        self, uow: UnitOfWork, source: str, webhook_id: str, state: WebhookState, note: str | None = None
    ) -> StoredWebhook[Any] | None:
        self._known = self._known or await self.waiting(source, webhook_id)
        await super().close(uow, source, webhook_id, state, note)
        return self._known


MISTAKES: list[tuple[type[MongoWebhookInbox[Any]], str]] = [
    (LooksFirst, "test_a_repeat_is_a_duplicate"),
    (NeverEnds, "test_a_purge_takes_what_ended_long_ago"),
    (RemembersWhatWaited, "test_of_many_at_once_one_takes_it"),
]


@pytest.fixture
def told() -> Told:
    return Told("pay-1")


@pytest.fixture
async def database(mongo_database: Database) -> Database:
    await migrate_database(mongo_database, {"contract": [MADE]})
    return mongo_database


@pytest.fixture
def clock(movable_clock: MovableClock) -> MovableClock:
    return movable_clock


@pytest.fixture
def units(database: Database, clock: MovableClock) -> Units:
    return MongoUnits(database, clock, "contract", frozenset({"contract"}))


@pytest.fixture
def outgoing(database: Database) -> Outgoing:
    async def types() -> list[str]:
        return [row["type"] for row in await database.find("marketplace.outbox", {}, sort=[("_id", 1)])]

    return types


class TestMongoWebhookInbox(WebhookInboxContract):
    @pytest.fixture
    def inbox(self, database: Database) -> MongoWebhookInbox[Told]:
        return MongoWebhookInbox(database, NAME, Told)


@pytest.mark.parametrize(("mistake", "test"), MISTAKES)
async def test_the_suite_notices(
    mistake: type[MongoWebhookInbox[Any]],
    test: str,
    database: Database,
    units: Units,
    clock: MovableClock,
    told: Told,
    outgoing: Outgoing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"inbox": mistake(database, NAME, Told), "units": units, "clock": clock, "told": told, "outgoing": outgoing}
    given["monkeypatch"] = monkeypatch
    await assert_contract_fails(WebhookInboxContract, test, **fixtures_of(WebhookInboxContract, test, given))
