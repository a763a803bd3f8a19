"""The threads of the saga engine's library: none of what we do not use, and one that looks for work when it is told to."""

from __future__ import annotations

import importlib
import threading
import time
from typing import Any

import structlog

__all__ = ["keep_quiet", "look_for_work"]

#: How often it looks without being told.
_WORK_SECONDS = 30.0
#: After a connection that listened was lost.
_LISTEN_AGAIN_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class _Told(threading.Event):
    """What ends a thread of the engine's, which waits on it between two looks for work: it looks when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self._told = threading.Event()
        self._told.set()

    def tell(self) -> None:
        self._told.set()

    def set(self) -> None:
        super().set()
        self._told.set()

    def wait(self, timeout: float | None = None) -> bool:
        self._told.wait(_WORK_SECONDS)
        self._told.clear()
        return self.is_set()


_told: list[_Told] = []


def look_for_work() -> None:
    """There are sagas to be taken up."""
    for told in _told:
        told.tell()


def keep_quiet() -> None:
    """Start no thread of what we do not use: they look each second, and one a hundred times, for work that never comes.

    We have no queue but the engine's own, over which it takes sagas up; no schedules, time limits or delayed sagas, which are
    rows of ours; and no streams of events, of which one thread tells.
    """
    core: Any = importlib.import_module("dbos._dbos")
    rows: Any = importlib.import_module("dbos._sys_db_postgres")
    serve: Any = importlib.import_module("dbos._queue").queue_worker_thread
    recover = core.startup_recovery_thread

    def take_up(stop: threading.Event, instance: Any) -> None:
        told = _Told()
        instance.background_thread_stop_events.append(told)
        if stop.is_set():  # it was ended before it could know of the other
            return
        _told.append(told)
        try:
            serve(told, instance, instance._registry.get_internal_queue())
        finally:
            _told.remove(told)

    def recovered(*args: Any) -> None:
        recover(*args)
        look_for_work()

    def listen(database: Any) -> None:
        """Wake sagas for what is sent to them, and at each connection for what was sent while none listened.

        The library's own listener wakes nobody for that: a saga that was sent something between the engine's launch, or the
        loss of the connection, and the ``LISTEN`` heard of it a minute later.
        """
        while database._run_background_processes:
            try:
                with database._listener_thread_lock:
                    database.notification_conn = database.engine.raw_connection()
                    database.notification_conn.detach()
                    connection: Any = database.notification_conn
                    connection.set_autocommit(True)
                    connection.execute("LISTEN dbos_notifications_channel")
                for key in _unread(database):
                    _wake(database, key)
                while database._run_background_processes:
                    for notice in connection.notifies():
                        _wake(database, notice.payload)
            except Exception as error:  # the engine is nothing without it: whatever happened, it tries again
                if database._run_background_processes:
                    _log.warning("sagas.listener_lost", error=type(error).__name__)
                    time.sleep(_LISTEN_AGAIN_SECONDS)
            finally:
                database._cleanup_connections()

    def rest(*_: Any) -> None:
        """Nothing to do."""

    core.queue_thread = take_up
    core.startup_recovery_thread = recovered
    core.background_jobs_thread = rest
    core.dynamic_scheduler_loop = rest
    rows.PostgresSystemDatabase.run_notifier = rest
    rows.PostgresSystemDatabase._notification_listener = listen


def _unread(database: Any) -> list[str]:
    """Whoever was sent something that he has not read yet, as his wait is named."""
    sent = database.tables.notifications
    with database.engine.begin() as connection:
        unread = sent.select().where(~sent.c.consumed).with_only_columns(sent.c.destination_uuid, sent.c.topic)
        rows = connection.execute(unread)
        return [database._waiter(saga_id, topic)[0] for saga_id, topic in rows]


def _wake(database: Any, key: str) -> None:
    if (waiting := database.notifications_map.get(key)) is not None:
        waiting.set()
