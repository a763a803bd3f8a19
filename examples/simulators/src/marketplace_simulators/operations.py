"""An operation from request to answer: once per Idempotency-Key, with its webhooks and under faults."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable
from typing import Literal

import msgspec
from aiohttp import web
from msgspec import Struct

from marketplace_simulators.faults import Faults
from marketplace_simulators.outbox import Event, Outbox, Queued, trace
from marketplace_simulators.store import Store
from marketplace_simulators.wire import Refused, json_response

__all__ = ["Delays", "Hold", "Operations", "Outcome", "key_of"]

_BEFORE_ANSWER = 5.0

Hold = Literal["no", "slow", "timeout"]


class Delays(Struct, frozen=True):
    """Seconds of real time."""

    slow: float = 3.0
    timeout: float = 30.0
    late: float = 5.0
    webhook: float = 0.0


class Outcome(Struct, frozen=True):
    """What was done: the answer, what to tell the marketplace, and how long the answer is held."""

    status: int
    body: object
    events: tuple[Event, ...] = ()
    hold: Hold = "no"


def key_of(request: web.Request) -> str:
    key = request.headers.get("Idempotency-Key", "")
    if not 1 <= len(key) <= 255 or not key.isascii() or not key.isprintable():
        raise Refused(400, "key_required", "Idempotency-Key is required: 1 to 255 printable characters")
    return key


def _digest(request: web.Request, body: Struct) -> str:
    """Equal for the same route and the same values, however they were written."""
    values = msgspec.json.encode(body, order="deterministic")
    return hashlib.sha256(f"{request.method} {request.path}\n".encode() + values).hexdigest()


class Operations:
    def __init__(self, store: Store, faults: Faults, outbox: Outbox, delays: Delays) -> None:
        self._store = store
        self._faults = faults
        self._outbox = outbox
        self._delays = delays

    def up(self, operation: str) -> None:
        """503 while a ``down`` for ``operation``, or for any, is armed."""
        if self._faults.take(operation, "down"):
            raise Refused(503, "down", "the service is down")

    async def once(
        self, request: web.Request, operation: str, body: Struct, act: Callable[[str], Outcome]
    ) -> web.StreamResponse:
        """Do ``act(key)`` in one transaction with its answer and webhooks, or repeat the answer that it had.

        409 is an answer and is kept; every other refusal leaves nothing behind: the key may be used again.
        """
        self.up(operation)
        trace.set(request.headers.get("traceparent", "")[:64])
        key = key_of(request)
        digest = _digest(request, body)
        with self._store.transaction():
            if kept := self._store.one("SELECT digest, status, body FROM answers WHERE key = ?", key):
                if kept["digest"] != digest:
                    raise Refused(422, "key_reused", "this Idempotency-Key came with another request before")
                return json_response(kept["body"], kept["status"], {"Idempotent-Replayed": "true"})
            try:
                outcome = act(key)
            except Refused as error:
                if error.status != 409:
                    raise
                outcome = Outcome(error.status, msgspec.Raw(error.body))
            hold = self._hold(operation, outcome)
            answer = msgspec.json.encode(outcome.body)
            self._store.execute(
                "INSERT INTO answers (key, digest, status, body) VALUES (?, ?, ?, ?)",
                key, digest, outcome.status, answer,
            )  # fmt: skip
            queued = self._queue(outcome, hold)
        return await self._answer(request, json_response(answer, outcome.status), queued, hold)

    async def asked(self, request: web.Request, operation: str, act: Callable[[], Outcome]) -> web.StreamResponse:
        """Answer a question that changes nothing, and so needs no key, under the faults of ``operation``."""
        self.up(operation)
        outcome = act()
        hold = self._hold(operation, outcome)
        return await self._answer(request, json_response(outcome.body, outcome.status), Queued([], []), hold)

    async def directed(
        self, request: web.Request, act: Callable[[], Outcome], response: web.Response | None = None
    ) -> web.StreamResponse:
        """Do what a person or a test wants: no key, only faults of webhooks. 204 unless ``response``."""
        trace.set(request.headers.get("traceparent", "")[:64])
        with self._store.transaction():
            outcome = act()
            queued = self._queue(outcome, "no")
        return await self._answer(request, response or web.Response(status=204), queued, "no")

    def by_itself(self, act: Callable[[], Outcome]) -> None:
        """Do what happens without any request."""
        with self._store.transaction():
            queued = self._queue(act(), "no")
        self._outbox.release(queued)

    def _hold(self, operation: str, outcome: Outcome) -> Hold:
        if outcome.status < 400 and self._faults.take(operation, "timeout_after_success"):
            return "timeout"
        return "slow" if self._faults.take(operation, "slow") else outcome.hold

    def _queue(self, outcome: Outcome, hold: Hold) -> Queued:
        return self._outbox.add(outcome.events, wait=self._delays.webhook + (self._delays.slow if hold == "slow" else 0))

    async def _answer(self, request: web.Request, response: web.Response, queued: Queued, hold: Hold) -> web.StreamResponse:
        """Webhooks follow the answer, except where it comes too late for anybody or a fault says so."""
        try:
            if hold == "timeout":
                self._outbox.release(queued)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_BEFORE_ANSWER):
                    await self._outbox.attempted(queued)
            if hold != "no":
                await asyncio.sleep(self._delays.slow if hold == "slow" else self._delays.timeout)
            with contextlib.suppress(ConnectionError):
                await response.prepare(request)
                await response.write_eof()
        finally:
            self._outbox.release(queued)
        return response
