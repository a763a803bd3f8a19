"""Use cases of the analytics: events come in batches, and reports are read of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec
import structlog
from msgspec import Struct

from marketplace_analytics.config import AnalyticsConfig
from marketplace_analytics.retention import Keeper
from marketplace_analytics.store import AnalyticsStore, Asked, Unread
from marketplace_core.capabilities.analytics import (
    ITEMS,
    AdminReportQuery,
    Analytics,
    Interval,
    MoneyItem,
    Report,
    ReportName,
)
from marketplace_core.errors import Invalid, Problem
from marketplace_core.events import Envelope, Unreadable
from marketplace_core.values import Clock, Money

__all__ = ["AnalyticsService"]

log = structlog.get_logger("marketplace.analytics")

MONEY = frozenset({"gross", "discounts", "refunds", "refunded", "commission", "net", "paid"})


class AnalyticsService(Analytics):
    def __init__(self, store: AnalyticsStore, clock: Clock, key: bytes, currency: str, config: AnalyticsConfig) -> None:
        """``key`` makes marks of persons; ``currency`` is the deployment's."""
        self._store, self._clock, self._currency, self._config = store, clock, currency, config
        self._keeper = Keeper(key)
        self._knows_forgotten = False

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────

    async def take(self, envelopes: Sequence[Envelope]) -> None:
        """The sink: returns once they are kept."""
        await self._keep(envelopes)

    async def restore(self, envelopes: list[str]) -> int:
        return await self._keep([_read(raw) for raw in envelopes])

    async def _keep(self, envelopes: Sequence[Envelope]) -> int:
        await self._know_forgotten()
        rows: dict[str, list[Struct]] = defaultdict(list)
        unread: list[Unread] = []
        for envelope in envelopes:
            try:
                row = self._keeper.row(envelope)
            except Unreadable as error:
                unread.append(Unread(id=envelope.id, type=envelope.type, version=envelope.version, error=str(error)))
            else:
                rows[envelope.type].append(row)
        if unread:
            log.error("analytics.unread", events=len(unread), first=unread[0].error)
        await self._store.write({type_: self._keeper.lines(found) for type_, found in rows.items()}, unread)
        return len(envelopes) - len(unread)

    # ── persons ──────────────────────────────────────────────────────────────────────────────────────────────

    async def forget(self, account_id: str) -> None:
        await self._know_forgotten()
        mark = self._keeper.mark(account_id)
        self._keeper.forgotten.add(mark)
        await self._store.forget(mark)

    async def _know_forgotten(self) -> None:
        if not self._knows_forgotten:
            self._keeper.forgotten |= await self._store.forgotten()
            self._knows_forgotten = True

    # ── reports ──────────────────────────────────────────────────────────────────────────────────────────────

    async def report(self, name: ReportName, query: AdminReportQuery) -> Report:
        asked = self._asked(query, "month" if name == "cohorts" else query.interval)
        rows = await self._store.report(name, asked)
        items = _cohorts(rows) if name == "cohorts" else [_item(name, row) for row in rows]
        total = await self._total(asked) if name == "overview" else None
        return Report(items=items, as_of=await self._store.as_of(), total=total)

    async def _total(self, asked: Asked) -> dict[str, Any]:
        """An overview of the whole time, in one currency."""
        currency = asked.currency or self._currency
        whole = msgspec.structs.replace(asked, interval=None, currency=currency)
        counts: dict[str, Any] = dict.fromkeys(("orders", "gross", "refunds", "sellers", "buyers"), 0)
        nothing = {**counts, "at": asked.since, "currency": currency, "paid": None if asked.seller_id else 0, "regions": []}
        return _item("overview", next(iter(await self._store.report("overview", whole)), nothing))

    def _asked(self, query: AdminReportQuery, interval: Interval) -> Asked:
        now = self._clock.now()
        until = query.to or now.date()
        since = query.from_ or until - timedelta(days=self._config.days - 1)
        if since > until:
            raise Invalid([Problem("?from", "range", "The first day is after the last one.")])
        return Asked(since=since, until=until, interval=interval, now=now, currency=query.currency, seller_id=query.seller_id)


def _read(raw: str) -> Envelope:
    try:
        return msgspec.json.decode(raw, type=Envelope)
    except msgspec.DecodeError as error:
        raise Invalid([Problem("/envelopes", "format", f"This is no envelope of an event: {error}.")]) from error


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def _item(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the store as an item has it: in the order of its fields, and amounts with their currency."""
    kind = ITEMS[name]
    values = {"from": _midnight(row["at"]), **row}
    if issubclass(kind, MoneyItem):
        values |= {field: Money(row[field], row["currency"]) for field in MONEY & row.keys() if row[field] is not None}
    if name == "returns":
        values["reasons"] = [
            {"reason": reason, "returned": returned, "refunded": Money(refunded, row["currency"])}
            for reason, returned, refunded in row["reasons"]
        ]
    if name == "overview":
        values["regions"] = [
            {"country": country, "region": region, "orders": orders, "gross": Money(gross, row["currency"])}
            for country, region, orders, gross in row["regions"]
        ]
    if name == "search":
        values["top"] = [{"query": query, "searches": times, "results": results} for query, times, results in row["top"]]
    shown = msgspec.convert(values, kind, from_attributes=True)
    found: dict[str, Any] = msgspec.to_builtins(shown)
    return found


def _cohorts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """From ``(first month, months later, people)``."""
    found: dict[date, dict[int, int]] = {}
    for row in rows:
        found.setdefault(row["at"], {})[row["later"]] = row["people"]
    return [
        _item(
            "cohorts",
            {
                "at": first,
                "first_month": f"{first:%Y-%m}",
                "people": later[0],
                "active": [later.get(month, 0) for month in range(max(later) + 1)],
            },
        )
        for first, later in found.items()
    ]
