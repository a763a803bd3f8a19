"""One suite per port, for everything that implements it: adapters of the infrastructure, providers of a capability.

A suite is a class of tests. A test module subclasses it and gives the fixtures that its docstring names:

.. code-block:: python

    class TestPostgresUnits(UnitsContract):
        @pytest.fixture
        def units(self, database, movable_clock): ...

That a suite notices what it is there for is shown by :func:`assert_contract_fails` on an implementation with that one
mistake, which :class:`Wrong` makes of a right one.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import Any, TypeVar

import pytest

from marketplace_core.errors import MarketplaceError
from marketplace_core.events import Event, event
from marketplace_core.values import Page

__all__ = [
    "Happened",
    "Method",
    "Wrong",
    "assert_contract_fails",
    "eventually",
    "fixtures_of",
    "paged",
    "refused",
    "rules",
    "running",
    "together",
]

T = TypeVar("T")
Method = Callable[..., Awaitable[Any]]

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


async def together(*acts: Awaitable[T]) -> list[T]:
    """What they give, all at once. All have ended before the first error of one is raised."""
    answers = await asyncio.gather(*acts, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]


async def refused(code: str, call: Awaitable[object]) -> MarketplaceError:
    """The error by which ``call`` is refused; it is a failure if it is another, or none."""
    with pytest.raises(MarketplaceError) as caught:
        await call
    assert caught.value.code == code, caught.value
    return caught.value


async def paged(
    ask: Callable[[str | None], Awaitable[Page[T]]], between: Callable[[], Awaitable[object]] | None = None
) -> list[T]:
    """What all pages hold, by a cursor each; ``between`` two of them something may happen to the list."""
    found: list[T] = []
    cursor = None
    for _ in range(100):
        page = await ask(cursor)
        found += page.items
        if page.next is None:
            return found
        cursor = page.next
        if between is not None:
            await between()
    raise AssertionError("the pages do not end")


# ── that a suite notices ─────────────────────────────────────────────────────────────────────────────────────


class Wrong:
    """The ``right`` implementation of a port, but for some methods."""

    def __init__(self, right: Any, methods: Mapping[str, Method]) -> None:
        unknown = sorted(name for name in methods if not hasattr(right, name))
        assert not unknown, f"nobody calls {unknown}"
        self._right, self._methods = right, methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._right, name)


def rules(contract: type) -> set[str]:
    """The names of the suite's tests."""
    return {name for name in dir(contract) if name.startswith("test_")}


def fixtures_of(contract: type, test: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the ``given`` fixtures that the suite's ``test`` takes."""
    return {name: given[name] for name in inspect.signature(getattr(contract, test)).parameters if name in given}


async def assert_contract_fails(contract: type, test: str, *, patience: float = 1.0, **fixtures: Any) -> None:
    """The suite's ``test`` fails with these fixtures, of which one is an adapter that breaks its rule."""
    method = getattr(contract(), test)
    inspect.signature(method).bind(**fixtures)  # that it was called with other fixtures than it takes proves nothing
    assert inspect.iscoroutinefunction(method), "to await what it returns would fail in any case"
    token = _patience.set(patience)
    try:
        with pytest.raises((Exception, pytest.fail.Exception)):
            await method(**fixtures)
    finally:
        _patience.reset(token)
