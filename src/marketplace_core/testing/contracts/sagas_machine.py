"""The part of the sagas' suite that runs any saga at all, against a plain model of what becomes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from marketplace_core.testing.contracts.sagas_acts import Answered, Began, planned
from marketplace_core.testing.machines import bounded, on_a_thread
from marketplace_core.values import new_id

__all__ = ["Plan", "PlanRules", "expected"]

REFUSED, GIVEN_UP = "http.precondition_failed", "contract.cancelled_by_operator"
NAMES = "abcdefg"
#: Sagas that run side by side, and how often so many.
TOGETHER, TIMES = 15, 4


@dataclass
class Plan:
    """A saga as its steps, what goes wrong, and what a person decides each time that it waits for one.

    ``steps`` are ``<kind> <name>``; ``faults`` how an act fails and how often, by the act; ``answered``: signals come in time.
    """

    steps: list[str]
    faults: dict[str, tuple[str, int]]
    decisions: list[str]
    answered: bool


kinds = st.sampled_from(["call", "kept", "kept", "undo", "wait", "pivot", "refuse", "give_up"])
fault = st.tuples(st.sampled_from(["refuse", "refuse", "lose", "lose_after"]), st.just(1))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    drawn = draw(st.lists(kinds, min_size=1, max_size=len(NAMES)))
    steps = [f"{kind} {name}" for kind, name in zip(drawn, NAMES, strict=False)]
    acts = st.builds(
        lambda verb, name: f"{verb} {name}", st.sampled_from(["do", "do", "undo"]), st.sampled_from(NAMES[: len(steps)])
    )
    return Plan(
        steps=steps,
        faults=draw(st.dictionaries(acts, fault, max_size=2)),
        decisions=draw(st.lists(st.sampled_from(["retry", "compensate"]), max_size=3)),
        answered=draw(st.booleans()),
    )


class _Refused(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Compensated(_Refused):
    pass


@dataclass
class _Model:
    plan: Plan
    done: list[str] = field(default_factory=list)
    undos: list[str] = field(default_factory=list)
    last: list[str] = field(default_factory=list)
    pivoted: bool = False

    def __post_init__(self) -> None:
        self.refusals = {act: times for act, (how, times) in self.plan.faults.items() if how == "refuse"}
        self.decisions = iter(self.plan.decisions)
        self.answers = 0

    def decide(self) -> None:
        """Returns when it is to be tried again. Who has nothing more to say compensates."""
        if next(self.decisions, "compensate") == "compensate":
            raise _Compensated(GIVEN_UP)

    def act(self, act: str, undo: str | None = None) -> None:
        fault = " ".join(act.split()[:2])
        while self.refusals.get(fault, 0):
            self.refusals[fault] -= 1
            if not self.pivoted:
                raise _Refused(REFUSED)
            self.decide()
        self.done.append(act)
        if undo is not None:
            self.undos.append(undo)

    def step(self, kind: str, name: str) -> None:
        if kind == "call":
            self.act(f"do {name}")
        elif kind == "kept":
            self.act(f"do {name}", f"undo {name}")
        elif kind == "undo":
            self.undos.append(f"undo {name}")
        elif kind == "give_up":
            self.last.append("give_up")
        elif kind == "pivot":
            self.pivoted = True
        elif kind == "refuse":
            raise _Refused(REFUSED)
        else:
            self.answers += 1
            self.act(f"do {name} {self.answers if self.plan.answered else 'late'}")

    def run(self) -> str:
        try:
            for step in self.plan.steps:
                self.step(*step.split())
        except _Refused as refused:
            self.undo_all(refused)
            return "refused"
        return "done"

    def undo_all(self, refused: _Refused) -> None:
        try:
            while self.pivoted and not isinstance(refused, _Compensated):
                self.decide()
        except _Compensated as compensated:
            refused = compensated
        self.pivoted = True
        for act in [*reversed(self.undos), *(f"{act} {refused.code}" for act in self.last)]:
            try:
                self.act(act)
            except _Compensated:
                continue  # it is left out


def expected(plan: Plan) -> tuple[str, list[str]]:
    """How it ends, and what was done, in order."""
    model = _Model(plan)
    return model.run(), model.done


class PlanRules:
    async def test_any_saga_goes_as_the_model_says(self, runner: Any, acts: Any, clock: Any) -> None:
        async def one(plan: Plan) -> tuple[str, list[str]]:
            id_ = new_id()
            for act, (how, times) in plan.faults.items():
                await acts.fail(id_, act, how, times)
            until = clock.after(86_400 if plan.answered else -1)
            await runner.start(planned, Began(id=id_, things=tuple(plan.steps), until=until))
            for number in range(1, plan.answered * sum(step.startswith("wait") for step in plan.steps) + 1):
                await runner.signal(Answered(id=id_, text=str(number)), str(number))
            return await _ended(runner, id_, iter(plan.decisions)), await acts.done(id_)

        async def batch(together: list[Plan]) -> None:
            found = await asyncio.gather(*(one(plan) for plan in together))
            for plan, ended in zip(together, found, strict=True):
                assert ended == expected(plan), plan

        await _examples(batch)


async def _ended(runner: Any, id_: str, decisions: Any) -> str:
    """How it ends, when a person says these things one after the other."""
    while True:
        status: str = await runner.status(id_)
        if status == "waiting":
            await getattr(runner, next(decisions, "compensate"))(id_)
        elif status != "running":
            return status
        await asyncio.sleep(0.02)


async def _examples(batch: Callable[[list[Plan]], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()

    async def awaited(together: list[Plan]) -> None:
        await batch(together)

    def run(together: list[Plan]) -> None:
        asyncio.run_coroutine_threadsafe(awaited(together), loop).result(60)

    examples = bounded(TIMES, 1)(given(st.lists(plans(), min_size=TOGETHER, max_size=TOGETHER))(run))
    await on_a_thread(examples)
