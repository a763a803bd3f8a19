"""The ledger in PostgreSQL: entries are only ever added, and balances move in the transaction that adds them."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.adapters.postgres import Database, Row, json_text
from marketplace_core.context import PluginContext
from marketplace_core.ports import UnitOfWork
from marketplace_core.values import Money
from marketplace_payments.ledger import EntrySet
from marketplace_payments.store import LedgerStore, StoredSale

__all__ = ["PostgresLedgerStore", "make"]

_SET = """
INSERT INTO payments_ledger.ledger_sets (id, order_id, package_id, at) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO NOTHING RETURNING id
"""

#: $1 set, $2 entries. Balances are locked in the order of their accounts, so that two sets never wait for each other.
_ENTRIES = """
WITH given AS (
  SELECT * FROM jsonb_to_recordset($2::text::jsonb) AS e(line int, account text, type text, currency text, amount bigint)
), moved AS (
  INSERT INTO payments_ledger.balances AS b (account, currency, amount)
  SELECT account, currency, sum(amount)::bigint FROM given GROUP BY account, currency ORDER BY account, currency
  ON CONFLICT (account, currency) DO UPDATE SET amount = b.amount + excluded.amount
)
INSERT INTO payments_ledger.ledger (set_id, account, type, currency, amount)
SELECT $1, account, type, currency, amount FROM given ORDER BY line
"""

_LOCK_ORDER = """
INSERT INTO payments_ledger.ledger_orders AS o (order_id, completed) VALUES ($1, $2)
ON CONFLICT (order_id) DO UPDATE SET completed = o.completed OR excluded.completed RETURNING completed
"""

_SALE = "set_id, order_id, package_id, seller_id, amount, currency, released"


class PostgresLedgerStore(LedgerStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def lock_order(self, uow: UnitOfWork, order_id: str, *, completed: bool) -> bool:
        known: bool = await self._database.on(uow).value(_LOCK_ORDER, order_id, completed)
        return known

    async def post(self, uow: UnitOfWork, entries: EntrySet) -> bool:
        connection = self._database.on(uow)
        made = await connection.value(_SET, entries.id, entries.order_id, entries.package_id, uow.now)
        if made is None:
            return False
        rows = [
            {
                "line": line,
                "account": entry.account,
                "type": entry.type,
                "currency": entry.amount.currency,
                "amount": entry.amount.amount,
            }
            for line, entry in enumerate(entries.entries)
        ]
        await connection.execute(_ENTRIES, entries.id, json_text(rows))
        return True

    async def add_sale(self, uow: UnitOfWork, sale: StoredSale) -> None:
        await self._database.on(uow).execute(
            f"INSERT INTO payments_ledger.sales ({_SALE}) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            sale.set_id,
            sale.order_id,
            sale.package_id,
            sale.seller_id,
            sale.amount.amount,
            sale.amount.currency,
            sale.released,
        )

    async def release_sales(self, uow: UnitOfWork, order_id: str) -> list[StoredSale]:
        rows = await self._database.on(uow).fetch(
            f"UPDATE payments_ledger.sales SET released = true WHERE order_id = $1 AND NOT released RETURNING {_SALE}", order_id
        )
        return sorted((_sale(row) for row in rows), key=lambda sale: sale.set_id)

    async def balances(self, accounts: Sequence[str]) -> dict[str, list[Money]]:
        rows = await self._database.fetch(
            "SELECT account, currency, amount FROM payments_ledger.balances WHERE account = ANY($1::text[]) ORDER BY currency",
            list(accounts),
        )
        found: dict[str, list[Money]] = {name: [] for name in accounts}
        for row in rows:
            found[row["account"]].append(Money(row["amount"], row["currency"]))
        return found


def _sale(row: Row) -> StoredSale:
    return StoredSale(
        set_id=row["set_id"],
        order_id=row["order_id"],
        package_id=row["package_id"],
        seller_id=row["seller_id"],
        amount=Money(row["amount"], row["currency"]),
        released=row["released"],
    )


def make(context: PluginContext) -> PostgresLedgerStore:
    """On the PostgreSQL that the deployment gives the plugin for its ledger."""
    return PostgresLedgerStore(context.connection("ledger"))
