"""MongoDB: connections, on which nobody waits for ever, and transactions. Nothing else imports the driver, which is Motor.

PyMongo's own asynchronous client is its successor, where a session begins otherwise, and an aggregation is awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from bson import ObjectId
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReadPreference, ReturnDocument
from pymongo.monitoring import CommandListener
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from marketplace_core._runtime import failpoints
from marketplace_core.adapters._notices import Notices
from marketplace_core.adapters._waits import ANSWER_SECONDS, STATEMENT_SECONDS
from marketplace_core.adapters.mongo.errors import DRIVER_ERRORS, Again, is_unknown, translated
from marketplace_core.adapters.mongo.kind import POOL_SIZE
from marketplace_core.metrics import PoolState
from marketplace_core.ports import UnitOfWork
from marketplace_core.ports.gathering import before_commit

__all__ = ["Connection", "Database", "Document", "Operations"]

T = TypeVar("T")
Document = dict[str, Any]
Sort = Sequence[tuple[str, int]]

#: What is read may not be taken back, and what is acknowledged is on most of the set: whatever the address says.
_READ = ReadConcern("majority")
_WRITE = WriteConcern("majority", wtimeout=int(STATEMENT_SECONDS * 1000))
#: Seconds before a transaction that met another one is run again: at most these, and twice as long each time.
_PAUSE, _LONGEST_PAUSE = 0.002, 0.1
_FIND_SECONDS = 3.0
#: How long the server keeps who watches waiting, before it says that there is nothing.
_WATCH_SECONDS = 1.0


class Operations:
    """What is done with collections, by their full names. :raises UniqueViolation: :raises Unavailable: each of them."""

    def __init__(self, raw: Any, session: Any = None) -> None:
        self._raw, self._session = raw, session

    async def _ask(self, act: Awaitable[T]) -> T:
        try:
            return await act
        except DRIVER_ERRORS as error:
            raise translated(error)  # noqa: B904 - it has its cause

    async def find(
        self, name: str, where: Document, *, sort: Sort | None = None, limit: int = 0, fields: Document | None = None
    ) -> list[Document]:
        cursor = self._raw[name].find(where, fields, sort=sort, limit=limit, session=self._session)
        found: list[Document] = await self._ask(cursor.to_list(None))
        return found

    async def find_one(
        self, name: str, where: Document, *, sort: Sort | None = None, fields: Document | None = None
    ) -> Document | None:
        found: Document | None = await self._ask(self._raw[name].find_one(where, fields, sort=sort, session=self._session))
        return found

    async def aggregate(self, name: str, pipeline: Sequence[Document]) -> list[Document]:
        cursor = self._raw[name].aggregate(list(pipeline), session=self._session)
        found: list[Document] = await self._ask(cursor.to_list(None))
        return found

    async def count(self, name: str, where: Document) -> int:
        number: int = await self._ask(self._raw[name].count_documents(where, session=self._session))
        return number

    async def insert(self, name: str, documents: Sequence[Document]) -> None:
        if documents:
            await self._ask(self._raw[name].insert_many(list(documents), session=self._session))

    async def update(self, name: str, where: Document, change: Document | Sequence[Document]) -> int:
        """All that are so; gives how many."""
        done = await self._ask(self._raw[name].update_many(where, change, session=self._session))
        number: int = done.matched_count
        return number

    async def change(
        self, name: str, where: Document, change: Document | Sequence[Document], *, upsert: bool = False, before: bool = False
    ) -> Document | None:
        """One that is so, as it is afterwards, or was ``before``. ``upsert``: it is made if there is none."""
        which = ReturnDocument.BEFORE if before else ReturnDocument.AFTER
        act = self._raw[name].find_one_and_update(where, change, upsert=upsert, return_document=which, session=self._session)
        found: Document | None = await self._ask(act)
        return found

    async def write(self, name: str, operations: Sequence[Any]) -> None:
        """Several at once, each one of :mod:`pymongo.operations`."""
        if operations:
            await self._ask(self._raw[name].bulk_write(list(operations), session=self._session))

    async def delete(self, name: str, where: Document) -> int:
        done = await self._ask(self._raw[name].delete_many(where, session=self._session))
        number: int = done.deleted_count
        return number

    async def command(self, command: Mapping[str, Any]) -> Document:
        answer: Document = await self._ask(self._raw.command(dict(command)))
        return answer


class Connection(Operations):
    """A transaction. An error in it is its end, whoever catches it: unlike in SQL there are no savepoints."""

    def __init__(self, database: Database, session: Any) -> None:
        super().__init__(database._raw, session)
        self.database = database

    async def lock(self, name: str, where: Document) -> Document | None:
        """One that is so, as it is; who locks or writes it too before this transaction ends is run again."""
        return await self.change(name, where, {"$set": {"turn": ObjectId()}})

    async def lock_all(self, name: str, where: Document) -> list[Document]:
        """All that are so, by their ids."""
        await self.update(name, where, {"$set": {"turn": ObjectId()}})
        return await self.find(name, where, sort=[("_id", 1)])


class Database(Operations):
    """One database of a server, or of a set of them. Making it connects to nothing."""

    def __init__(
        self, url: str, *, size: int = POOL_SIZE, name: str = "marketplace", listeners: Sequence[CommandListener] = ()
    ) -> None:
        """``listeners`` hear of every command."""
        self.url, self.name, self._size = url, name, size
        self._client: Any = AsyncIOMotorClient(
            url,
            tz_aware=True,
            maxPoolSize=size,
            appname="marketplace",
            serverSelectionTimeoutMS=int(_FIND_SECONDS * 1000),
            connectTimeoutMS=int(_FIND_SECONDS * 1000),
            socketTimeoutMS=int(ANSWER_SECONDS * 1000),
            waitQueueTimeoutMS=int(ANSWER_SECONDS * 1000),
            event_listeners=list(listeners),
        )
        self.database_name = urlsplit(url).path.strip("/") or "marketplace"
        made = self._client.get_database(
            self.database_name, read_concern=_READ, write_concern=_WRITE, read_preference=ReadPreference.PRIMARY
        )
        super().__init__(made)
        self._running: set[asyncio.Task[Any]] = set()
        self.notices = Notices()

    async def hello(self) -> Document:
        """What the server says of itself."""
        answer: Document = await self._ask(self._client.admin.command("hello"))
        return answer

    async def transact(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        """Run ``work`` in a transaction, to its end even when the caller goes away.

        Where others wait for a lock, here it fails that comes second: then ``work`` is run again, from its beginning.
        """
        task = asyncio.ensure_future(self._transact(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _transact(self, work: Callable[[Connection], Coroutine[Any, Any, T]]) -> T:
        until, pause = time.monotonic() + STATEMENT_SECONDS, _PAUSE
        while True:
            try:
                return await self._attempt(work, until)
            except Again:
                if time.monotonic() >= until:
                    raise
            await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - so that two do not meet again
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _attempt(self, work: Callable[[Connection], Coroutine[Any, Any, T]], until: float) -> T:
        async with await self._ask(self._client.start_session()) as session:
            session.start_transaction(
                read_concern=_READ,
                write_concern=_WRITE,
                read_preference=ReadPreference.PRIMARY,
                max_commit_time_ms=int(STATEMENT_SECONDS * 1000),
            )
            try:
                answer = await work(Connection(self, session))
                before_commit()
            except BaseException:
                with contextlib.suppress(*DRIVER_ERRORS):
                    await session.abort_transaction()
                raise
            await self._commit(session, until)
            failpoints.hit("unit.after_commit")
            return answer

    async def _commit(self, session: Any, until: float) -> None:
        """A commit that nobody knows of is repeated, which changes nothing if it was made."""
        while True:
            try:
                return await session.commit_transaction()  # type: ignore[no-any-return]
            except DRIVER_ERRORS as error:
                if not is_unknown(error) or time.monotonic() >= until:
                    raise translated(error)  # noqa: B904 - it has its cause
            await asyncio.sleep(_LONGEST_PAUSE)

    def on(self, uow: UnitOfWork) -> Connection:
        """The transaction of a unit of work that runs on this database: where a store's writes go."""
        connection = getattr(uow, "connection", None)
        if not isinstance(connection, Connection):
            raise TypeError(f"{type(uow).__name__} does not run on MongoDB")
        return connection

    @contextlib.asynccontextmanager
    async def watching(self, changes: Document) -> AsyncIterator[Callable[[], Coroutine[Any, Any, Document | None]]]:
        """Inside, what is given tells the next committed change that is as ``changes`` say; None: not for a while."""
        pipeline = [{"$match": changes}, {"$project": {"ns": 1}}]
        stream = self._raw.watch(pipeline, max_await_time_ms=int(_WATCH_SECONDS * 1000))
        await self._ask(stream.__aenter__())

        async def following() -> Document | None:
            found: Document | None = await self._ask(stream.try_next())
            return found

        try:
            yield following
        finally:
            with contextlib.suppress(*DRIVER_ERRORS):
                await stream.close()

    def pools(self) -> Sequence[PoolState]:
        return ()  # the driver does not tell how many are taken

    async def drop(self) -> None:
        """All that is in it, for tests."""
        await self._ask(self._client.drop_database(self.database_name))

    async def close(self) -> None:
        """What is under way ends first."""
        if self._running:
            await asyncio.wait(self._running, timeout=10)
        self._client.close()
