"""Sagas, and the port that they call, for the suite of what an engine must do: :mod:`.sagas`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

from marketplace_core.errors import Failure
from marketplace_core.events import Event, event
from marketplace_core.ports import mutation
from marketplace_core.sagas import Retry, Saga, SagaContext, saga
from marketplace_core.testing.contracts.bus import ConsumerProcess

__all__ = ["MENDED", "SAGAS", "Acts", "ActsProbe", "Answered", "Began", "SagaRunner", "StartRunner"]


@event("contract.began", key="id")
class Began(Event, frozen=True, kw_only=True):
    id: str
    things: tuple[str, ...] = ()
    until: datetime = datetime(2026, 1, 1, tzinfo=UTC)


@event("contract.answered", key="id")
class Answered(Event, frozen=True, kw_only=True):
    id: str
    text: str


class Acts(ABC):
    """The port that the suite's sagas call. An implementation writes down each act, in a real store."""

    @abstractmethod
    @mutation(retriable=True)
    async def do(self, saga_id: str, thing: str) -> str:
        """Gives ``<thing>!``."""

    @abstractmethod
    @mutation(retriable=True)
    async def undo(self, saga_id: str, thing: str) -> None: ...

    @abstractmethod
    @mutation(retriable=True)
    async def give_up(self, saga_id: str, failure: Failure) -> None: ...

    @abstractmethod
    @mutation(retriable=True)
    async def do_item(self, item: tuple[str, str]) -> str:
        """:meth:`do` with one argument."""

    @abstractmethod
    @mutation(retriable=True)
    async def undo_item(self, item: tuple[str, str]) -> None: ...


class ActsProbe(ABC):
    """How the suite looks at the acts of a saga and makes them fail."""

    @abstractmethod
    async def done(self, saga_id: str) -> list[str]:
        """Its effects in order: ``do a``, ``undo a``, ``give_up <code>``."""

    @abstractmethod
    async def keys(self, saga_id: str, act: str) -> list[str]:
        """The idempotency key of every try of an act."""

    @abstractmethod
    async def fail(self, saga_id: str, act: str, how: str, times: int = 1) -> None:
        """Make ``act`` fail: ``refuse``, ``lose`` (nothing is done, the outcome is unknown), ``lose_after`` (it is done
        and its answer is lost) or ``hang`` (it is done and never answers)."""


class SagaRunner(ABC):
    """An engine with what a deployment has around it: a tick for deadlines, and an operator."""

    @abstractmethod
    async def start(self, declared: Saga, event: Began) -> None: ...

    @abstractmethod
    async def signal(self, event: Answered, key: str) -> bool: ...

    @abstractmethod
    async def retry(self, saga_id: str) -> bool:
        """Let a saga that is parked or failed try again. False: it is neither."""

    @abstractmethod
    async def compensate(self, saga_id: str) -> bool:
        """Give up a saga that is parked, waits for a signal, or failed. False: it does neither."""

    @abstractmethod
    async def status(self, saga_id: str) -> str:
        """running, waiting (for a person), done, refused or failed."""


#: How long a process may take that begins with its engine, the first one with that one's tables.
STARTS = 45.0
#: What a compensated saga does at last.
GIVEN_UP = "give_up contract.cancelled_by_operator"

#: A process with a runner of its own, which takes the saga ``crashing`` of an id and stays.
StartRunner = Callable[[str], AbstractAsyncContextManager[ConsumerProcess]]


@saga("contract.straight", version=1, start=Began)
async def straight(ctx: SagaContext, began: Began) -> None:
    first = await ctx.call(Acts.do, ctx.id, "first", undo=Acts.undo)
    await ctx.call(Acts.do, ctx.id, first)
    answers = await ctx.each(Acts.do_item, [(ctx.id, thing) for thing in began.things], undo=Acts.undo_item)
    await ctx.pivot()
    await ctx.call(Acts.do, ctx.id, "+".join(answers))


@saga("contract.undone", version=1, start=Began)
async def undone(ctx: SagaContext, began: Began) -> None:
    ctx.on_refusal(Acts.give_up, ctx.id)
    await ctx.call(Acts.do, ctx.id, "a", undo=Acts.undo)
    await ctx.each(Acts.do_item, [(ctx.id, "b"), (ctx.id, "c")], undo=Acts.undo_item)
    await ctx.call(Acts.do, ctx.id, "kept")
    await ctx.call(Acts.do, ctx.id, "d", undo=Acts.undo)
    await ctx.pivot()
    await ctx.call(Acts.do, ctx.id, "e")


@saga("contract.refusing", version=1, start=Began)
async def refusing(ctx: SagaContext, began: Began) -> None:
    ctx.on_refusal(Acts.give_up, ctx.id)
    await ctx.call(Acts.do, ctx.id, "a", undo=Acts.undo)
    raise ctx.refuse("http.precondition_failed", "it thought better of it")


@saga("contract.waiting", version=1, start=Began, signals=(Answered,))
async def waiting(ctx: SagaContext, began: Began) -> None:
    first = await ctx.wait(Answered, until=began.until)
    await ctx.call(Acts.do, ctx.id, first.text if first else "no answer")
    second = await ctx.wait(Answered, until=began.until + timedelta(days=1))
    await ctx.call(Acts.do, ctx.id, second.text if second else "no second answer")


@saga("contract.timed", version=1, start=Began, signals=(Answered,))
async def timed(ctx: SagaContext, began: Began) -> None:
    first = await ctx.now()
    await ctx.call(Acts.do, ctx.id, first.isoformat())
    await ctx.wait(Answered, until=first + timedelta(hours=1))
    again = await ctx.now()
    await ctx.call(Acts.do, ctx.id, f"{(again - first) >= timedelta(hours=1)}")


@saga("contract.crashing", version=1, start=Began)
async def crashing(ctx: SagaContext, began: Began) -> None:
    await ctx.call(Acts.do, ctx.id, "first")
    at = await ctx.now()
    for thing in ("a", "b", "c"):
        await ctx.call(Acts.do, ctx.id, f"{thing} {at.isoformat()}")


@saga("contract.versioned", version=1, start=Began, signals=(Answered,))
async def old(ctx: SagaContext, began: Began) -> None:
    await ctx.call(Acts.do, ctx.id, "old begins")
    await ctx.wait(Answered, until=began.until)
    await ctx.call(Acts.do, ctx.id, "old ends")


@saga("contract.versioned", version=2, start=Began, signals=(Answered,))
async def new(ctx: SagaContext, began: Began) -> None:
    await ctx.wait(Answered, until=began.until)
    await ctx.call(Acts.do, ctx.id, "new")


@saga("contract.regretted", version=1, start=Began, signals=(Answered,))
async def regretted(ctx: SagaContext, began: Began) -> None:
    ctx.on_refusal(Acts.give_up, ctx.id)
    await ctx.call(Acts.do, ctx.id, "a", undo=Acts.undo)
    await ctx.wait(Answered, until=began.until)
    await ctx.pivot()
    await ctx.call(Acts.do, ctx.id, "b", undo=Acts.undo)
    raise ctx.refuse("http.precondition_failed", "it thought better of it too late")


@saga("contract.hurried", version=1, start=Began)
async def hurried(ctx: SagaContext, began: Began) -> None:
    await ctx.call(Acts.do, ctx.id, "a", timeout=1.0, retry=Retry(first=0.01, factor=1.0))
    await ctx.call(Acts.do, ctx.id, "b")


#: Sagas whose mistake is mended meanwhile, as a new release does it.
MENDED: set[str] = set()


@saga("contract.mistaken", version=1, start=Began, signals=(Answered,))
async def mistaken(ctx: SagaContext, began: Began) -> None:
    ctx.on_refusal(Acts.give_up, ctx.id)
    await ctx.call(Acts.do, ctx.id, "a", undo=Acts.undo)
    if ctx.id not in MENDED:
        raise LookupError("a mistake of the saga's own")
    answered = await ctx.wait(Answered, until=began.until)
    await ctx.call(Acts.do, ctx.id, answered.text if answered else "no answer")


@saga("contract.planned", version=1, start=Began, signals=(Answered,))
async def planned(ctx: SagaContext, began: Began) -> None:
    """Does what it is told: ``things`` are the steps of a :class:`~.sagas_machine.Plan`."""
    for thing in began.things:
        kind, name = thing.split()
        if kind == "call":
            await ctx.call(Acts.do, ctx.id, name)
        elif kind == "kept":
            await ctx.call(Acts.do, ctx.id, name, undo=Acts.undo)
        elif kind == "undo":
            ctx.undo(Acts.undo, ctx.id, name)
        elif kind == "give_up":
            ctx.on_refusal(Acts.give_up, ctx.id)
        elif kind == "pivot":
            await ctx.pivot()
        elif kind == "refuse":
            raise ctx.refuse("http.precondition_failed")
        else:
            answered = await ctx.wait(Answered, until=began.until)
            await ctx.call(Acts.do, ctx.id, f"{name} {answered.text if answered else 'late'}")


SAGAS = (straight, undone, refusing, waiting, timed, crashing, old, new, regretted, hurried, mistaken, planned)
