"""The inbox of a plugin whose handlers write to several stores: each has its own beside what it has written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from marketplace_core.events import Envelope
from marketplace_core.ports.bus import Message, RawMessage
from marketplace_core.ports.parking import Parked, Parking, Reader, Subscription

if TYPE_CHECKING:
    from marketplace_core._runtime.assembly import Process

__all__ = ["PartedParking", "parking_of"]

_NONE: Mapping[str, Reader] = {}


class PartedParking(Parking):
    """That of the plugin's own store, but for some handlers. What nobody could read is of no handler, and stays there."""

    def __init__(self, own: Parking, others: Mapping[str, Parking]) -> None:
        """``others`` by the handler's name."""
        self._own, self._others = own, others

    def _of(self, handler: str) -> Parking:
        return self._others.get(handler, self._own)

    def _parted(self, names: Sequence[str]) -> Iterator[tuple[Parking, list[str]]]:
        for parking in dict.fromkeys((self._own, *self._others.values())):
            if own := [name for name in names if self._of(name) is parking]:
                yield parking, own

    async def park(self, handler: str, message: Message, error: str, attempts: int) -> None:
        await self._of(handler).park(handler, message, error, attempts)

    async def defer(self, handler: str, message: Message, error: str) -> None:
        await self._of(handler).defer(handler, message, error)

    async def append(self, handler: str, message: Message) -> bool:
        return await self._of(handler).append(handler, message)

    async def keep(self, group: str, message: RawMessage) -> None:
        await self._own.keep(group, message)

    async def seen(self, handler: str, event: Message | Envelope) -> int:
        return await self._of(handler).seen(handler, event)

    async def supersede(self, handler: str, event: Envelope) -> None:
        await self._of(handler).supersede(handler, event)

    async def backlog(self, handlers: Sequence[str]) -> int:
        return sum([await parking.backlog(own) for parking, own in self._parted(handlers)])

    async def count(self, names: Sequence[str]) -> dict[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for parking, own in self._parted(names):
            found |= await parking.count(own)
        return found

    async def list(self, names: Sequence[str]) -> list[Parked]:
        found = [parked for parking, own in self._parted(names) for parked in await parking.list(own)]
        return sorted(found, key=lambda parked: (not parked.type, parked.handler if parked.type else ""))

    async def request(self, id_: str, *, drop: bool) -> bool:
        for parking in dict.fromkeys((self._own, *self._others.values())):
            if await parking.request(id_, drop=drop):
                return True
        return False

    async def wait(self, names: Sequence[str], seconds: float) -> None:
        waits = [asyncio.ensure_future(parking.wait(own, seconds)) for parking, own in self._parted(names)]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in done:
                wait.result()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def release(self, handlers: Mapping[str, Subscription], readers: Mapping[str, Reader] = _NONE) -> int:
        released = 0
        for parking in dict.fromkeys((self._own, *self._others.values())):
            own = {name: each for name, each in handlers.items() if self._of(name) is parking}
            released += await parking.release(own, readers if parking is self._own else _NONE)
        return released


def parking_of(process: Process, plugin: str) -> Parking:
    """Where what a plugin's handlers and sinks cannot apply is put aside: each beside what it has seen.

    :raises TypeError: one of its servers keeps no inbox.
    """
    roles = process.routing.roles(plugin)
    own = process.home(plugin).parking
    others = {name: process.truth(plugin, role).parking for name, role in roles.items()}
    kept = {name: parking for name, parking in others.items() if parking is not None}
    if own is None or len(kept) < len(others):
        raise TypeError(f"{plugin!r} listens, and its server keeps no inbox")
    return PartedParking(own, kept) if kept else own
