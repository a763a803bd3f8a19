"""The threads of the saga engine's library: none of what we do not use, and one that looks for work when it is told to."""

from __future__ import annotations

import importlib
import threading
from typing import Any

__all__ = ["keep_quiet", "look_for_work"]

#: How often it looks without being told.
_WORK_SECONDS = 30.0


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

    def rest(*_: Any) -> None:
        """Nothing to do."""

    core.queue_thread = take_up
    core.startup_recovery_thread = recovered
    core.background_jobs_thread = rest
    core.dynamic_scheduler_loop = rest
    rows.PostgresSystemDatabase.run_notifier = rest
