"""Keys that wait, in MongoDB, beside the handlers' inbox."""

from __future__ import annotations

import asyncio
import builtins
import contextlib
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from marketplace_core.adapters._notices import PARKED_CHANNEL
from marketplace_core.adapters.mongo.schema import INBOX, PARKED, UNREADABLE
from marketplace_core.adapters.mongo.server import Connection, Database, Document
from marketplace_core.adapters.mongo.units import inbox_place
from marketplace_core.events import Envelope
from marketplace_core.ports import Message, Parked, RawMessage
from marketplace_core.ports.releasing import DEFER_PAUSES, Head, Kept, ReleasingParking, id_of, id_of_unreadable, pause_after

__all__ = ["MongoParking"]

#: How often it is looked whether something may go on where nobody of this process hears of it.
UNHEARD_SECONDS = 1.0
_MOST_REREAD = 100


class MongoParking(ReleasingParking):
    def __init__(self, database: Database) -> None:
        self._database = database
        self._told = database.notices.event(PARKED_CHANNEL)

    async def wait(self, names: Sequence[str], seconds: float) -> None:
        longest = seconds if self._database.notices.heard else min(seconds, UNHEARD_SECONDS)
        due = await self._due_in(names)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest if due is None else max(0.0, min(longest, due))):
                await self._told.wait()
        self._told.clear()

    async def _due_in(self, names: Sequence[str]) -> float | None:
        """After how many seconds one of them may go on. What a person asked for and could not be done is tried again soon."""
        heads = await self._heads(names)
        asked = {"reader": {"$in": list(names)}, "requested": {"$ne": None}}
        soon = any(head["asked"] for head in heads) or await self._database.find_one(UNREADABLE, asked) is not None
        now = datetime.now(UTC)
        times = [(head["retry_at"] - now).total_seconds() for head in heads if head["retry_at"] is not None]
        return min([*times, *([UNHEARD_SECONDS] if soon else [])], default=None)

    async def _heads(self, handlers: Sequence[str]) -> builtins.list[Document]:
        """The first event of each key that waits, which speaks for it, with how many there are and whether one is asked for."""
        rows = await self._database.aggregate(
            PARKED,
            [
                {"$match": {"handler": {"$in": list(handlers)}}},
                {"$sort": {"handler": 1, "key": 1, "sequence": 1}},
                {
                    "$group": {
                        "_id": {"handler": "$handler", "key": "$key"},
                        "head": {"$first": "$$ROOT"},
                        "count": {"$sum": 1},
                        "asked": {"$max": {"$cond": [{"$ifNull": ["$requested", False]}, 1, 0]}},
                    }
                },
                {"$sort": {"_id": 1}},
            ],
        )
        # What was never tried only stood behind another one: as a head it is due at once, whoever left it so, and however that
        # one ended.
        return [
            {
                **row["head"],
                "id": row["head"]["_id"],
                "retry_at": row["head"]["retry_at"] or (None if row["head"]["attempts"] else row["head"]["at"]),
                "waiting": row["count"] - 1,
                "asked": bool(row["asked"]),
            }
            for row in rows
        ]

    # ── what waits ───────────────────────────────────────────────────────────────────────────────────────────

    async def park(self, handler: str, message: Message, error: str, attempts: int) -> None:
        await self._wait(handler, message, error, attempts)

    async def defer(self, handler: str, message: Message, error: str) -> None:
        await self._wait(handler, message, error, 1, DEFER_PAUSES[0])

    async def _wait(self, handler: str, message: Message, error: str, attempts: int, pause: float | None = None) -> None:
        """Mark the key, so that nothing of it passes, and keep the event."""

        async def work(connection: Connection) -> None:
            place, row = await inbox_place(connection, handler, message)
            id_ = {"handler": handler, "key": place}
            if row is None:
                seen = {"sequence": message.sequence - 1, "writer": message.writer, "parked_at": datetime.now(UTC)}
                await connection.insert(INBOX, [{"_id": id_, **seen}])
            elif row["sequence"] < message.sequence:
                await connection.lock(INBOX, {"_id": id_})
                seen = {"parked_at": row.get("parked_at") or datetime.now(UTC), "writer": message.writer or row["writer"]}
                await connection.update(INBOX, {"_id": id_}, {"$set": seen})
            else:
                return
            known = await self._insert(connection, handler, place, message, error, attempts, pause)
            if known is not None and pause is None:
                change = {"$set": {"error": error, "requested": None, "retry_at": None}, "$inc": {"attempts": attempts}}
                await connection.update(PARKED, {"_id": known["_id"]}, change)

        await self._database.transact(work)
        self._database.notices.tell(PARKED_CHANNEL)  # the loop that waits for what is due first

    async def append(self, handler: str, message: Message) -> bool:
        async def work(connection: Connection) -> bool:
            place, _ = await inbox_place(connection, handler, message)
            where = {"_id": {"handler": handler, "key": place}, "parked_at": {"$ne": None}}
            if await connection.lock(INBOX, where) is None:
                return False
            # What is there already was delivered again: it keeps its error and what a person asked for.
            await self._insert(connection, handler, place, message)
            return True

        return await self._database.transact(work)

    async def _insert(
        self,
        connection: Connection,
        handler: str,
        place: str,
        message: Message,
        error: str = "",
        attempts: int = 0,
        pause: float | None = None,
    ) -> Document | None:
        """What is there already, and else None."""
        known = await connection.find_one(PARKED, {"handler": handler, "key": place, "sequence": message.sequence})
        if known is None:
            at = datetime.now(UTC)
            row = {
                "_id": id_of(handler, message),
                "handler": handler,
                "key": place,
                "sequence": message.sequence,
                "type": message.type,
                "envelope": message.envelope,
                "writer": message.writer,
                "error": error,
                "attempts": attempts,
                "at": at,
                "requested": None,
                "retry_at": None if pause is None else at + timedelta(seconds=pause),
            }
            await connection.insert(PARKED, [row])
        return known

    async def keep(self, group: str, message: RawMessage) -> None:
        row = {
            "reader": group,
            "topic": message.topic,
            "partition": message.partition,
            "raw": message.raw,
            "error": message.error,
            "attempts": 1,
            "at": datetime.now(UTC),
            "requested": None,
        }
        id_ = id_of_unreadable(group, message)
        await self._database.change(UNREADABLE, {"_id": id_}, {"$setOnInsert": row}, upsert=True)

    async def seen(self, handler: str, event: Message | Envelope) -> int:
        _, row = await inbox_place(self._database, handler, event)
        return 0 if row is None else row["sequence"]

    async def supersede(self, handler: str, event: Envelope) -> None:
        async def work(connection: Connection) -> None:
            place, row = await inbox_place(connection, handler, event)
            key = {"handler": handler, "key": place}
            await connection.delete(PARKED, {**key, "sequence": {"$lte": event.sequence}})
            later = await connection.find_one(PARKED, key)
            known = row or {"sequence": 0, "writer": ""}
            seen = {
                "sequence": max(known["sequence"], event.sequence),
                "writer": event.writer or known["writer"],
                "parked_at": known.get("parked_at") if later else None,
            }
            await connection.change(INBOX, {"_id": key}, {"$set": seen}, upsert=True)

        await self._database.transact(work)

    async def list(self, names: Sequence[str]) -> builtins.list[Parked]:
        shown = Parked.__struct_fields__
        rows = [Parked(**{name: head[name] for name in shown}) for head in await self._heads(names)]
        kept = await self._database.find(UNREADABLE, {"reader": {"$in": list(names)}}, sort=[("at", 1), ("_id", 1)])
        return rows + [
            Parked(
                id=row["_id"],
                handler=row["reader"],
                key=f"{row['topic']}:{row['partition']}",
                type="",
                sequence=0,
                error=row["error"],
                attempts=row["attempts"],
                at=row["at"],
                waiting=0,
            )
            for row in kept
        ]

    async def backlog(self, handlers: Sequence[str]) -> int:
        return sum(head["retry_at"] is not None for head in await self._heads(handlers))

    async def count(self, names: Sequence[str]) -> dict[tuple[str, str], int]:
        counts = Counter(
            (head["handler"], "parked" if head["retry_at"] is None else "deferred") for head in await self._heads(names)
        )
        kept: builtins.list[Document] = [
            {"$match": {"reader": {"$in": list(names)}}},
            {"$group": {"_id": "$reader", "count": {"$sum": 1}}},
        ]
        for row in await self._database.aggregate(UNREADABLE, kept):
            counts[row["_id"], "unreadable"] = row["count"]
        return dict(counts)

    async def request(self, id_: str, *, drop: bool) -> bool:
        change = {"$set": {"requested": "drop" if drop else "replay"}}
        asked = [await self._database.update(name, {"_id": id_}, change) for name in (PARKED, UNREADABLE)]
        self._database.notices.tell(PARKED_CHANNEL)
        return any(asked)

    # ── what goes on ──────────────────────────────────────────────────────────────────────────────────────────

    async def requested(self, groups: Sequence[str]) -> builtins.list[Kept]:
        where = {"reader": {"$in": list(groups)}, "requested": {"$ne": None}}
        rows = await self._database.find(UNREADABLE, where, sort=[("at", 1), ("_id", 1)], limit=_MOST_REREAD)
        return [
            Kept(
                id=row["_id"],
                reader=row["reader"],
                topic=row["topic"],
                partition=row["partition"],
                raw=bytes(row["raw"]),
                error=row["error"],
                requested=row["requested"],
            )
            for row in rows
        ]

    async def still_unreadable(self, id_: str, error: str) -> None:
        change = {"$set": {"requested": None, "error": error}, "$inc": {"attempts": 1}}
        await self._database.update(UNREADABLE, {"_id": id_}, change)

    async def forget_unreadable(self, id_: str) -> None:
        await self._database.delete(UNREADABLE, {"_id": id_})

    async def ready(self, handlers: Sequence[str]) -> builtins.list[tuple[str, str]]:
        now = datetime.now(UTC)
        due = [
            head
            for head in await self._heads(handlers)
            if head["asked"] or (head["retry_at"] is not None and head["retry_at"] <= now)
        ]
        due.sort(key=lambda head: head["retry_at"] or now)
        return [(head["handler"], head["key"]) for head in due]

    async def wait_longer(self, handler: str, key: str, error: str) -> None:
        head = await self._database.find_one(PARKED, {"handler": handler, "key": key}, sort=[("sequence", 1)])
        if head is not None:
            later = {"error": error, "retry_at": datetime.now(UTC) + timedelta(seconds=pause_after(head["attempts"]))}
            await self._database.update(
                PARKED, {"_id": head["_id"], "requested": None}, {"$set": later, "$inc": {"attempts": 1}}
            )

    async def head(self, handler: str, key: str) -> Head | None:
        row = await self._database.find_one(PARKED, {"handler": handler, "key": key}, sort=[("sequence", 1)])
        if row is None:
            return None
        return Head(
            id=row["_id"],
            key=row["key"],
            sequence=row["sequence"],
            type=row["type"],
            envelope=row["envelope"],
            writer=row["writer"],
            requested=row["requested"],
        )

    async def pass_over(self, handler: str, head: Head) -> None:
        place = {"_id": {"handler": handler, "key": head.key}}
        await self._database.update(INBOX, place, {"$max": {"sequence": head.sequence}})

    async def forget(self, id_: str) -> None:
        await self._database.delete(PARKED, {"_id": id_})

    async def failed_again(self, id_: str, error: str) -> None:
        change = {"$set": {"error": error, "requested": None, "retry_at": None}, "$inc": {"attempts": 1}}
        await self._database.update(PARKED, {"_id": id_}, change)

    async def unpark(self, handler: str, key: str) -> bool:
        async def work(connection: Connection) -> bool:
            place = {"handler": handler, "key": key}
            await connection.lock(INBOX, {"_id": place})
            if await connection.find_one(PARKED, place) is not None:
                return False
            await connection.update(INBOX, {"_id": place}, {"$set": {"parked_at": None}})
            return True

        return await self._database.transact(work)
