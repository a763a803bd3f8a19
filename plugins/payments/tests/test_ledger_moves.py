"""A ledger that a deployment has had since 0.1.0, among its payments, goes on where the role has its tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from marketplace_payments import ledger, plugin
from marketplace_payments.ledger import EntrySet
from marketplace_payments.store import StoredSale
from marketplace_payments.stores import postgres_ledger
from marketplace_payments.stores.postgres_ledger import PostgresLedgerStore

from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.migrate import migrate_database
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.ports import UnitOfWork
from marketplace_core.testing.servers import Servers
from marketplace_core.values import Money, SystemClock

RELEASED, LATER = (
    [each for each in plugin.migrations() if each.store == "postgres" and each.role == role] for role in ("", "ledger")
)
NAMES = ("ledger_sets", "ledger", "balances", "sales", "ledger_orders")


def _eur(amount: int) -> Money:
    return Money(amount, "EUR")


def _sale(operation: str, amount: int) -> EntrySet:
    zero = _eur(0)
    fact = (operation, "o1", "p1", "s1")
    return ledger.sale(fact, _eur(amount), zero, zero, zero, zero, shipping_to="seller", tax_to="seller")


@pytest.fixture
async def database(marketplace_servers: Servers) -> AsyncIterator[Database]:
    """As ``marketplace migrate`` of 0.1.0 left it."""
    made = Database(await marketplace_servers.create_migrated({"payments": RELEASED}))
    yield made
    await made.close()
    marketplace_servers.drop_database(made.dsn)


async def _upgrade(database: Database) -> None:
    done = await migrate_database(database, {"payments": RELEASED, "payments.ledger": LATER})
    assert [(step.plugin, step.number) for step in done] == [("payments.ledger", 1)]


@pytest.fixture
def old(monkeypatch: pytest.MonkeyPatch) -> Callable[[PostgresLedgerStore, str, int], Awaitable[bool]]:
    """What a process of 0.1.0 does for a captured payment and then for its order's completion, by the names that it knows."""

    async def capture(store: PostgresLedgerStore, operation: str, amount: int) -> bool:
        units = PostgresUnits(store._database, SystemClock(), "payments")

        async def work(uow: UnitOfWork) -> bool:
            if not await store.post(uow, _sale(operation, amount)):
                return False
            completed = await store.lock_order(uow, "o1", completed=False)
            await store.add_sale(uow, StoredSale(operation, "o1", "p1", "s1", _eur(amount), released=completed))
            return True

        with monkeypatch.context() as patch:
            for name in ("_SET", "_ENTRIES", "_LOCK_ORDER"):
                patch.setattr(postgres_ledger, name, getattr(postgres_ledger, name).replace("payments_ledger.", "payments."))
            add_sale = "INSERT INTO payments.sales (set_id, order_id, package_id, seller_id, amount, currency, released)"

            async def add(self: PostgresLedgerStore, uow: UnitOfWork, sale: StoredSale) -> None:
                await self._database.on(uow).execute(
                    f"{add_sale} VALUES ($1, 'o1', 'p1', 's1', $2, 'EUR', false)", sale.set_id, sale.amount.amount
                )

            patch.setattr(PostgresLedgerStore, "add_sale", add)
            return await units.run(work)

    return capture


@pytest.mark.behaviour("payments-3")
async def test_what_was_posted_stays_and_the_last_release_posts_on(
    database: Database, old: Callable[[PostgresLedgerStore, str, int], Awaitable[bool]]
) -> None:
    store = PostgresLedgerStore(database)
    units = PostgresUnits(database, SystemClock(), "payments")
    assert await old(store, "c1", 1000)
    await _upgrade(database)
    pending = ledger.account("s1", "pending")
    assert await store.balances([pending]) == {pending: [_eur(1000)]}
    assert not await units.run(lambda uow: store.post(uow, _sale("c1", 1000))), "it knows that this was posted"
    assert not await old(store, "c1", 1000)
    assert await old(store, "c2", 500)
    assert await units.run(lambda uow: store.post(uow, _sale("c3", 30)))
    assert await store.balances([pending]) == {pending: [_eur(1530)]}
    released = await units.run(lambda uow: store.release_sales(uow, "o1"))
    assert [(sale.set_id, sale.amount) for sale in released] == [("c1", _eur(1000)), ("c2", _eur(500))]


@pytest.mark.behaviour("payments-3")
@pytest.mark.parametrize("schema", ["payments", "payments_ledger"])
async def test_it_balances_and_is_only_added_to_by_either_name(database: Database, schema: str) -> None:
    await _upgrade(database)
    await database.execute(f"INSERT INTO {schema}.ledger_sets (id, at) VALUES ('x', now())")  # noqa: S608
    lines = "(set_id, account, type, currency, amount) VALUES ('x', 'gateway', 'sale', 'EUR', -10)"
    with pytest.raises(Exception, match="do not sum to zero"):
        await database.execute(f"INSERT INTO {schema}.ledger {lines}")
    with pytest.raises(Exception, match="append-only"):
        await database.execute(f"DELETE FROM {schema}.ledger_sets")  # noqa: S608


async def test_there_is_one_ledger(database: Database) -> None:
    await _upgrade(database)
    rows = await database.fetch(
        "SELECT relnamespace::regnamespace::text AS schema, relname::text AS name, relkind::text AS kind FROM pg_class"
        " WHERE relname = ANY($1::text[])",
        list(NAMES),
    )
    kinds = {(row["schema"], row["name"]): row["kind"] for row in rows}
    assert kinds == {(schema, name): kind for schema, kind in (("payments", "v"), ("payments_ledger", "r")) for name in NAMES}
