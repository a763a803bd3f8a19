"""Being told of rows that change: one session of a database for all of a process that wait, as long as somebody does."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import structlog
from psqlpy.exceptions import Error as DriverError

from marketplace_core.adapters._waits import ANSWER_SECONDS
from marketplace_core.errors import Unavailable

if TYPE_CHECKING:
    from marketplace_core.adapters.postgres.server import Database

__all__ = ["Listening"]

log = structlog.get_logger("marketplace.postgres")

#: How long the session is kept after the last who waited, and how often it is asked whether it is still there.
LINGER_SECONDS = 20.0
LOOK_SECONDS = 5.0
AWAY_SECONDS = 0.5


class Listening:
    """Of one channel, on which ``pg_notify(channel, key)`` tells which row has changed.

    Whoever waits for a key looks at the row *after* it began to wait: a change before is in the row, one after it is told.
    When the session is lost all are woken once there is another, as something may have been missed in between.
    """

    def __init__(self, database: Database, channel: str) -> None:
        self._database, self._channel = database, channel
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._there = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @contextlib.asynccontextmanager
    async def changes(self, key: str) -> AsyncIterator[asyncio.Event]:
        """Set at each change of the row, for the holder to clear. :raises Unavailable: nobody tells us now."""
        told = asyncio.Event()
        self._waiting[key].add(told)
        try:
            if self._task is None or self._task.done():
                self._there.clear()
                self._task = asyncio.create_task(self._run(), name=f"listening to {self._channel}")
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._there.wait()
            except TimeoutError:
                raise Unavailable from None
            yield told
        finally:
            self._waiting[key].discard(told)
            if not self._waiting[key]:
                del self._waiting[key]

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Until nobody has waited for a while."""
        while True:
            try:
                if await self._listen():
                    return
            except (DriverError, TimeoutError, OSError) as error:
                log.warning("listening.waiting", channel=self._channel, cause=type(error).__name__)
            self._there.clear()
            await asyncio.sleep(AWAY_SECONDS)

    async def _listen(self) -> bool:
        """True once it is not needed any more. :raises DriverError: the session is lost. :raises TimeoutError: likewise."""
        listener = self._database.pool.listener()
        await listener.add_callback(channel=self._channel, callback=self._tell)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await listener.startup()
            listener.listen()
            self._there.set()
            self._wake(*self._waiting)
            idle = 0.0
            while idle < LINGER_SECONDS:
                await asyncio.sleep(LOOK_SECONDS)
                idle = 0.0 if self._waiting else idle + LOOK_SECONDS
                async with asyncio.timeout(ANSWER_SECONDS):
                    await listener.connection.execute("SELECT 1")
            return True
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(ANSWER_SECONDS):
                    # The driver drops what it was about to tell when it is ended: nothing more comes, and what came is told.
                    await listener.connection.execute("UNLISTEN *")
                    await asyncio.sleep(0)
            with contextlib.suppress(Exception):
                listener.abort_listen()
                async with asyncio.timeout(ANSWER_SECONDS):
                    await listener.shutdown()

    async def _tell(self, _: Any, key: str, *__: Any) -> None:
        self._wake(key)

    def _wake(self, *keys: str) -> None:
        for key in keys:
            for told in self._waiting.get(key, ()):
                told.set()
