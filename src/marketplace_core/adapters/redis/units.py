"""The unit of work on Redis: a claim, what it changes and what it tells others are one Lua script.

Redis has no transaction that begins, looks and decides. There are two ways to one step: what a unit of work gathers is
carried out together in the end (:class:`RedisUnits`), or a plugin writes the script by itself and calls ``emit`` in it
(:meth:`RedisUnits.script`), so that what is told follows from what the script found.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from importlib.resources import files
from typing import Any, TypeVar, cast

import msgspec
from msgspec import Struct
from redis.asyncio import Redis

from marketplace_core import calls
from marketplace_core.adapters.redis.server import redis_errors
from marketplace_core.errors import Failure, MarketplaceError
from marketplace_core.events import Envelope, Event
from marketplace_core.ports import Claim, UnitOfWork, Units
from marketplace_core.ports.gathering import GatheringUnit, before_commit, in_flight, stored_answer
from marketplace_core.values import Clock, new_id, utc_text

__all__ = ["Argument", "RedisScript", "RedisUnit", "RedisUnits"]

T = TypeVar("T")
Argument = str | bytes | int | float

#: How long who holds a claim may work on it; who is killed meanwhile leaves it for so long.
LOCK_SECONDS = 15
ANSWER_SECONDS = 48 * 3600
#: How long a client may take to find out that a connection broke, and to send the same again.
REMEMBERED_SECONDS = 120

_encode = msgspec.msgpack.Encoder().encode


class _Answer(Struct, frozen=True):
    digest: str
    refused: bool
    body: msgspec.Raw


@functools.cache
def _lua(name: str) -> str:
    return files(__package__).joinpath("lua", f"{name}.lua").read_text()


class RedisScript:
    """A plugin's own script, in which ``emit(type, key, fields)`` tells of what it did."""

    def __init__(self, units: RedisUnits, text: str, emits: Sequence[type[Event]]) -> None:
        self._units = units
        self._script = units.redis.register_script(_lua("outbox") + text)
        for event in emits:
            units.check_topic(event)
        self._types = {event.type: event.version for event in emits}

    async def __call__(self, args: Sequence[Argument] = ()) -> Any:
        """What the script returns. Once its connection broke it may run again: its effect is its own to keep single.

        :raises Unavailable: the server is away, or cannot do it now.
        """
        with redis_errors():
            return await self._script(args=[*args, self._units.header(self._types)])


class RedisUnit(GatheringUnit):
    """Gathers what is to be done. Nothing of it is done, or can be read, before the unit's end."""

    def __init__(self, now: datetime, check: Callable[[Event], None]) -> None:
        """``check`` raises on an event that may not be emitted here."""
        super().__init__(now, check)
        self.commands: list[tuple[Argument, ...]] = []

    def add(self, *command: Argument) -> None:
        """A command of Redis that changes something, such as ``"HSET", name, field, value``.

        What a script of Redis has done is not taken back: a command that does not fit its key is a mistake that leaves half.
        """
        self.commands.append(command)

    def clear(self) -> None:
        """Forget everything: the work was refused."""
        super().clear()
        self.commands.clear()


class RedisUnits(Units):
    """Units of work of one plugin on one Redis, which loses nothing that it has acknowledged."""

    def __init__(self, redis: Redis, clock: Clock, plugin: str, topics: frozenset[str] | None = None) -> None:
        """Whatever is kept for ``plugin`` has a name that begins with its own."""
        super().__init__(plugin, topics)
        self.redis = redis
        self._clock = clock
        self._commit = redis.register_script(_lua("outbox") + _lua("inbox") + _lua("commit"))
        self._seen = redis.register_script(_lua("inbox") + _lua("seen"))
        self._begin = redis.register_script(_lua("begin"))
        self._give_up = redis.register_script(_lua("give_up"))

    @staticmethod
    def on(uow: UnitOfWork) -> RedisUnit:
        """A store's way to add what it does to the unit that it was given."""
        return cast(RedisUnit, uow)

    def script(self, text: str, emits: Sequence[type[Event]] = ()) -> RedisScript:
        """A script of the plugin's own, which may ``emit`` events of these types."""
        return RedisScript(self, text, emits)

    def header(self, types: dict[str, int]) -> bytes:
        """What core's part of a script has to know of the call that it runs in."""
        call = calls.current()
        return _encode(
            {
                "name": self.plugin,
                "id": new_id(),
                "writer": new_id()[-12:],  # it is taken once, by the first of all calls
                "types": types,
                "at": utc_text(self._clock.now()),
                "made": f"{time.time():.3f}",
                "actor": call.caller.account_id or "system",
                "origin": call.origin,
                "trace": call.trace,
            }
        )

    def _unit(self) -> RedisUnit:
        return RedisUnit(self._clock.now(), self.check_topic)

    async def run(self, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        unit = self._unit()
        answer = await work(unit)
        await self._end(unit)
        await unit.committed()
        return answer

    async def once(self, claim: Claim, answer: type[T], work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        name, token = self._claim_name(claim), new_id()
        with redis_errors():
            state, stored = await self._begin(args=[name, f"{name}:lock", token, LOCK_SECONDS * 1000])
        if state == b"answered":
            return _replay(claim, stored, answer)
        if state == b"busy":
            raise in_flight()
        unit = self._unit()
        refusal: MarketplaceError | None = None
        try:
            try:
                result = await work(unit)
                body = msgspec.json.encode(result)
            except MarketplaceError as error:
                if not error.is_refusal:
                    raise
                refusal, body = error, msgspec.json.encode(Failure.of(error))
                unit.clear()
            kept = msgspec.json.encode(_Answer(claim.digest.hex(), refusal is not None, msgspec.Raw(body))).decode()
            held = {"name": name, "lock": f"{name}:lock", "token": token, "answer": kept, "kept": ANSWER_SECONDS}
            if await self._end(unit, claim=held) == b"lost":
                raise in_flight()
        except BaseException:
            with contextlib.suppress(Exception):  # else it is free by itself
                await asyncio.shield(self._give_up(args=[f"{name}:lock", token]))
            raise
        await unit.committed()
        if refusal is not None:
            raise refusal
        return result

    async def stored(self, claim: Claim, answer: type[T]) -> tuple[bool, T | None]:
        with redis_errors():
            found = await self.redis.get(self._claim_name(claim))
        return (False, None) if found is None else (True, _replay(claim, found, answer))

    async def apply(self, handler: str, envelope: Envelope, work: Callable[[UnitOfWork], Awaitable[None]]) -> bool:
        """No key of it is ever parked: :class:`RedisUnits` has an inbox, and no parking."""
        seen = {
            "inbox": f"{self.plugin}:inbox:{handler}",
            "key": f"{envelope.topic}:{envelope.key}",
            "sequence": envelope.sequence,
            "writer": envelope.writer,
        }
        with calls.scope(calls.Call(trace=envelope.trace, origin=envelope.origin, request_id=envelope.id)):
            with redis_errors():
                if await self._seen(args=[_encode(seen)]):
                    return False
            unit = self._unit()
            await work(unit)
            if await self._end(unit, seen=seen) == b"seen":
                return False
            await unit.committed()
            return True

    async def _end(self, unit: RedisUnit, **guard: Any) -> bytes:
        before_commit()
        rows = [msgspec.structs.astuple(item)[1:] for item in unit.items]  # the script counts by itself
        work = _encode({"rows": rows, "remembered": REMEMBERED_SECONDS, **guard})
        commands = [part for command in unit.commands for part in (len(command), *command)]
        with redis_errors():
            end: bytes = await self._commit(args=[work, *commands, self.header({})])
        return end

    def _claim_name(self, claim: Claim) -> str:
        raw = _encode([claim.scope, claim.method, claim.key])
        return f"{self.plugin}:answer:{hashlib.blake2b(raw, digest_size=20).hexdigest()}"


def _replay(claim: Claim, raw: bytes, answer: type[T]) -> T:
    """The answer that is kept. :raises MarketplaceError: it is a refusal, or one to other arguments."""
    kept = msgspec.json.decode(raw, type=_Answer)
    found = stored_answer(claim, kept.digest, kept.refused, bytes(kept.body), answer)
    calls.mark_replayed()
    if isinstance(found, MarketplaceError):
        raise found
    return found
