"""What a provider of :class:`~marketplace_core.capabilities.orchestrator.Orchestrator` must do, on its port alone.

What sagas may do is another suite, :mod:`marketplace_core.testing.contracts.sagas`; this one is about who looks after them.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import Counter
from datetime import timedelta

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery, SagaView
from marketplace_core.errors import BadCursor, Conflict, Failure, NotFound, Unavailable
from marketplace_core.events import Event, event
from marketplace_core.ports import mutation
from marketplace_core.sagas import SagaContext, saga
from marketplace_core.testing.contracts import eventually, paged, refused

__all__ = ["SAGAS", "Acts", "Answered", "Asked", "Begun", "Mistaken", "OrchestratorContract", "Rehearsal", "Stage"]


# ── what is rehearsed ────────────────────────────────────────────────────────────────────────────────────────


@event("rehearsal.begun", key="thing")
class Begun(Event, frozen=True, kw_only=True):
    thing: str


@event("rehearsal.asked", key="thing")
class Asked(Event, frozen=True, kw_only=True):
    thing: str


@event("rehearsal.mistaken", key="thing")
class Mistaken(Event, frozen=True, kw_only=True):
    thing: str


@event("rehearsal.answered", key="thing")
class Answered(Event, frozen=True, kw_only=True):
    thing: str
    word: str = "yes"


class Rehearsal(ABC):
    """What the sagas call. The capability is called as this module is."""

    @abstractmethod
    @mutation(retriable=True)
    async def act(self, thing: str, name: str) -> None: ...

    @abstractmethod
    @mutation(retriable=True)
    async def undo(self, thing: str, name: str) -> None: ...

    @abstractmethod
    @mutation(retriable=True)
    async def give_up(self, thing: str, failure: Failure) -> None: ...


class Acts(Rehearsal):
    """Notes what was ``done``: the act's name, ``undo <name>``, ``give_up <code>``.

    ``refuse`` and ``lose``: how often one is refused, or has no known outcome; ``held``: until when it is held up.
    """

    def __init__(self) -> None:
        self.done: list[tuple[str, str]] = []
        self.refuse: Counter[str] = Counter()
        self.lose: Counter[str] = Counter()
        self.held: dict[str, asyncio.Event] = {}
        self.tries: Counter[str] = Counter()

    async def act(self, thing: str, name: str) -> None:
        await self._do(thing, name)

    async def undo(self, thing: str, name: str) -> None:
        await self._do(thing, f"undo {name}")

    async def give_up(self, thing: str, failure: Failure) -> None:
        await self._do(thing, f"give_up {failure.code}")

    async def _do(self, thing: str, name: str) -> None:
        self.tries[name] += 1
        if name in self.held:
            await self.held[name].wait()
        if self.lose[name] > 0:
            self.lose[name] -= 1
            raise Unavailable("Nobody answers.")
        if self.refuse[name] > 0:
            self.refuse[name] -= 1
            raise Conflict("orchestrator.wrong_state", "It is not possible now.")
        self.done.append((thing, name))


@saga("rehearsal.acts", version=1, start=Begun)
async def acts(ctx: SagaContext, begun: Begun) -> None:
    ctx.on_refusal(Rehearsal.give_up, begun.thing)
    await ctx.call(Rehearsal.act, begun.thing, "first", undo=Rehearsal.undo)
    await ctx.call(Rehearsal.act, begun.thing, "second", undo=Rehearsal.undo)
    await ctx.pivot()
    await ctx.call(Rehearsal.act, begun.thing, "third")


@saga("rehearsal.asks", version=1, start=Asked, signals=(Answered,))
async def asks(ctx: SagaContext, asked: Asked) -> None:
    await ctx.call(Rehearsal.act, asked.thing, "before", undo=Rehearsal.undo)
    answer = await ctx.wait(Answered, until=await ctx.now() + timedelta(minutes=15))
    await ctx.call(Rehearsal.act, asked.thing, answer.word if answer else "too late")


#: Things about which the saga's mistake is mended meanwhile, as a new release does it.
MENDED: set[str] = set()


@saga("rehearsal.errs", version=1, start=Mistaken)
async def errs(ctx: SagaContext, mistaken: Mistaken) -> None:
    await ctx.call(Rehearsal.act, mistaken.thing, "before", undo=Rehearsal.undo)
    if mistaken.thing not in MENDED:
        raise LookupError("a mistake of the saga's own")
    await ctx.call(Rehearsal.act, mistaken.thing, "after")


SAGAS = (acts, asks, errs)
CANCELLED = "give_up rehearsal.cancelled_by_operator"


class Stage(ABC):
    """A deployment whose plugins declare :data:`SAGAS`, with the provider and its worker, in which nothing has begun yet."""

    acts: Acts
    """Is the port that the sagas call."""

    @property
    @abstractmethod
    def orchestrator(self) -> Orchestrator: ...

    @abstractmethod
    async def hear(self, happened: Event) -> None:
        """Something has happened, and the provider's worker has applied it."""

    @abstractmethod
    async def later(self, seconds: float) -> None:
        """Let so much time pass by the deployment's clock."""


async def _until(stage: Stage, status: str, thing: str = "a") -> SagaView:
    """The saga of a thing, once it is so."""

    async def so() -> SagaView | None:
        return view if (view := await stage.orchestrator.get_saga(thing)).status == status else None

    found: SagaView = await eventually(so)
    return found


async def _waits_again(stage: Stage, name: str, tries: int) -> None:
    """For a person, after so many tries."""
    await eventually(lambda: stage.acts.tries[name] == tries)
    await _until(stage, "waiting")


async def _ids(stage: Stage, query: SagaQuery) -> list[str]:
    return [view.id for view in (await stage.orchestrator.list_sagas(query)).items]


async def _asked(stage: Stage, thing: str = "a") -> None:
    """A saga that waits for an answer."""
    await stage.hear(Asked(thing=thing))

    async def waits() -> bool:
        return stage.acts.done[-1:] == [(thing, "before")] and await stage.orchestrator.runnable() == 0

    await eventually(waits)


class OrchestratorContract:
    """Fixture: ``stage``, a :class:`Stage`. The saga of an event has the event's key as its id."""

    # ── looking ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_saga_is_seen_to_its_end(self, stage: Stage) -> None:
        stage.acts.held["second"] = asyncio.Event()
        await stage.hear(Begun(thing="a"))
        await eventually(lambda: stage.acts.tries["second"])
        assert (await stage.orchestrator.get_saga("a")).status == "running"
        assert await _ids(stage, SagaQuery(status="running")) == ["a"]
        assert await stage.orchestrator.runnable() == 1
        stage.acts.held["second"].set()
        view = await _until(stage, "done")
        assert (view.id, view.name, view.key) == ("a", "rehearsal.acts", "a")
        assert [(step.status, step.attempts, step.error) for step in view.steps] == [("done", 1, None)] * 3
        assert stage.acts.done == [("a", "first"), ("a", "second"), ("a", "third")]
        assert await _ids(stage, SagaQuery(status="done")) == ["a"]
        assert await _ids(stage, SagaQuery(status="running")) == []
        assert await stage.orchestrator.runnable() == 0
        with pytest.raises(NotFound):
            await stage.orchestrator.get_saga("b")

    async def test_an_event_that_comes_again_begins_nothing(self, stage: Stage) -> None:
        for _ in range(2):
            await stage.hear(Begun(thing="a"))
        await _until(stage, "done")
        await stage.hear(Begun(thing="a"))
        await stage.hear(Begun(thing="b"))
        await _until(stage, "done", "b")
        assert sorted(await _ids(stage, SagaQuery())) == ["a", "b"]
        assert [name for thing, name in stage.acts.done if thing == "a"] == ["first", "second", "third"]

    @pytest.mark.behaviour("orchestrator-1")
    async def test_tries_are_counted_while_nobody_answers(self, stage: Stage) -> None:
        stage.acts.lose["first"] = 3
        await stage.hear(Begun(thing="a"))

        async def tried_twice() -> bool:
            steps = (await stage.orchestrator.get_saga("a")).steps
            return [step.attempts for step in steps if step.status == "running"] == [2]

        await eventually(tried_twice)
        [step] = (await stage.orchestrator.get_saga("a")).steps
        assert step.error is not None and step.at is not None
        assert await stage.orchestrator.runnable() == 1
        view = await _until(stage, "done")
        assert [(one.status, one.attempts) for one in view.steps] == [("done", 4), ("done", 1), ("done", 1)]

    async def test_what_is_refused_before_the_pivot_has_ended(self, stage: Stage) -> None:
        stage.acts.refuse["second"] = 1
        await stage.hear(Begun(thing="a"))
        view = await _until(stage, "refused")
        assert [step.error for step in view.steps if step.status == "refused"] == ["orchestrator.wrong_state"]
        assert stage.acts.done == [("a", "first"), ("a", "undo first"), ("a", "give_up orchestrator.wrong_state")]
        assert await _ids(stage, SagaQuery(status="done")) == ["a"], "both have ended"
        assert await stage.orchestrator.runnable() == 0
        for mend in (stage.orchestrator.retry, stage.orchestrator.compensate):
            assert isinstance(await refused("orchestrator.wrong_state", mend("a")), Conflict)

    async def test_sagas_are_found_by_pages(self, stage: Stage) -> None:
        things = [f"s{n}" for n in range(5)]
        for thing in things:
            await stage.hear(Begun(thing=thing))
        for thing in things:
            await _until(stage, "done", thing)
        await stage.hear(Asked(thing="asked"))
        at_once = await _ids(stage, SagaQuery(status="done"))
        assert sorted(at_once) == things
        assert await _ids(stage, SagaQuery(name="rehearsal.asks")) == ["asked"]
        assert await _ids(stage, SagaQuery(name="rehearsal.asks", status="done")) == []
        query = SagaQuery(limit=2, name="rehearsal.acts")
        by_pages = await paged(
            lambda cursor: stage.orchestrator.list_sagas(SagaQuery(limit=2, name="rehearsal.acts", cursor=cursor)),
            between=lambda: stage.hear(Begun(thing=f"late {len(stage.acts.done)}")),
        )
        assert [view.id for view in by_pages if view.id in things] == at_once
        cursor = (await stage.orchestrator.list_sagas(query)).next
        with pytest.raises(BadCursor):
            await stage.orchestrator.list_sagas(SagaQuery(cursor=cursor))

    # ── signals and deadlines ────────────────────────────────────────────────────────────────────────────────

    async def test_who_waits_for_an_answer_cannot_go_on_by_itself(self, stage: Stage) -> None:
        await _asked(stage)
        assert (await stage.orchestrator.get_saga("a")).status == "running"
        await refused("orchestrator.wrong_state", stage.orchestrator.retry("a"))  # it does not wait for a person
        await stage.hear(Answered(thing="b"))  # nobody's
        assert await stage.orchestrator.runnable() == 0
        await stage.hear(Answered(thing="a"))
        await _until(stage, "done")
        assert stage.acts.done == [("a", "before"), ("a", "yes")]

    async def test_a_deadline_is_by_the_deployments_clock(self, stage: Stage) -> None:
        await _asked(stage, "c")
        await stage.later(90)
        await _asked(stage)
        await stage.later(13 * 60 + 45)
        await _until(stage, "done", "c")  # whoever is in a hurry took this one as well
        stage.acts.lose["first"] = 1
        await stage.hear(Begun(thing="b"))
        await _until(stage, "done", "b")  # time enough to act on it
        assert (await stage.orchestrator.get_saga("a")).status == "running"
        assert await stage.orchestrator.runnable() == 0
        await stage.later(2 * 60)
        await _until(stage, "done")
        assert [name for thing, name in stage.acts.done if thing == "a"] == ["before", "too late"]

    # ── mending ──────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("orchestrator-1")
    async def test_what_waits_for_a_person_is_listed_and_goes_on(self, stage: Stage) -> None:
        stage.acts.refuse["third"] = 2
        await stage.hear(Begun(thing="a"))
        for tries in (1, 2):
            await _waits_again(stage, "third", tries)
            steps = (await stage.orchestrator.get_saga("a")).steps
            assert [step.error for step in steps if step.status == "refused"] == ["orchestrator.wrong_state"] * tries
            assert await _ids(stage, SagaQuery(status="waiting")) == ["a"]
            assert await _ids(stage, SagaQuery(status="running")) == []
            assert await stage.orchestrator.runnable() == 0
            await stage.orchestrator.retry("a")
        await _until(stage, "done")
        assert stage.acts.done == [("a", "first"), ("a", "second"), ("a", "third")]
        assert isinstance(await refused("orchestrator.wrong_state", stage.orchestrator.retry("a")), Conflict)
        with pytest.raises(NotFound):
            await stage.orchestrator.retry("b")

    @pytest.mark.behaviour("all-1")
    async def test_one_key_is_one_retry(self, stage: Stage) -> None:
        stage.acts.refuse["third"] = 2
        await stage.hear(Begun(thing="a"))
        await _waits_again(stage, "third", 1)
        with calls.scope(calls.Call(key="once")):
            await stage.orchestrator.retry("a")
            await _waits_again(stage, "third", 2)
            await stage.orchestrator.retry("a")  # its answer was lost
        assert await stage.orchestrator.runnable() == 0
        await stage.orchestrator.retry("a")
        await _until(stage, "done")
        assert stage.acts.tries["third"] == 3

    @pytest.mark.behaviour("orchestrator-1")
    async def test_what_waits_for_a_person_can_be_given_up(self, stage: Stage) -> None:
        stage.acts.refuse["third"] = 1
        await stage.hear(Begun(thing="a"))
        await _until(stage, "waiting")
        for _ in range(2):  # again: nothing
            await stage.orchestrator.compensate("a")
            await refused("orchestrator.wrong_state", stage.orchestrator.retry("a"))
        await _until(stage, "refused")
        done = ["first", "second", "undo second", "undo first", CANCELLED]
        assert stage.acts.done == [("a", name) for name in done]
        assert await stage.orchestrator.runnable() == 0
        assert await _ids(stage, SagaQuery(status="done")) == ["a"]
        with pytest.raises(NotFound):
            await stage.orchestrator.compensate("b")

    @pytest.mark.behaviour("orchestrator-1")
    async def test_what_waits_for_an_answer_can_be_given_up(self, stage: Stage) -> None:
        await _asked(stage)
        await stage.orchestrator.compensate("a")
        await _until(stage, "refused")
        await stage.hear(Answered(thing="a"))
        assert stage.acts.done == [("a", "before"), ("a", "undo before")]
        assert await stage.orchestrator.runnable() == 0

    async def test_what_failed_is_listed_and_goes_on(self, stage: Stage) -> None:
        MENDED.discard("a")
        await stage.hear(Mistaken(thing="a"))
        await _until(stage, "failed")
        assert await _ids(stage, SagaQuery(status="failed")) == ["a"]
        assert await stage.orchestrator.runnable() == 0
        MENDED.add("a")
        await stage.orchestrator.retry("a")
        await _until(stage, "done")
        assert stage.acts.done == [("a", "before"), ("a", "after")]
        assert stage.acts.tries == {"before": 1, "after": 1}
        await refused("orchestrator.wrong_state", stage.orchestrator.retry("a"))

    @pytest.mark.behaviour("orchestrator-1")
    async def test_what_failed_can_be_given_up(self, stage: Stage) -> None:
        MENDED.discard("a")
        await stage.hear(Mistaken(thing="a"))
        await _until(stage, "failed")
        for _ in range(2):
            await stage.orchestrator.compensate("a")
        assert await stage.orchestrator.runnable() >= 0
        await _until(stage, "refused")
        assert stage.acts.done == [("a", "before"), ("a", "undo before")]
        await stage.orchestrator.compensate("a")
        await refused("orchestrator.wrong_state", stage.orchestrator.retry("a"))

    async def test_what_goes_on_is_not_given_up(self, stage: Stage) -> None:
        stage.acts.refuse["third"] = 1
        await stage.hear(Begun(thing="a"))
        await _until(stage, "waiting")
        stage.acts.held["third"] = asyncio.Event()
        await stage.orchestrator.retry("a")
        await refused("orchestrator.wrong_state", stage.orchestrator.compensate("a"))
        await eventually(lambda: stage.acts.tries["third"] == 2)
        await refused("orchestrator.wrong_state", stage.orchestrator.compensate("a"))
        stage.acts.held["third"].set()
        await _until(stage, "done")
        await refused("orchestrator.wrong_state", stage.orchestrator.compensate("a"))
        assert stage.acts.done == [("a", "first"), ("a", "second"), ("a", "third")]

    @pytest.mark.behaviour("orchestrator-1")
    async def test_an_undo_that_is_refused_waits_and_can_be_left_out(self, stage: Stage) -> None:
        stage.acts.refuse.update({"third": 1, "undo second": 1, "undo first": 1})
        await stage.hear(Begun(thing="a"))
        await _waits_again(stage, "third", 1)
        await stage.orchestrator.compensate("a")
        await _waits_again(stage, "undo second", 1)
        await stage.orchestrator.retry("a")
        await _waits_again(stage, "undo first", 1)
        await stage.orchestrator.compensate("a")
        await _until(stage, "refused")
        assert stage.acts.done == [("a", name) for name in ("first", "second", "undo second", CANCELLED)]
