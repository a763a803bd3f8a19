"""What the comparison notices: every kind of change that would break another release, and none that would not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import NODEFAULT, Meta

from marketplace_core import ports
from marketplace_core.capabilities.orders import Orders
from marketplace_core.errors import CODES, Failure
from marketplace_core.events import EVENTS, Event, event
from marketplace_core.ports import query
from marketplace_core.sagas import Saga, SagaContext, SagaEnd, StepCall, StepResult
from marketplace_core.testing.compat import subjects as subject_module
from marketplace_core.testing.compat.histories import Entry, History, RecordingEngine, ReplayEngine, replay
from marketplace_core.testing.compat.recording import changes, record
from marketplace_core.testing.compat.subjects import Subject, event_subject, kept_subject, port_subjects
from marketplace_core.testing.contracts.sagas_acts import Acts, Answered, Began, waiting

Field = tuple[str, Any] | tuple[str, Any, Any]
NAME: Field = ("name", Annotated[str, Meta(max_length=50)])
STATE: Field = ("state", Literal["open", "shut"])
COUNT: Field = ("count", Annotated[int, Meta(ge=0)] | None, None)


def thing(*fields: Field, **options: Any) -> Any:
    return msgspec.defstruct("Thing", fields, kw_only=True, **options)


THING = thing(NAME, STATE, COUNT)


def found(folder: Path, before: Sequence[Subject], after: Sequence[Subject]) -> list[str]:
    folder /= "1.0.0"
    record(folder, {subject.name: subject for subject in before})
    return changes(folder, {subject.name: subject for subject in after})


def kept(folder: Path, before: Any, after: Any) -> list[str]:
    return found(folder, [kept_subject("test.thing", before)], [kept_subject("test.thing", after)])


@pytest.mark.behaviour("events-4")
@pytest.mark.parametrize(
    ("after", "cause"),
    [
        (thing(("title", str, ""), STATE, COUNT), "/name is lost"),
        (thing(("title", str), STATE, COUNT), "not read any more: Object missing required field `title`"),
        (thing(NAME, STATE), "/count is lost"),
        (thing(STATE, COUNT), "would not read it: 'name' is a required property"),
        (
            thing(("name", Annotated[str, Meta(max_length=20)]), STATE, COUNT),
            "not read any more: Expected `str` of length <= 20",
        ),
        (thing(("name", Annotated[str, Meta(max_length=80)]), STATE, COUNT), "would not read /name: "),
        (thing(NAME, ("state", Literal["open"]), COUNT), "not read any more: Invalid enum value 'shut'"),
        (thing(NAME, ("state", Literal["open", "shut", "ajar"]), COUNT), "would not read /state: 'ajar' is not one of"),
        (thing(NAME, STATE, ("count", int, 0)), "not read any more: Expected `int`, got `null`"),
        (thing(NAME, STATE, ("count", str | int | None, None)), "would not read /count"),
        (thing(NAME, STATE, COUNT, ("more", int)), "not read any more: Object missing required field `more`"),
    ],
    ids=[
        "renamed, with a default",
        "renamed",
        "an optional field removed",
        "a required field removed",
        "a narrowed type",
        "a widened type",
        "a removed member",
        "a new member",
        "no longer null",
        "another type too",
        "a new required field",
    ],
)
def test_what_would_break_another_release(tmp_path: Path, after: Any, cause: str) -> None:
    assert any(cause in line and "; " in line for line in kept(tmp_path, THING, after))


@pytest.mark.parametrize(
    "after",
    [thing(NAME, STATE, COUNT), thing(NAME, STATE, COUNT, ("more", int, 0)), thing(COUNT, STATE, NAME)],
    ids=["nothing", "a new field with a default", "another order of fields"],
)
def test_what_breaks_nothing(tmp_path: Path, after: Any) -> None:
    assert kept(tmp_path, THING, after) == []


def test_a_reader_that_forbids_what_it_does_not_know_is_not_sent_it(tmp_path: Path) -> None:
    strict = thing(NAME, forbid_unknown_fields=True)
    [line] = kept(tmp_path, strict, thing(NAME, ("more", int, 0), forbid_unknown_fields=True))
    assert "a process of 1.0.0 would not read it: Additional properties are not allowed ('more' was unexpected)" in line
    assert kept(tmp_path, strict, thing(NAME, ("more", int, 0), forbid_unknown_fields=True, omit_defaults=True)) != []


def test_every_member_and_bound_is_among_the_samples() -> None:
    values = [value for [value] in kept_subject("test.thing", THING).samples()]
    assert {value.state for value in values} == {"open", "shut"}
    assert {len(value.name) for value in values} >= {0, 50}
    assert {value.count for value in values} > {None, 0}


# ── events, ports and codes ──────────────────────────────────────────────────────────────────────────────────


def test_a_removed_event(tmp_path: Path) -> None:
    @event("removed.happened", key="id")
    class Happened(Event, frozen=True, kw_only=True):
        id: str

    try:
        subject = event_subject(Happened)
        assert found(tmp_path, [subject], [subject]) == []
        [line] = found(tmp_path, [subject], [])
        assert line == "event removed.happened is gone; keep it for as long as a process of 1.0.0 may run"
    finally:
        del EVENTS["removed.happened"]


class Old(ABC):
    @abstractmethod
    @query
    async def find(self, name: str, limit: int) -> list[str]: ...

    @abstractmethod
    @query
    async def count(self) -> int: ...


class Grown(ABC):
    @abstractmethod
    @query
    async def find(self, name: str, limit: int, exact: bool = False) -> list[str]: ...

    @abstractmethod
    @query
    async def count(self) -> int: ...


class Broken(ABC):
    @abstractmethod
    @query
    async def find(self, name: str, limit: int, exact: bool) -> list[str]: ...


class Shorter(ABC):
    @abstractmethod
    @query
    async def find(self, name: str) -> list[int]: ...

    @abstractmethod
    @query
    async def count(self) -> int: ...


@pytest.mark.parametrize(
    ("after", "causes"),
    [
        (Old, []),
        (Grown, []),
        (Broken, ["answer things.count is gone", "arguments things.count is gone", "arguments things.find: what 1.0.0 wrote"]),
        (Shorter, ["things.find: what 1.0.0 wrote is not read", "needs 2 arguments and gets 1", "would not read /0"]),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_methods(tmp_path: Path, after: type, causes: list[str]) -> None:
    lines = found(tmp_path, port_subjects("things", Old), port_subjects("things", after))
    assert bool(lines) == bool(causes)
    for cause in causes:
        assert any(cause in line for line in lines), lines


def test_a_request_is_the_same_to_the_next_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is repeated after an upgrade is answered as before it; else it would be refused, as another request."""
    cls: Any = thing(NAME, COUNT)
    wider: Any = thing(NAME, COUNT, ("more", list[int], msgspec.field(default_factory=list)))
    old, new = cls(name="a", count=None), wider(name="a", count=None)
    assert ports.digest([old, 5]) == ports.digest([new, 5, False], [NODEFAULT, NODEFAULT, False])
    assert ports.digest([[old]]) == ports.digest([(new,)])
    different = [[cls(name="b", count=None), 5], [cls(name="a", count=0), 5], [old, 6], [old], [old, 5, True], [[old], 5]]
    assert len({ports.digest(args) for args in different} | {ports.digest([old, 5])}) == 7
    [before] = [subject for subject in port_subjects("things", Old) if subject.name == "arguments things.find"]
    record(tmp_path / "1.0.0", {before.name: before})
    monkeypatch.setattr(subject_module, "digest", lambda values, _: repr(values).encode())
    [line] = changes(tmp_path / "1.0.0", {before.name: before})
    assert "arguments things.find: a request that 1.0.0 has answered is another one now" in line


def test_a_removed_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CODES, "test.teapot", 409)
    record(tmp_path, {})
    monkeypatch.setitem(CODES, "test.teapot", 422)
    assert "the error code test.teapot of status 409 is 422" in changes(tmp_path, {})[0]
    monkeypatch.delitem(CODES, "test.teapot")
    assert "the error code test.teapot of status 409 is gone" in changes(tmp_path, {})[0]


# ── sagas ────────────────────────────────────────────────────────────────────────────────────────────────────


def _history() -> History:
    """Of the contract's saga ``waiting``, whose first wait is answered and whose second is not."""
    began = msgspec.Raw(msgspec.json.encode(Began(id="s1")))
    answer = msgspec.json.encode(Answered(id="s1", text="yes")).decode()
    waited = Entry(ask="receive", step="contract.answered", timed=True)
    done = Entry(ask="perform", step="", method="sagas_acts.do", answer=msgspec.Raw(msgspec.json.encode(StepResult('"x"'))))
    entries = [
        msgspec.structs.replace(waited, answer=msgspec.Raw(msgspec.json.encode(answer))),
        msgspec.structs.replace(done, step="1:do", args=msgspec.Raw(b'["s1","yes"]')),
        waited,
        msgspec.structs.replace(done, step="2:do", args=msgspec.Raw(b'["s1","no second answer"]')),
    ]
    return History(saga=waiting.name, version=1, id="s1", payload=began, entries=entries, end=SagaEnd("done"))


def _changed(run: Any) -> dict[tuple[str, int], Saga]:
    return {(waiting.name, 1): msgspec.structs.replace(waiting, run=run)}


async def test_an_unchanged_saga() -> None:
    assert await replay(_history(), {(waiting.name, 1): waiting}) is None


async def _asks_before_it_waits(ctx: SagaContext, began: Began) -> None:
    await ctx.call(Acts.do, ctx.id, "early")
    await waiting.run(ctx, began)


async def _undoes_instead(ctx: SagaContext, began: Began) -> None:
    await ctx.wait(Answered, until=began.until)
    await ctx.call(Acts.undo, ctx.id, "yes")


async def _says_something_else(ctx: SagaContext, began: Began) -> None:
    await ctx.wait(Answered, until=began.until)
    await ctx.call(Acts.do, ctx.id, "no")


async def _ends_early(ctx: SagaContext, began: Began) -> None:
    await ctx.wait(Answered, until=began.until)
    await ctx.call(Acts.do, ctx.id, "yes")


async def _goes_on(ctx: SagaContext, began: Began) -> None:
    await waiting.run(ctx, began)
    await ctx.call(Acts.do, ctx.id, "more")


async def _looks_at_the_clock(ctx: SagaContext, began: Began) -> None:
    await ctx.now()
    await waiting.run(ctx, began)


async def _refuses_at_last(ctx: SagaContext, began: Began) -> None:
    await waiting.run(ctx, began)
    raise ctx.refuse("http.precondition_failed")


@pytest.mark.behaviour("orchestrator-2")
@pytest.mark.parametrize(
    ("run", "cause"),
    [
        (_asks_before_it_waits, "it asks to perform 1:do (sagas_acts.do) where the history has receive contract.answered"),
        (_undoes_instead, "it asks to perform 1:undo (sagas_acts.undo) where the history has perform 1:do (sagas_acts.do)"),
        (_says_something_else, "it asks to perform 1:do (sagas_acts.do) with other arguments: /1"),
        (_ends_early, "it ends where the history has receive contract.answered"),
        (_goes_on, "it asks to perform 3:do (sagas_acts.do) where the history ends"),
        (_looks_at_the_clock, "it asks to now 1:now where the history has receive contract.answered"),
        (_refuses_at_last, "ends http.precondition_failed where it ended done"),
    ],
)
async def test_a_changed_saga(run: Any, cause: str) -> None:
    wrong = await replay(_history(), _changed(run))
    assert wrong is not None
    assert cause in wrong
    assert wrong.endswith("give the changed saga a new version, and keep this one beside it")


async def test_a_removed_saga() -> None:
    wrong = await replay(_history(), {})
    assert wrong == "the saga contract.waiting version 1 is gone; keep it beside the new version until none of it is under way"


async def test_what_is_recorded_is_replayed() -> None:
    """A recording over a replay gives the same history again."""
    history = _history()
    recorder = RecordingEngine(ReplayEngine(history.entries))
    call = StepCall("s1", "1:do", "sagas_acts", "do", '["s1","yes"]')
    assert await recorder.receive("contract.answered", Began(id="s1").until) is not None
    await recorder.perform(call)
    assert recorder.entries == history.entries[:2]
    parked = RecordingEngine(ReplayEngine([Entry(ask="park", step="3:do"), Entry(ask="receive", step="operator")]))
    await parked.park("3:do", Failure("http.not_found"))
    assert await parked.receive("operator", None) is None
    assert [entry.ask for entry in parked.entries] == ["park", "receive"]


def test_the_orders_port_is_among_the_subjects() -> None:
    names = [subject.name for subject in port_subjects("orders", Orders)]
    assert {"arguments orders.place", "answer orders.place"} <= set(names)
