"""What the suites of units and of parked keys write, emit and look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Struct

from marketplace_core.events import Envelope, encode_data
from marketplace_core.ports import Claim, Message, UnitOfWork, Units, command, handler
from marketplace_core.testing.contracts import Happened
from marketplace_core.values import new_id

__all__ = ["Answer", "Probe", "Service", "claim", "happened", "sent", "written_in"]


class Answer(Struct, frozen=True):
    text: str


class Probe(ABC):
    """How the suite writes into the adapter's store and looks at it."""

    @abstractmethod
    async def write(self, uow: UnitOfWork, text: str) -> None:
        """Insert a row within the unit."""

    @abstractmethod
    async def written(self) -> list[str]:
        """What is committed."""

    @abstractmethod
    async def outgoing(self) -> list[str]:
        """The types of committed events and the names of committed jobs, oldest first."""


def claim(key: str = "k", *, scope: str = "me", method: str = "act", digest: bytes = b"same") -> Claim:
    return Claim(scope, method, key, digest)


def happened(thing: str, sequence: int, note: str = "", *, writer: str = "") -> Envelope:
    data = msgspec.Raw(encode_data(Happened(thing=thing, note=note)))
    at = "2026-01-01T00:00:00Z"
    return Envelope(
        id=new_id(),
        type=Happened.type,
        version=1,
        key=thing,
        occurred_at=at,
        data=data,
        sequence=sequence,
        writer=writer,
    )


def sent(envelope: Envelope) -> Message:
    """As the bus carries it."""
    text = msgspec.json.encode(envelope).decode()
    return Message(envelope.topic, envelope.type, envelope.key, envelope.sequence, text, envelope.writer)


class Service:
    """What a plugin has on a store: one command, and one handler that fails on what stands in ``bad``."""

    on_happened: Callable[[Envelope], Awaitable[bool]]
    add: Callable[[str], Awaitable[Answer]]

    def __init__(self, units: Units, probe: Probe) -> None:
        self.units, self.probe = units, probe
        self.bad: set[str] = set()


def written_in(package: str) -> type[Service]:
    """The :class:`Service` of a plugin whose code stands in ``package``."""

    async def add(self: Service, uow: UnitOfWork, text: str) -> Answer:
        await self.probe.write(uow, text)
        return Answer(text)

    async def on_happened(self: Service, uow: UnitOfWork, event: Happened) -> None:
        await self.probe.write(uow, event.thing + event.note)
        if event.thing + event.note in self.bad:
            raise ValueError(f"bad event {event.thing}{event.note}")

    add.__module__ = on_happened.__module__ = f"{package}.service"
    return type("Written", (Service,), {"add": command(add), "on_happened": handler(Happened)(on_happened)})
