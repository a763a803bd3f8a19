"""Histories of sagas: what a run asked its engine and was answered. Later code must ask the same of the same answers.

A saga that is under way during an upgrade is replayed by the new code from the engine's records: where it asks for another step
than was recorded, the engine cannot go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct

from marketplace_core.errors import Failure
from marketplace_core.sagas import Engine, Saga, SagaEnd, StepCall, StepResult, run_saga
from marketplace_core.testing.compat.recording import lost

__all__ = ["Entry", "History", "HistoryDiffers", "RecordingEngine", "ReplayEngine", "replay"]


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that the engine was asked for, and its ``answer``.

    ``step`` is a step's or, of ``receive``, the signal. ``timed``: it is waited for until some time.
    """

    ask: Literal["perform", "receive", "now", "park"]
    step: str
    method: str = ""
    args: msgspec.Raw = msgspec.Raw(b"[]")
    timed: bool = False
    answer: msgspec.Raw = msgspec.Raw(b"null")

    def __str__(self) -> str:
        return f"{self.ask} {self.step}" + (f" ({self.method})" if self.method else "")


class History(Struct, frozen=True, kw_only=True):
    """A whole run; ``payload`` is the event that began it."""

    saga: str
    version: int
    id: str
    payload: msgspec.Raw
    entries: list[Entry]
    end: SagaEnd


class HistoryDiffers(AssertionError):
    """The code asks for something else than the history has."""


class RecordingEngine(Engine):
    """Passes everything on to ``engine`` and writes it down."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.entries: list[Entry] = []

    async def perform(self, call: StepCall) -> StepResult:
        result = await self._engine.perform(call)
        self.entries.append(_performed(call, result))
        return result

    async def receive(self, signal: str, until: datetime | None) -> str | None:
        answer = await self._engine.receive(signal, until)
        self.entries.append(Entry(ask="receive", step=signal, timed=until is not None, answer=_raw(answer)))
        return answer

    async def now(self, step: str) -> datetime:
        answer = await self._engine.now(step)
        self.entries.append(Entry(ask="now", step=step, answer=_raw(answer)))
        return answer

    async def park(self, step: str, failure: Failure) -> None:
        await self._engine.park(step, failure)
        self.entries.append(Entry(ask="park", step=step, answer=_raw(failure)))


def _performed(call: StepCall, result: StepResult) -> Entry:
    args = msgspec.Raw(call.args.encode())
    return Entry(ask="perform", step=call.step, method=f"{call.capability}.{call.method}", args=args, answer=_raw(result))


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


class ReplayEngine(Engine):
    """Answers from a history. :raises HistoryDiffers: it is asked for something else than was recorded next."""

    def __init__(self, entries: list[Entry]) -> None:
        self._entries = entries
        self._at = 0

    def _next(self, asked: Entry) -> Entry:
        if self._at == len(self._entries):
            raise HistoryDiffers(f"it asks to {asked} where the history ends")
        entry = self._entries[self._at]
        if (entry.ask, entry.step, entry.method, entry.timed) != (asked.ask, asked.step, asked.method, asked.timed):
            raise HistoryDiffers(f"it asks to {asked} where the history has {entry}")
        self._at += 1
        return entry

    def check_end(self) -> None:
        """:raises HistoryDiffers: the history goes on."""
        if self._at < len(self._entries):
            raise HistoryDiffers(f"it ends where the history has {self._entries[self._at]}")

    async def perform(self, call: StepCall) -> StepResult:
        asked = _performed(call, StepResult())
        entry = self._next(asked)
        before, after = msgspec.json.decode(entry.args), msgspec.json.decode(asked.args)
        for pointer in lost(before, after[: len(before)]):
            raise HistoryDiffers(f"it asks to {asked} with other arguments: {pointer}")
        return msgspec.json.decode(entry.answer, type=StepResult)

    async def receive(self, signal: str, until: datetime | None) -> str | None:
        entry = self._next(Entry(ask="receive", step=signal, timed=until is not None))
        return msgspec.json.decode(entry.answer, type=str | None)

    async def now(self, step: str) -> datetime:
        return msgspec.json.decode(self._next(Entry(ask="now", step=step)).answer, type=datetime)

    async def park(self, step: str, failure: Failure) -> None:
        self._next(Entry(ask="park", step=step))


async def replay(history: History, sagas: Mapping[tuple[str, int], Saga]) -> str | None:
    """What is wrong with today's code by this history, with what to do; None: nothing. ``sagas`` by name and version."""
    name = f"the saga {history.saga} version {history.version}"
    declared = sagas.get((history.saga, history.version))
    if declared is None:
        return f"{name} is gone; keep it beside the new version until none of it is under way"
    engine = ReplayEngine(history.entries)
    try:
        end = await run_saga(declared, history.id, bytes(history.payload).decode(), engine)
        engine.check_end()
    except HistoryDiffers as differs:
        return f"{name}: {differs}; give the changed saga a new version, and keep this one beside it"
    except msgspec.DecodeError as error:
        return f"{name} does not read its history: {error}; keep the name and the type of what it reads"
    before, after = (each.failure.code if each.failure else each.status for each in (history.end, end))
    if before != after:
        return f"{name} ends {after} where it ended {before}; give the changed saga a new version, and keep this one beside it"
    return None
