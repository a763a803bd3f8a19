"""What sessions of a database are told by others, for whoever waits in this process."""

from __future__ import annotations

import asyncio
import weakref
from collections import defaultdict

__all__ = ["PARKED_CHANNEL", "Notices"]

#: Something that waits may go on: a person asked for it.
PARKED_CHANNEL = "marketplace_parked"


class Notices:
    """Of one database. ``heard``: somebody of this process listens to it, so that who waits need not look by himself."""

    def __init__(self) -> None:
        self.heard = False
        self._waiting: defaultdict[str, weakref.WeakSet[asyncio.Event]] = defaultdict(weakref.WeakSet)

    def event(self, channel: str) -> asyncio.Event:
        """Set at each notice on the channel, for as long as somebody holds it."""
        made = asyncio.Event()
        self._waiting[channel].add(made)
        return made

    def tell(self, channel: str) -> None:
        for event in list(self._waiting[channel]):
            event.set()
