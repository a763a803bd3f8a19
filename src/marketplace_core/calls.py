"""The call that is going on: who makes it, under which idempotency key, as part of which trace.

It travels in a context variable within a process and in headers between processes, so that a port's methods carry
only what the act itself needs.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

from msgspec import Struct
from msgspec.structs import replace

from marketplace_core._runtime.entropy import random_bytes
from marketplace_core.values import Caller

__all__ = ["Call", "current", "derived", "new_trace", "scope"]


class Call(Struct, frozen=True, omit_defaults=True):
    """What accompanies a port call.

    ``key`` is the idempotency key, or None. ``guest`` scopes the keys of a shopper without an account.
    ``address`` is whom a request is counted for by its network, None where it is exempt or comes from no client.
    ``trace`` is a W3C ``traceparent``. ``origin`` ends up in the envelopes of the events that the call emits.
    ``deadline`` is when the caller gives up, by this process's ``time.monotonic()``.
    """

    caller: Caller = Caller()
    key: str | None = None
    guest: str | None = None
    request_id: str = "-"
    trace: str = ""
    origin: str = "api"
    deadline: float | None = None
    address: str | None = None

    @property
    def scope(self) -> str:
        """Whose keys these are: the account, else the guest's cart, else anybody's."""
        return self.caller.account_id or (f"guest:{self.guest}" if self.guest else "-")


class Outcome:
    """What a call tells its caller beside the answer. Mutable: the lowest layer writes it, the edge reads it."""

    __slots__ = ("replayed",)

    def __init__(self) -> None:
        self.replayed = False


_call: ContextVar[Call] = ContextVar("marketplace_call", default=Call())  # noqa: B039 - frozen
_outcome: ContextVar[Outcome | None] = ContextVar("marketplace_outcome", default=None)


def current() -> Call:
    return _call.get()


@contextlib.contextmanager
def scope(call: Call) -> Iterator[Outcome]:
    """Make ``call`` the current one; gives the outcome that will be filled in."""
    outcome = Outcome()
    call_token, outcome_token = _call.set(call), _outcome.set(outcome)
    try:
        yield outcome
    finally:
        _call.reset(call_token)
        _outcome.reset(outcome_token)


@contextlib.contextmanager
def derived(step: str) -> Iterator[None]:
    """Calls made inside carry the key ``<key>/<step>``: a retry of the whole finds what its part did before."""
    call = _call.get()
    token = _call.set(replace(call, key=f"{call.key}/{step}" if call.key else None))
    try:
        yield
    finally:
        _call.reset(token)


@contextlib.contextmanager
def keyless() -> Iterator[None]:
    """Calls made inside are not claimed again: their own arguments make them idempotent."""
    token = _call.set(replace(_call.get(), key=None))
    try:
        yield
    finally:
        _call.reset(token)


def mark_replayed() -> None:
    outcome = _outcome.get()
    if outcome is not None:
        outcome.replayed = True


def new_trace() -> str:
    """A fresh ``traceparent`` (W3C Trace Context, version 00) of what nobody records; see :mod:`marketplace_core.tracing`."""
    digits = random_bytes(24).hex()
    return f"00-{digits[:32]}-{digits[32:]}-00"


def trace_id(trace: str) -> str | None:
    """By which log lines and spans of a ``traceparent`` are found."""
    return trace[3:35] or None
