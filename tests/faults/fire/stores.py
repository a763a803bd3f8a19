"""What each kind of server that holds truth has kept of events: those that were written, and what its handlers applied."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from marketplace_core.adapters.mongo import server as mongo
from marketplace_core.adapters.mongo.schema import AGGREGATES, INBOX, OUTBOX, PARKED, WRITER
from marketplace_core.adapters.postgres import Database

__all__ = ["Kept", "Place", "Seen", "kept_in"]

#: (topic, key, sequence, payload) of an event; (topic, key, sequence) of an aggregate.
Written = tuple[str, str, int, bytes]
Counted = tuple[str, str, int]
#: (handler, "topic:key", who counted): a topic may have several writers, of which each counts for itself (ADR 0070).
Place = tuple[str, str, str]
#: Sequences by that.
Seen = dict[Place, list[int]]

#: Which events each handler applied, in order: the inbox itself keeps only the last. In the handler's own transaction.
_WATCH = """
CREATE TABLE public.applied (
  position bigint GENERATED ALWAYS AS IDENTITY, handler text, key text, writer text, sequence bigint
);
CREATE FUNCTION public.note_applied() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO public.applied (handler, key, writer, sequence) VALUES (NEW.handler, NEW.key, NEW.writer, NEW.sequence);
  RETURN NULL;
END $$;
CREATE TRIGGER note_first AFTER INSERT ON marketplace.inbox FOR EACH ROW
  WHEN (NEW.parked_at IS NULL) EXECUTE FUNCTION public.note_applied();
CREATE TRIGGER note_next AFTER UPDATE ON marketplace.inbox FOR EACH ROW
  WHEN (OLD.sequence IS DISTINCT FROM NEW.sequence) EXECUTE FUNCTION public.note_applied();
"""


class Kept(ABC):
    """One server. ``whole``: :meth:`applied` has every event and not only the last of each key."""

    whole: bool

    @abstractmethod
    async def watch(self) -> None:
        """From now on write down what handlers apply, where that can be done."""

    @abstractmethod
    async def writer(self) -> str:
        """What its events bear, so that handlers can tell it from others."""

    @abstractmethod
    async def written(self) -> list[Written]:
        """Every event, by topic, key and sequence."""

    @abstractmethod
    async def counted(self) -> list[Counted]:
        """How far each aggregate says that it is."""

    @abstractmethod
    async def parked(self) -> list[str]: ...

    @abstractmethod
    async def inbox(self) -> dict[Place, int]:
        """The last event that each handler applied of each key."""

    @abstractmethod
    async def applied(self) -> Seen:
        """Since :meth:`watch`, in order."""


class _Postgres(Kept):
    whole = True

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watch(self) -> None:
        async with self._database.connection() as connection:
            await connection.script(_WATCH)

    async def writer(self) -> str:
        [row] = await self._database.fetch("SELECT id FROM marketplace.writer")
        return str(row["id"])

    async def written(self) -> list[Written]:
        query = (
            "SELECT topic, key, sequence, payload FROM marketplace.outbox WHERE kind = 'event' ORDER BY topic, key, sequence"
        )
        return [(row["topic"], row["key"], row["sequence"], row["payload"]) for row in await self._database.fetch(query)]

    async def counted(self) -> list[Counted]:
        rows = await self._database.fetch("SELECT topic, key, sequence FROM marketplace.aggregates")
        return [(row["topic"], row["key"], row["sequence"]) for row in rows]

    async def parked(self) -> list[str]:
        return [str(row) for row in await self._database.fetch("SELECT id, error FROM marketplace.parked")]

    async def inbox(self) -> dict[Place, int]:
        rows = await self._database.fetch("SELECT handler, key, writer, sequence FROM marketplace.inbox")
        return {_place(row["handler"], row["key"], row["writer"]): row["sequence"] for row in rows}

    async def applied(self) -> Seen:
        rows = await self._database.fetch("SELECT handler, key, writer, sequence FROM public.applied ORDER BY position")
        return _listed((_place(row["handler"], row["key"], row["writer"]), row["sequence"]) for row in rows)


class _Mongo(Kept):
    """It has no triggers: what is done twice shows in what was done, and what is lost in the last of each key."""

    whole = False

    def __init__(self, database: mongo.Database) -> None:
        self._database = database

    async def watch(self) -> None:
        return None

    async def writer(self) -> str:
        row = await self._database.find_one(WRITER, {})
        return str(row["_id"]) if row else ""

    async def written(self) -> list[Written]:
        rows = await self._database.find(OUTBOX, {"kind": "event"})
        return sorted((row["topic"], row["key"], row["sequence"], row["payload"]) for row in rows)

    async def counted(self) -> list[Counted]:
        rows = await self._database.find(AGGREGATES, {})
        return [(row["_id"]["topic"], row["_id"]["key"], row["sequence"]) for row in rows]

    async def parked(self) -> list[str]:
        return [str(row) for row in await self._database.find(PARKED, {})]

    async def inbox(self) -> dict[Place, int]:
        rows = await self._database.find(INBOX, {})
        return {_place(row["_id"]["handler"], row["_id"]["key"], row["writer"]): row["sequence"] for row in rows}

    async def applied(self) -> Seen:
        return _listed((await self.inbox()).items())


def _place(handler: str, key: str, writer: str) -> Place:
    """A second writer of an aggregate has an inbox row of its own."""
    return handler, key.removesuffix(f"@{writer}"), writer


def _listed(rows: Iterable[tuple[Place, int]]) -> Seen:
    found: Seen = defaultdict(list)
    for place, sequence in rows:
        found[place].append(sequence)
    return found


def kept_in(connection: Any) -> Kept:
    """:raises TypeError: nobody has said how one looks into such a server."""
    if isinstance(connection, Database):
        return _Postgres(connection)
    if isinstance(connection, mongo.Database):
        return _Mongo(connection)
    raise TypeError(f"{type(connection).__name__} is a truth that this does not look into")
