"""How often a client may ask. Windows slide: of the window before, the part that is still within reach counts.

``general`` is counted in the process, so that it costs a request nothing, and added up on Redis in the background: several
processes overstep together by little. Any other rate is counted on Redis before the request goes on, by address and by
account or subject; while Redis is away, in the process.
"""

from __future__ import annotations

import asyncio
import math
from collections import OrderedDict
from collections.abc import Sequence

from msgspec import Struct

from marketplace_core.adapters.redis.rates import Counted, RedisRates, Window
from marketplace_core.deployment._limits import Limits, Rate
from marketplace_core.values import Clock

__all__ = ["Headroom", "LocalCounts", "RateLimiter", "headroom"]

SUBJECTS = 50_000
ROUNDING = 1e-7  # who comes at the second that was named is let in
TOLD_EVERY = 0.25
TOLD_AT_ONCE = 1000
#: A process keeps to itself at most one in so many of the requests that a subject may make.
TOLD_AT_SHARE = 50


class Headroom(Struct, frozen=True, gc=False):
    """What ``RateLimit-*`` say: ``reset`` and ``retry_after`` are whole seconds. ``retry_after`` 0: one more is let through."""

    limit: int
    remaining: int
    reset: int
    retry_after: int = 0

    def headers(self) -> list[tuple[str, str]]:
        return [
            ("ratelimit-limit", str(self.limit)),
            ("ratelimit-remaining", str(self.remaining)),
            ("ratelimit-reset", str(self.reset)),
        ]


def window_of(name: str, subject: str, rate: Rate, now: float) -> Window:
    number, gone = divmod(now, rate.seconds)
    return Window(name, subject, int(number), rate.requests, rate.seconds, max(0.0, 1 - gone / rate.seconds - ROUNDING))


def headroom(window: Window, counted: Counted | _Entry, refused: bool) -> Headroom:
    """What is left after a request that was counted, or was one too many."""
    used, before = counted.used, counted.before
    left = math.ceil(window.kept * window.seconds)
    if not refused:
        remaining = int(window.requests - used - before * window.kept)
        return Headroom(window.requests, max(0, remaining), max(1, left))
    wait = max(1, math.ceil(_wait(window, used, before)))
    return Headroom(window.requests, 0, wait, wait)


def _wait(window: Window, used: int, before: int) -> float:
    """Seconds until one more fits, if nobody asks meanwhile."""
    room = window.requests - used - 1
    if room >= 0:  # as soon as enough of the window before has passed out of reach
        return (window.kept - room / before) * window.seconds
    return (window.kept + 1 - (window.requests - 1) / used) * window.seconds


class _Entry:
    __slots__ = ("before", "number", "unsaid", "used")

    def __init__(self, number: int) -> None:
        self.number = number
        self.used = 0
        self.before = 0
        self.unsaid = 0

    def move_to(self, number: int) -> None:
        if number != self.number:
            self.before = self.used if number == self.number + 1 else 0
            self.number, self.used, self.unsaid = number, 0, 0

    def is_full(self, window: Window) -> bool:
        return self.before * window.kept + self.used + 1 > window.requests

    def count(self, window: Window) -> bool:
        """Count one, unless that is too many: whether it is."""
        if self.is_full(window):
            return True
        self.used += 1
        self.unsaid += 1
        return False


class LocalCounts:
    """In this process, of at most :data:`SUBJECTS` subjects: who has not been here for longest is forgotten first."""

    def __init__(self, subjects: int = SUBJECTS) -> None:
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()
        self._subjects = subjects

    def entry(self, window: Window) -> _Entry:
        key = (window.name, window.subject)
        found = self._entries.get(key)
        if found is None:
            if len(self._entries) >= self._subjects:
                self._entries.popitem(last=False)
            found = self._entries[key] = _Entry(window.number)
        else:
            self._entries.move_to_end(key)
            found.move_to(window.number)
        return found

    def known(self, window: Window) -> _Entry | None:
        """As :meth:`entry`, and a subject that was never here is not remembered for it."""
        return self.entry(window) if (window.name, window.subject) in self._entries else None

    def hit(self, windows: Sequence[Window]) -> tuple[bool, list[Counted]]:
        """As :meth:`RedisRates.hit`."""
        entries = [self.entry(window) for window in windows]
        over = any(entry.is_full(window) for entry, window in zip(entries, windows, strict=True))
        if not over:
            for entry, window in zip(entries, windows, strict=True):
                entry.count(window)
        return over, [Counted(entry.used, entry.before) for entry in entries]


class RateLimiter:
    """The deployment's rates in one process. A subject is an account, an API key, an address, or what a route makes of it."""

    def __init__(self, limits: Limits, clock: Clock, shared: RedisRates | None) -> None:
        self._rates = limits.rates
        self._general = limits.rates["general"]
        self._clock = clock
        self._shared = shared
        self._local = LocalCounts()
        self._untold: dict[tuple[str, str], Window] = {}
        self._telling: asyncio.Task[None] | None = None

    def general(self, subject: str) -> Headroom:
        """Count a request, unless it is one too many."""
        window = window_of("general", subject, self._general, self._clock.now().timestamp())
        entry = self._local.entry(window)
        over = entry.count(window)
        if self._shared is not None and entry.unsaid * TOLD_AT_SHARE >= window.requests:
            self._tell_later(window)
        return headroom(window, entry, over)

    async def special(self, name: str, subjects: Sequence[str]) -> Headroom:
        """Count a request under a rate of its own for each of these, unless one of them has had enough; of the tightest."""
        now = self._clock.now().timestamp()
        windows = [window_of(name, subject, self._rates[name], now) for subject in subjects]
        answer = await self._shared.hit(windows) if self._shared is not None else None
        over, counted = answer or self._local.hit(windows)
        rooms = [_verdict(window, each, over) for window, each in zip(windows, counted, strict=True)]
        return min(rooms, key=lambda room: (-room.retry_after, room.remaining))

    def failed(self, address: str) -> Headroom:
        """Somebody there brought a token or a key that is not good."""
        window = self._failures(address)
        entry = self._local.entry(window)
        return headroom(window, entry, entry.count(window))

    def failing(self, address: str) -> Headroom | None:
        """Where so many bad ones came from there that nothing is looked up for it any more."""
        window = self._failures(address)
        entry = self._local.known(window)
        return headroom(window, entry, refused=True) if entry is not None and entry.is_full(window) else None

    def _failures(self, address: str) -> Window:
        return window_of("failures", address, self._general, self._clock.now().timestamp())

    # ── telling the others ───────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        if self._telling is not None:
            self._telling.cancel()

    def _tell_later(self, window: Window) -> None:
        self._untold[window.name, window.subject] = window
        if self._telling is None:
            self._telling = asyncio.get_running_loop().create_task(self._tell())

    async def _tell(self) -> None:
        try:
            while self._untold:
                await asyncio.sleep(TOLD_EVERY)
                keys = list(self._untold)[:TOLD_AT_ONCE]
                await self._tell_some([self._untold.pop(key) for key in keys])
        finally:
            self._telling = None

    async def _tell_some(self, windows: Sequence[Window]) -> None:
        entries = [self._local.entry(window) for window in windows]
        counts = [entry.unsaid for entry in entries]
        for entry in entries:
            entry.unsaid = 0
        sums = await self._shared.add(windows, counts) if self._shared is not None else None
        for index, (window, entry) in enumerate(zip(windows, entries, strict=True)):
            if entry.number != window.number:
                continue  # its window has passed
            if sums is None:
                entry.unsaid += counts[index]
            else:
                entry.used = sums[index].used + entry.unsaid
                entry.before = max(entry.before, sums[index].before)


def _verdict(window: Window, counted: Counted, refused: bool) -> Headroom:
    """Of one subject among several: it may have room although the request was refused for another's sake."""
    full = counted.before * window.kept + counted.used + 1 > window.requests
    return headroom(window, counted, refused and full)
