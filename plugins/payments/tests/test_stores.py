"""The stores of payments, in PostgreSQL and in MongoDB, by one suite; and that the suite notices each mistake."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from marketplace_payments import plugin
from marketplace_payments.store import PaymentStore
from marketplace_payments.stores.mongo import MongoPaymentStore
from marketplace_payments.stores.postgres import PostgresPaymentStore

from marketplace_core.adapters.mongo import Database as MongoDatabase
from marketplace_core.adapters.mongo.migrate import migrate_database
from marketplace_core.adapters.mongo.units import MongoUnits
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.ports import Units
from marketplace_core.testing.contracts import assert_contract_fails, fixtures_of, rules
from marketplace_core.values import SystemClock
from plugins.payments.tests.stores_contract import PaymentStoreContract
from plugins.payments.tests.wrong_stores import MISTAKES

KINDS = ("postgres", "mongo")
STEPS = {kind: [each for each in plugin.migrations() if (each.store, each.role) == (kind, "")] for kind in KINDS}


@pytest.fixture
async def database(database_factory: Callable[[Sequence[str]], Awaitable[Database]]) -> Database:
    return await database_factory(["CREATE SCHEMA payments;", *(step.script for step in STEPS["postgres"])])


@pytest.fixture
def units(database: Database) -> Units:
    return PostgresUnits(database, SystemClock(), "payments")


class TestInPostgres(PaymentStoreContract):
    @pytest.fixture
    def store(self, database: Database) -> PaymentStore:
        return PostgresPaymentStore(database)


@pytest.mark.xdist_group("mongo")
class TestInMongo(PaymentStoreContract):
    @pytest.fixture
    async def migrated(self, mongo_database: MongoDatabase) -> MongoDatabase:
        await migrate_database(mongo_database, {"payments": STEPS["mongo"]})
        return mongo_database

    @pytest.fixture
    def store(self, migrated: MongoDatabase) -> PaymentStore:
        return MongoPaymentStore(migrated)

    @pytest.fixture
    def units(self, migrated: MongoDatabase) -> Units:
        return MongoUnits(migrated, SystemClock(), "payments")


@pytest.mark.parametrize(("mistake", "test"), MISTAKES)
async def test_the_suite_notices(mistake: type[PostgresPaymentStore], test: str, database: Database, units: Units) -> None:
    given: dict[str, Any] = {"store": mistake(database), "units": units}
    await assert_contract_fails(PaymentStoreContract, test, **fixtures_of(PaymentStoreContract, test, given))


def test_every_rule_is_broken_once() -> None:
    assert rules(PaymentStoreContract) == {test for _, test in MISTAKES}
