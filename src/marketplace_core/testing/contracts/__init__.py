"""One suite per port of the infrastructure, for every adapter of it.

A suite is a class of tests. A test module subclasses it and gives the fixtures that its docstring names:

.. code-block:: python

    class TestPostgresUnits(UnitsContract):
        @pytest.fixture
        def units(self, database, movable_clock): ...

That a suite notices what it is there for is shown by :func:`assert_contract_fails` on an adapter with that one mistake.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from marketplace_core.events import Event, event

__all__ = ["Happened", "assert_contract_fails", "eventually", "running"]

_patience: ContextVar[float] = ContextVar("marketplace_contract_patience", default=10.0)


@event("contract.happened", key="thing")
class Happened(Event, frozen=True, kw_only=True):
    """What the suites emit: ``note`` happened to ``thing``."""

    thing: str
    note: str = ""


async def eventually(condition: Callable[[], Any], *, within: float | None = None) -> Any:
    """Wait until ``condition()``, which may be async, is truthy, and give what it gave; else fail."""
    seconds = _patience.get() if within is None else within
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() > deadline:
            what = inspect.getsource(condition).strip() if inspect.isfunction(condition) else repr(condition)
            raise AssertionError(f"not so within {seconds} s: {what}")
        await asyncio.sleep(0.01)


class running:
    """An endless loop for the time of a block. It is an error of the loop to end by itself."""

    def __init__(self, *loops: Awaitable[None]) -> None:
        self._loops = loops
        self._tasks: list[asyncio.Future[None]] = []

    async def __aenter__(self) -> list[asyncio.Future[None]]:
        self._tasks = [asyncio.ensure_future(loop) for loop in self._loops]
        return self._tasks

    async def __aexit__(self, *_: object) -> None:
        ended = [task for task in self._tasks if task.done() and not task.cancelled()]
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for task in ended:
            task.result()


async def assert_contract_fails(contract: type, test: str, *, patience: float = 1.0, **fixtures: Any) -> None:
    """The suite's ``test`` fails with these fixtures, of which one is an adapter that breaks its rule."""
    method = getattr(contract(), test)
    inspect.signature(method).bind(**fixtures)  # that it was called with other fixtures than it takes proves nothing
    token = _patience.set(patience)
    try:
        with pytest.raises((Exception, pytest.fail.Exception)):
            await method(**fixtures)
    finally:
        _patience.reset(token)
