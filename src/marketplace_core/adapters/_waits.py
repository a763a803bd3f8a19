"""How long a database may keep us waiting, and what its sessions are told so that none outlives the one that used it.

The server ends a statement that takes too long, and says so. So whoever waits longer still waits for an answer that does not
come: the connection is half open, or what is in between takes everything and gives nothing, which no time-out of TCP sees.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

__all__ = [
    "ANSWER_SECONDS",
    "JOB_SECONDS",
    "STATEMENT_SECONDS",
    "Waiting",
    "bounded_dsn",
    "bounded_libpq_dsn",
    "patience",
    "unhurried",
]

#: What the server gives a statement. Nothing that somebody waits for takes that long, but for a lock that is not given back.
STATEMENT_SECONDS = 10
#: What we give an answer, or a connection; the difference is for the way.
ANSWER_SECONDS = 12.0
#: What a statement of a job or a schedule is given.
JOB_SECONDS = 600.0
#: How long a transaction may do nothing: a process that was stopped for a while goes on, and the locks of one that is
#: behind a connection that died are given back.
_IDLE_SECONDS = 30
#: Seconds until a connection is tried that says nothing, between tries, and how many fail before it is taken for lost.
_KEEPALIVE = 10, 5, 3
_UNACKNOWLEDGED_SECONDS = 20

#: Waits are looked through when the first of them lasts too long, and not more often than this.
_LOOK_SECONDS = 0.25

_patience: ContextVar[float | None] = ContextVar("marketplace_patience", default=STATEMENT_SECONDS)


def patience() -> float | None:
    """Seconds that a statement may take here; None: as long as it takes."""
    return _patience.get()


@contextlib.contextmanager
def unhurried(seconds: float | None) -> Iterator[None]:
    """Statements that begin inside may take so long; None: as long as they take, as a migration's do."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


class Waiting:
    """Ends waits that last too long. One timer is for all: one for each would be ten times the cost."""

    def __init__(self) -> None:
        self._waits: set[_Wait] = set()
        self._at = self._late = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def bounded(self, seconds: float | None, act: Callable[..., Awaitable[Any]], *args: Any, **named: Any) -> Any:
        """What ``act`` gives. :raises TimeoutError: it did not in ``seconds``, or a moment more; it is cancelled."""
        if seconds is None:
            return await act(*args, **named)
        now, loop = time.monotonic(), asyncio.get_running_loop()
        # Of a loop that ended the timer ended, too.
        if now + seconds < self._at or now > self._late or loop is not self._loop:
            self._look_at(now + seconds, now, loop)
        wait = _Wait(asyncio.current_task(), now + seconds)
        self._waits.add(wait)
        try:
            return await act(*args, **named)
        except asyncio.CancelledError:
            if wait.ended and wait.task.uncancel() <= wait.cancelling:
                raise TimeoutError from None
            raise
        finally:
            self._waits.discard(wait)

    def _look_at(self, at: float, now: float, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._at = max(at, now + _LOOK_SECONDS)
        self._late = self._at + 3 * _LOOK_SECONDS
        self._loop = loop
        self._timer = loop.call_later(self._at - now, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = time.monotonic()
        # A process that was stopped has answers to take first, whose time seems to be over.
        for wait in self._waits if now <= self._late else ():
            if wait.until < now and not wait.ended:
                wait.ended, wait.cancelling = True, wait.task.cancelling()
                wait.task.cancel()
        if self._waits:
            self._look_at(min(wait.until for wait in self._waits), now, loop)
        else:
            self._late = 0.0


class _Wait:
    __slots__ = ("cancelling", "ended", "task", "until")

    def __init__(self, task: Any, until: float) -> None:
        self.task, self.until = task, until
        self.ended, self.cancelling = False, 0


def _told_to_the_server() -> str:
    idle, interval, count = _KEEPALIVE
    settings = {
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{_IDLE_SECONDS}s",
        "tcp_keepalives_idle": idle,
        "tcp_keepalives_interval": interval,
        "tcp_keepalives_count": count,
        "tcp_user_timeout": f"{_UNACKNOWLEDGED_SECONDS}s",
    }
    return " ".join(f"-c {name}={value}" for name, value in settings.items())


def bounded_dsn(dsn: str) -> str:
    """``dsn`` for psqlpy, with what is above; what it says by itself counts."""
    idle, interval, count = _KEEPALIVE
    more = {
        "keepalives": 1,
        "keepalives_idle": idle,
        "keepalives_interval": interval,
        "keepalives_retries": count,
        "tcp_user_timeout": _UNACKNOWLEDGED_SECONDS,
    }
    return _with(dsn, more, _told_to_the_server())


def bounded_libpq_dsn(dsn: str) -> str:
    """``dsn`` for libpq, whose names and units differ."""
    idle, interval, count = _KEEPALIVE
    more = {
        "connect_timeout": round(ANSWER_SECONDS),
        "keepalives": 1,
        "keepalives_idle": idle,
        "keepalives_interval": interval,
        "keepalives_count": count,
        "tcp_user_timeout": _UNACKNOWLEDGED_SECONDS * 1000,
    }
    return _with(dsn, more, "")


def _with(dsn: str, more: dict[str, int], options: str) -> str:
    parts = urlsplit(dsn)
    said = dict(parse_qsl(parts.query))
    if options:  # of two settings of one name the last counts
        said["options"] = f"{options} {said.get('options', '')}".rstrip()
    query = urlencode({name: str(value) for name, value in {**more, **said}.items()}, quote_via=quote)
    return urlunsplit(parts._replace(query=query))
