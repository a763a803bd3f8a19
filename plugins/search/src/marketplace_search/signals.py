"""What people search by, counted without them: gathered in the process for a moment, then added up in one statement."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence

import structlog

from marketplace_core import calls
from marketplace_core.capabilities.search import SearchesCounted, WordsCounted
from marketplace_core.errors import Unavailable
from marketplace_core.events import Event
from marketplace_core.values import Clock, new_id
from marketplace_search.domain import words_of
from marketplace_search.store import Signals, SignalStore

__all__ = ["Gathering", "normal"]

log = structlog.get_logger("marketplace.search")

#: Different words that one batch may have; beyond them none are counted, so that nobody fills the memory.
MOST = 5000
LONGEST = 100


def normal(q: str) -> str:
    """Under what a search is counted: its words, however they are written."""
    return " ".join(words_of(q))[:LONGEST].rstrip()


class Gathering:
    """Adds up what happened. What was not written when a process is killed was not counted; nobody waits for it."""

    def __init__(
        self,
        store: SignalStore,
        clock: Clock,
        key: bytes,
        seconds: float,
        people: int,
        tell: Callable[[Sequence[Event]], Awaitable[None]],
    ) -> None:
        """``key`` makes marks of people: whoever has the counts cannot ask them for a person. ``tell`` publishes them, too."""
        self._store, self._clock, self._key, self._seconds, self._people = store, clock, key, seconds, people
        self._tell, self._entrance = tell, new_id()
        self._waiting: dict[str, Signals] = {}
        self._requests: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def searched(self, q: str, results: int) -> None:
        """A request that is asked again, as a far port does after a time-out, counts once."""
        query, request = normal(q), calls.current().request_id
        if request in self._requests:
            return
        if request != "-" and len(self._requests) < MOST:
            self._requests.add(request)
        mark = self._mark(query)
        today = self._clock.now().date()
        people = frozenset({mark})
        self._add(Signals(query=query, day=today, searches=1, results=results, people=people, nothing=int(not results)))

    def clicked(self, q: str, position: int) -> None:
        self._add(Signals(query=normal(q), day=self._clock.now().date(), clicks=1, positions=position))

    def _mark(self, query: str) -> int:
        """16 bits by the words and by who searches: of many people the same, and with other words another."""
        who = calls.current().scope
        return int.from_bytes(hashlib.blake2b(f"{query}\0{who}".encode(), key=self._key, digest_size=2).digest(), "big")

    def _add(self, signals: Signals) -> None:
        known = self._waiting.get(signals.query)
        if not signals.query or (known is None and len(self._waiting) >= MOST):
            return
        self._waiting[signals.query] = signals if known is None else _sum(known, signals, self._people)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._later())

    async def _later(self) -> None:
        await asyncio.sleep(self._seconds)
        await self.flush()

    async def flush(self) -> None:
        """Write what was gathered; what cannot be written is let go."""
        while self._waiting:
            taken, self._waiting = list(self._waiting.values()), {}
            self._requests.clear()
            words = tuple(_counted(each) for each in taken)
            try:
                await self._store.add(taken, self._people)
                await self._tell([SearchesCounted(entrance=self._entrance, words=words)])
            except Unavailable:
                log.warning("search.signals_lost", searches=sum(each.searches for each in taken))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
        await self.flush()


def _counted(signals: Signals) -> WordsCounted:
    return WordsCounted(
        query=signals.query,
        searches=signals.searches,
        without_result=signals.nothing,
        results=signals.results,
        clicks=signals.clicks,
    )


def _sum(one: Signals, other: Signals, people: int) -> Signals:
    return Signals(
        query=one.query,
        day=other.day,
        searches=one.searches + other.searches,
        results=other.results if other.searches else one.results,
        clicks=one.clicks + other.clicks,
        positions=one.positions + other.positions,
        nothing=one.nothing + other.nothing,
        people=one.people if len(one.people) >= people else one.people | other.people,
    )
