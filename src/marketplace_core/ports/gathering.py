"""What units of work have in common on any store: what is to leave is gathered, and stored with everything else at the end.

For adapters: one of a database with transactions derives its unit from :class:`GatheringUnit`, and stores its ``items``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from typing import TypeVar

import msgspec
from msgspec import Struct

from marketplace_core import calls, tracing
from marketplace_core._runtime import failpoints
from marketplace_core.errors import Conflict, Failure, MarketplaceError, Refused, error_from
from marketplace_core.events import Envelope, Event, encode_data
from marketplace_core.ports.units import Claim, UnitOfWork
from marketplace_core.values import new_id, utc_text

__all__ = [
    "Answer",
    "GatheringUnit",
    "Leaving",
    "applying",
    "attempt",
    "before_commit",
    "conclude",
    "envelope_of",
    "found",
    "in_flight",
    "stored_answer",
]

T = TypeVar("T")
U = TypeVar("U", bound="GatheringUnit")


def envelope_of(event: Event, at: datetime, trace: str, actor: str | None = None) -> Envelope:
    """The event as it leaves, without a number. ``actor``: None is whoever makes the call that is going on, "" nobody."""
    call = calls.current()
    return Envelope(
        id=new_id(),
        type=event.type,
        version=event.version,
        key=event.key,
        occurred_at=utc_text(at),
        trace=trace,
        actor=(call.caller.account_id or "system") if actor is None else actor,
        origin=call.origin,
        data=msgspec.Raw(encode_data(event)),
    )


class Leaving(Struct, frozen=True):
    """A row of the outbox that has no number yet. ``kind`` is ``event``, or ``job``, which has no topic; ``position`` counts
    from 0 within its unit."""

    position: int
    kind: str
    topic: str
    type: str
    key: str
    event_id: str
    payload: str
    trace: str


class GatheringUnit(UnitOfWork):
    """``items`` are what is to leave, oldest first."""

    def __init__(self, now: datetime, check: Callable[[Event], None] = lambda _: None) -> None:
        """``check`` raises on an event that may not be emitted here, as :meth:`Units.check_topic` does."""
        self.items: list[Leaving] = []
        self._now, self._check = now, check
        self._actor = calls.current().caller.account_id or "system"
        self._spans: list[tracing.Span] = []
        self._acts: list[Callable[[], Awaitable[None]]] = []

    @property
    def now(self) -> datetime:
        return self._now

    def emit(self, event: Event, at: datetime | None = None) -> None:
        self._check(event)
        trace = self._leaving(event.type, calls.current().trace)
        envelope = envelope_of(event, at or self._now, trace, self._actor)
        text = msgspec.json.encode(envelope).decode()
        self.items.append(Leaving(len(self.items), "event", event.topic, event.type, event.key, envelope.id, text, trace))

    def enqueue(self, job: str, args: Struct | None = None) -> None:
        text = msgspec.json.encode(args).decode() if args is not None else "{}"
        id_ = new_id()
        trace = self._leaving(job, calls.current().trace)
        self.items.append(Leaving(len(self.items), "job", "", job, id_, id_, text, trace))

    def _leaving(self, type_: str, trace: str) -> str:
        """The ``traceparent`` of what leaves: of a span from here to the commit, where the trace is recorded."""
        if not tracing.recorded(trace) or (span := tracing.begin(f"send {type_}", "producer", trace)) is None:
            return trace
        self._spans.append(span)
        return span.trace

    def after_commit(self, act: Callable[[], Awaitable[None]]) -> None:
        self._acts.append(act)

    def clear(self) -> None:
        """Forget what was to leave: the work was refused."""
        self.items.clear()
        self._spans.clear()
        self._acts.clear()

    async def committed(self) -> None:
        """For whoever has committed it: ends the spans of what leaves, and does what was to come after."""
        for span in self._spans:
            span.end()
        for act in self._acts:
            await act()


def before_commit() -> None:
    """Every adapter calls it between a unit's work and its commit, where what it raises rolls the unit back.

    The testing kit lets a unit fail there, so that what a provider writes outside of its unit is seen, and crash tests end the
    process there. It does nothing else.
    """
    failpoints.before_commit()
    failpoints.hit("unit.before_commit")


@contextlib.contextmanager
def applying(envelope: Envelope) -> Iterator[None]:
    """Around :meth:`Units.apply`: what the handler does is done for whoever let the event happen."""
    call = calls.Call(trace=envelope.trace, origin=envelope.origin, request_id=envelope.id)
    with calls.scope(call):
        yield


# ── once ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Answer(Struct, frozen=True):
    """As it is stored: ``body`` is JSON, of a :class:`~marketplace_core.errors.Failure` where it was ``refused``."""

    refused: bool
    body: str

    @classmethod
    def of(cls, result: object) -> Answer:
        """Of what :func:`attempt` gave."""
        refused = isinstance(result, MarketplaceError)
        told = Failure.of(result) if isinstance(result, MarketplaceError) else result
        return cls(refused, msgspec.json.encode(told).decode())


async def attempt(
    unit: U, work: Callable[[UnitOfWork], Awaitable[T]], execute: Callable[[str], Awaitable[None]]
) -> T | MarketplaceError:
    """The work of :meth:`Units.once`, in a transaction of SQL that goes on after a refusal, without what the work has done.

    ``execute`` takes a statement of that transaction.
    """
    await execute("SAVEPOINT work")
    try:
        return await work(unit)
    except MarketplaceError as error:
        if not error.is_refusal:
            raise
        await execute("ROLLBACK TO SAVEPOINT work")
        unit.clear()
        return error


async def conclude(unit: GatheringUnit | None, result: T | MarketplaceError) -> T:
    """What :meth:`Units.once` gives, or raises, after its commit. ``unit``: None where the answer was there already."""
    if unit is None:
        calls.mark_replayed()
    else:
        await unit.committed()
    if isinstance(result, MarketplaceError):
        raise result
    return result


def found(result: T | MarketplaceError | None) -> tuple[bool, T | None]:
    """What :meth:`Units.stored` gives, or raises, of :func:`stored_answer`; None: there is none."""
    if result is None:
        return False, None
    calls.mark_replayed()
    if isinstance(result, MarketplaceError):
        raise result
    return True, result


def in_flight() -> Conflict:
    """What :meth:`Units.once` raises while another call holds the key."""
    return Conflict("idempotency.in_flight", "The same request is being worked on.", retry_after=1)


def stored_answer(claim: Claim, digest: str, refused: bool, body: str | bytes, answer: type[T]) -> T | MarketplaceError:
    """What a stored answer says to a repeat of its request: the answer, or the refusal for the caller to raise.

    ``digest`` is the claim's as hexadecimal text, and ``body`` JSON, of a :class:`~marketplace_core.errors.Failure` where it
    was ``refused``. :raises Refused: the key was used with other arguments.
    """
    if digest != claim.digest.hex():
        raise Refused("idempotency_key_reused", "This Idempotency-Key was used with another request.")
    if refused:
        return error_from(msgspec.json.decode(body, type=Failure))
    return msgspec.json.decode(body, type=answer)
