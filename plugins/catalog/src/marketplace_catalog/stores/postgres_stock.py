"""Stock in PostgreSQL. Safe whoever calls at once, and without a deadlock.

Variants are locked in the order of their ids. A reservation's row is locked before its variants and written after them;
``reserve`` inserts that row with all its variants locked already. So who waits for the row waits for somebody who waits for
nobody: an insert does not wait for a row that is only locked, but for one that is written. Of two rows the one that took
units over is locked before the one that it has them from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from marketplace_catalog.domain import StockLine, add_up, shortages
from marketplace_catalog.store import Short, StockChange, StockRecord, StockStore
from marketplace_catalog.stores import sql
from marketplace_core.adapters.postgres import Connection, Database, Row, json_text
from marketplace_core.capabilities.catalog import ReservedLine
from marketplace_core.ports import UnitOfWork

__all__ = ["PostgresStockStore"]

_LINE = f"""
json_build_object('variant_id', v.id, 'product_id', p.id, 'seller', json_build_object('id', s.id, 'name', s.name),
  'sku', v.sku, 'title', p.title, 'options', v.options,
  'image', {sql.THUMB},
  'quantity', 0, 'unit_price', json_build_object('amount', coalesce(v.price, 0), 'currency', coalesce(v.currency, 'XXX')),
  'category_id', p.category_id, 'tax_class', 'standard', 'weight_g', {sql.WEIGHT}, 'digital', {sql.DIGITAL})::text AS line
"""

#: What a reservation looks at, variants locked. $1: variant ids.
_LOCK_LINES = f"""
SELECT v.id, v.product_id, v.sku, v.on_hand, v.reserved, v.allocated,
  p.status = 'published' AND s.active AND v.price IS NOT NULL AS buyable, {_LINE}
FROM catalog.variants v JOIN catalog.products p ON p.id = v.product_id JOIN catalog.sellers s ON s.id = p.seller_id
WHERE v.id = ANY($1::text[]) ORDER BY v.id FOR UPDATE OF v
"""

#: Take the reservation's key, or wait for whoever is taking it; what its lines show stays. $1 key, $2 lines, $3 expires_at,
#: $4 now, $5 status, $6 whose units it takes over
_CLAIM = """
WITH pictured AS (
  INSERT INTO catalog.ordered_pictures (key)
  SELECT DISTINCT line->>'image' FROM jsonb_array_elements($2::text::jsonb) AS line WHERE line->>'image' IS NOT NULL
  ORDER BY 1 ON CONFLICT DO NOTHING)
INSERT INTO catalog.reservations (key, status, lines, expires_at, created_at, instead_of)
VALUES ($1, $5, $2::text::jsonb, $3, $4, $6) ON CONFLICT (key) DO NOTHING RETURNING key
"""

#: Change stock by so much, variants locked in the order of their ids. $1: [{id, reserved, allocated, on_hand}], $2: ids,
#: $3: now. Of what nobody counts as much is there afterwards as before: an import puts it there.
_MOVE = f"""
WITH locked AS MATERIALIZED (SELECT id FROM catalog.variants WHERE id = ANY($2::text[]) ORDER BY id FOR UPDATE)
UPDATE catalog.variants v SET reserved = v.reserved + m.reserved, allocated = v.allocated + m.allocated,
  on_hand = v.on_hand + CASE WHEN {sql.UNTRACKED} THEN m.reserved + m.allocated ELSE m.on_hand END,
  moved_at = greatest(v.moved_at, $3)
FROM jsonb_to_recordset($1::text::jsonb) AS m(id text, reserved bigint, allocated bigint, on_hand bigint),
  catalog.products p
WHERE v.id = m.id AND v.id IN (SELECT id FROM locked) AND p.id = v.product_id
RETURNING v.product_id, p.slug, v.id AS variant_id, v.on_hand - v.reserved - v.allocated AS available,
  v.on_hand - v.reserved - v.allocated
    - CASE WHEN {sql.UNTRACKED} THEN 0 ELSE m.on_hand - m.reserved - m.allocated END AS before
"""

#: $1: what ended before goes, $2: at most so many. By the place of the rows, as a join could choose to read all of them; each
#: of the two has an index of its own.
_FORGET = """
DELETE FROM catalog.reservations WHERE ctid = ANY (ARRAY(
  SELECT ctid FROM catalog.reservations WHERE {ended} AND coalesce(ended_at, expires_at) < $1
  ORDER BY coalesce(ended_at, expires_at) LIMIT $2::int FOR UPDATE SKIP LOCKED)) RETURNING key
"""
FORGET_COMMITTED = _FORGET.format(ended="status = 'committed'")
FORGET_GIVEN_BACK = _FORGET.format(ended="status IN ('released', 'expired')")

_NOTHING: Mapping[str, int] = {}


class PostgresStockStore(StockStore):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def lock_skus(self, uow: UnitOfWork, seller_id: str, skus: Sequence[str]) -> dict[str, StockRecord]:
        rows = await self._database.on(uow).fetch(
            "SELECT v.id, v.product_id, p.slug, v.sku, v.on_hand, v.reserved, v.allocated FROM catalog.variants v"
            " JOIN catalog.products p ON p.id = v.product_id"
            " WHERE v.seller_id = $1 AND v.sku = ANY($2::text[]) ORDER BY v.id FOR UPDATE OF v",
            seller_id,
            list(skus),
        )
        return {row["sku"]: StockRecord(**row) for row in rows}

    async def save_on_hand(self, uow: UnitOfWork, records: Sequence[StockRecord]) -> None:
        await self._database.on(uow).execute(
            "UPDATE catalog.variants v SET on_hand = m.on_hand, moved_at = greatest(v.moved_at, $2)"
            " FROM jsonb_to_recordset($1::text::jsonb) AS m(id text, on_hand bigint) WHERE v.id = m.id",
            json_text(records),
            uow.now,
        )

    # ── reservations ─────────────────────────────────────────────────────────────────────────────────────────

    async def reserve(
        self, uow: UnitOfWork, key: str, lines: Sequence[StockLine], expires_at: datetime, instead_of: str | None = None
    ) -> tuple[list[ReservedLine], datetime, list[StockChange]] | list[Short]:
        connection = self._database.on(uow)
        earlier = await self._lock_reservation(connection, instead_of) if instead_of is not None else {}
        passed = _units(earlier) if earlier.get("status") == "held" else {}
        ids = sorted({line.variant_id for line in lines} | set(passed))
        rows = {row["id"]: row for row in await connection.fetch(_LOCK_LINES, ids)}
        available = {id_: _available(row) + passed.get(id_, 0) if row["buyable"] else 0 for id_, row in rows.items()}
        short = shortages(lines, available)
        if short:
            # Of a repeat there may be too little by now: what was held is its answer all the same.
            known = await self._reserved(connection, key)
            return known or [Short(index, units) for index, units in short]
        frozen = [_frozen(rows[line.variant_id]["line"], line.quantity) for line in lines]
        whose = instead_of if passed else None
        if not await connection.row(_CLAIM, key, json_text(frozen), expires_at, uow.now, "held", whose):
            known = await self._reserved(connection, key)
            return known or [Short(index, 0) for index in range(len(lines))]
        wanted = add_up(lines)
        moves = [_move(id_, reserved=wanted.get(id_, 0) - passed.get(id_, 0)) for id_ in ids]
        changes = await self._move(connection, moves, uow.now)
        if whose is not None:
            await self._set_status(connection, [whose], "expired", None)
        return frozen, expires_at, changes

    async def _reserved(
        self, connection: Connection, key: str
    ) -> tuple[list[ReservedLine], datetime, list[StockChange]] | None:
        row = await connection.row(
            "SELECT lines::text AS lines, expires_at FROM catalog.reservations WHERE key = $1 AND lines <> '[]'", key
        )
        return None if row is None else (_lines(row), row["expires_at"], [])

    async def extend(self, uow: UnitOfWork, key: str, until: datetime) -> None:
        await self._database.on(uow).execute(
            "UPDATE catalog.reservations SET expires_at = greatest(expires_at, $2) WHERE key = $1 AND status = 'held'",
            key,
            until,
        )

    async def release(self, uow: UnitOfWork, key: str) -> list[StockChange]:
        ends = {"held": "reserved", "expired": None}
        return await self._end(self._database.on(uow), key, uow.now, ends, gives_back=True)

    async def withdraw(self, uow: UnitOfWork, key: str) -> list[StockChange] | None:
        connection = self._database.on(uow)
        changes = await self._end(connection, key, uow.now, {"held": "reserved", "expired": None})
        known = await self._lock_reservation(connection, key)
        return None if known["status"] == "committed" else changes

    async def commit(self, uow: UnitOfWork, key: str) -> list[StockChange] | list[Short] | None:
        connection = self._database.on(uow)
        row = await self._lock_reservation(connection, key)
        if not row or row["status"] == "released":
            return None
        if row["status"] == "committed":
            return []
        units = _units(row)
        if row["status"] == "expired":
            short = await self._short(connection, _lines(row), list(units))
            if short:
                return short
            moves = [_move(id_, allocated=count) for id_, count in units.items()]
        else:
            moves = [_move(id_, reserved=-count, allocated=count) for id_, count in units.items()]
        changes = await self._move(connection, moves, uow.now)
        await self._set_status(connection, [key], "committed", uow.now)
        return changes

    async def restock(self, uow: UnitOfWork, key: str) -> list[StockChange]:
        ends = {"held": "reserved", "expired": None, "committed": "allocated"}
        return await self._end(self._database.on(uow), key, uow.now, ends)

    async def expire(self, uow: UnitOfWork, limit: int) -> list[StockChange]:
        connection = self._database.on(uow)
        rows = await connection.fetch(
            "SELECT key, lines::text AS lines FROM catalog.reservations"
            " WHERE status = 'held' AND expires_at <= $1 ORDER BY expires_at LIMIT $2::int FOR UPDATE SKIP LOCKED",
            uow.now,
            limit,
        )
        units = add_up(StockLine(line.variant_id, line.quantity) for row in rows for line in _lines(row))
        changes = await self._move(connection, [_move(id_, reserved=-count) for id_, count in units.items()], uow.now)
        await self._set_status(connection, [row["key"] for row in rows], "expired", None)
        return changes

    async def forget(self, uow: UnitOfWork, before: datetime, limit: int, *, committed: bool) -> int:
        forget = FORGET_COMMITTED if committed else FORGET_GIVEN_BACK
        return len(await self._database.on(uow).fetch(forget, before, limit))

    async def deallocate(self, uow: UnitOfWork, lines: Sequence[StockLine], *, shipped: bool) -> list[StockChange]:
        units = add_up(lines)
        moves = [_move(id_, allocated=-count, on_hand=-count if shipped else 0) for id_, count in units.items()]
        return await self._move(self._database.on(uow), moves, uow.now)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _end(
        self, connection: Connection, key: str, now: datetime, ends: Mapping[str, str | None], *, gives_back: bool = False
    ) -> list[StockChange]:
        """Release a reservation of the statuses in ``ends``, which name the count that its units leave.

        ``gives_back``: those that it took over, to where it has them from.
        """
        if await connection.row(_CLAIM, key, "[]", now, now, "released", None):
            return []  # nothing was reserved; now nothing can be
        row = await self._lock_reservation(connection, key)
        if row["status"] not in ends:
            return []
        field = ends[row["status"]]
        units = _units(row) if field else {}
        again = await self._to_hold_again(connection, row["instead_of"], units, now) if gives_back and units else {}
        moves = [_move(id_, **{field: -count}) for id_, count in units.items() if field]
        if again:
            moves = [_move(id_, reserved=again.get(id_, 0) - units.get(id_, 0)) for id_ in sorted({*units, *again})]
        changes = await self._move(connection, moves, now)
        await self._set_status(connection, [key], "released", now)
        if again:
            await self._set_status(connection, [row["instead_of"]], "held", None)
        return changes

    async def _to_hold_again(
        self, connection: Connection, key: str | None, freed: Mapping[str, int], now: datetime
    ) -> dict[str, int]:
        """What a reservation had that others took over, if it can have it again: its time is not over, and it is there."""
        row = await self._lock_reservation(connection, key) if key is not None else {}
        if row.get("status") != "expired" or row["expires_at"] <= now:
            return {}
        units = _units(row)
        short = await self._short(connection, _lines(row), sorted({*units, *freed}), freed)
        return {} if short else units

    async def _lock_reservation(self, connection: Connection, key: str) -> Row:
        row = await connection.row(
            "SELECT status, lines::text AS lines, expires_at, instead_of FROM catalog.reservations WHERE key = $1 FOR UPDATE",
            key,
        )
        return row or {}

    async def _set_status(self, connection: Connection, keys: list[str], status: str, ended_at: datetime | None) -> None:
        """The last step: see above."""
        await connection.execute(
            "UPDATE catalog.reservations SET status = $2, ended_at = $3 WHERE key = ANY($1::text[])", keys, status, ended_at
        )

    async def _short(
        self, connection: Connection, lines: Sequence[ReservedLine], ids: list[str], freed: Mapping[str, int] = _NOTHING
    ) -> list[Short]:
        """``freed``: units that are about to be."""
        rows = await connection.fetch(_LOCK_LINES, ids)
        available = {row["id"]: _available(row) + freed.get(row["id"], 0) if row["buyable"] else 0 for row in rows}
        wanted = [StockLine(line.variant_id, line.quantity) for line in lines]
        return [Short(index, units) for index, units in shortages(wanted, available)]

    async def _move(self, connection: Connection, moves: Sequence[dict[str, Any]], now: datetime) -> list[StockChange]:
        if not moves:
            return []
        rows = await connection.fetch(_MOVE, json_text(moves), [move["id"] for move in moves], now)
        return [StockChange(**row) for row in rows]


def _available(row: Row) -> int:
    units: int = row["on_hand"] - row["reserved"] - row["allocated"]
    return units


def _frozen(text: str, quantity: int) -> ReservedLine:
    return msgspec.structs.replace(msgspec.json.decode(text, type=ReservedLine), quantity=quantity)


def _lines(row: Row) -> list[ReservedLine]:
    return msgspec.json.decode(row["lines"], type=list[ReservedLine])


def _units(row: Row) -> dict[str, int]:
    return add_up(StockLine(line.variant_id, line.quantity) for line in _lines(row))


def _move(id_: str, *, reserved: int = 0, allocated: int = 0, on_hand: int = 0) -> dict[str, Any]:
    return {"id": id_, "reserved": reserved, "allocated": allocated, "on_hand": on_hand}
