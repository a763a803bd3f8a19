"""Mistakes of a saga engine and its context, each of which breaks one rule when it is made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from marketplace_core import calls, sagas
from marketplace_core.adapters.dbos import engine as dbos
from marketplace_core.adapters.dbos import runs
from marketplace_core.adapters.dbos.engine import DbosSagas
from marketplace_core.adapters.dbos.rows import EngineRows
from marketplace_core.adapters.dbos.runs import Run
from marketplace_core.adapters.dbos.segments import SegmentedRun
from marketplace_core.errors import Failure, MarketplaceError, Unavailable
from marketplace_core.sagas import (
    Engine,
    Performer,
    Retry,
    RunningSaga,
    Saga,
    SagaContext,
    SagaEnd,
    SagaRefused,
    StepCall,
    StepResult,
)
from marketplace_core.testing.contracts.sagas_runner import EngineRunner
from marketplace_core.values import SystemClock, new_id

Mistake = Callable[[pytest.MonkeyPatch], None]


def each_backwards(patch: pytest.MonkeyPatch) -> None:
    async def each(self: SagaContext, method: Any, items: Iterable[Any], undo: Any = None, **_: Any) -> list[Any]:
        return [await self.call(method, item, undo=undo) for item in reversed(list(items))]

    patch.setattr(SagaContext, "each", each)


def one_key_per_saga(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StepCall, "key", property(lambda self: self.saga))


def a_new_key_per_try(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(StepCall, "key", property(lambda self: new_id()))


def begins_again(patch: pytest.MonkeyPatch) -> None:
    """A repeat of the start is another run of the same saga."""
    start, run = DbosSagas.start, sagas.run_saga
    begun: dict[str, int] = {}

    async def again(self: DbosSagas, declared: Saga, saga_id: str, payload: str) -> bool:
        begun[saga_id] = begun.get(saga_id, 0) + 1
        return await start(self, declared, saga_id if begun[saga_id] == 1 else f"{saga_id}#{begun[saga_id]}", payload)

    async def as_the_first(declared: Saga, saga_id: str, payload: str, engine: Engine) -> SagaEnd:
        return await run(declared, saga_id.split("#", maxsplit=1)[0], payload, engine)

    patch.setattr(DbosSagas, "start", again)
    patch.setattr(dbos, "run_saga", as_the_first)
    patch.setattr(StepCall, "key", property(lambda self: new_id()))


def undoes_forwards(patch: pytest.MonkeyPatch) -> None:
    undo_all = RunningSaga.undo_all

    async def forwards(self: RunningSaga, failure: Failure) -> None:
        self._undos.reverse()
        await undo_all(self, failure)

    patch.setattr(RunningSaga, "undo_all", forwards)


def keeps_what_it_regrets(patch: pytest.MonkeyPatch) -> None:
    """Only what a port refuses is undone."""

    def refuse(self: RunningSaga, code: str, detail: str = "") -> SagaRefused:
        self._undos.clear()
        return SagaRefused(Failure(code, detail))

    patch.setattr(RunningSaga, "refuse", refuse)


def takes_unknown_for_refused(patch: pytest.MonkeyPatch) -> None:
    async def perform(self: Performer, call: StepCall, *_: Any) -> StepResult:
        method = getattr(self._ports()[call.capability], call.method)
        try:
            with calls.scope(calls.Call(key=call.key)):
                value = await method(*self._decode(self._ports()[call.capability], call))
        except MarketplaceError as error:
            return StepResult(refusal=Failure.of(error))
        return StepResult(msgspec.json.encode(value).decode())

    patch.setattr(Performer, "perform", perform)


def takes_its_time(patch: pytest.MonkeyPatch) -> None:
    """Whatever the saga says about that."""
    perform = RunningSaga._perform

    async def patient(self: RunningSaga, step: str, method: Any, args: Any, seconds: Any, retry: Any) -> StepResult:
        return await perform(self, step, method, args, None, retry)

    patch.setattr(RunningSaga, "_perform", patient)


def pauses_as_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Retry, "pause", lambda self, tries: 0.3 * 3**tries)


def tells_of_the_end_only(patch: pytest.MonkeyPatch) -> None:
    def note(self: Run, step: str, result: StepResult) -> None:
        pass

    patch.setattr(Run, "note", note)


def knows_of_no_steps(patch: pytest.MonkeyPatch) -> None:
    look = EngineRows.look

    async def blind(self: EngineRows, saga_ids: Any) -> Any:
        return {id_: replace(state, steps={}) for id_, state in (await look(self, saga_ids)).items()}

    patch.setattr(EngineRows, "look", blind)


def takes_unknown_undos_for_done(patch: pytest.MonkeyPatch) -> None:
    perform = Performer.perform

    async def once(self: Performer, call: StepCall, *args: Any) -> StepResult:
        if not call.method.startswith("undo"):
            return await perform(self, call, *args)
        port = self._ports()[call.capability]
        try:
            with calls.scope(calls.Call(key=call.key)):
                await getattr(port, call.method)(*self._decode(port, call))
        except Unavailable:
            pass
        return StepResult()

    patch.setattr(Performer, "perform", once)


def has_no_pivot(patch: pytest.MonkeyPatch) -> None:
    async def pivot(self: RunningSaga) -> None:
        pass

    patch.setattr(RunningSaga, "pivot", pivot)


def gives_up_undoing(patch: pytest.MonkeyPatch) -> None:
    """An undo that is refused is left out."""

    async def undo_all(self: RunningSaga, failure: Failure) -> None:
        for method, args in [*reversed(self._undos), *((m, (*a, failure)) for m, a in self._at_refusal)]:
            try:
                await self.call(method, *args)
            except SagaRefused:
                continue

    patch.setattr(RunningSaga, "undo_all", undo_all)


def forgets_at_the_pivot(patch: pytest.MonkeyPatch) -> None:
    async def pivot(self: RunningSaga) -> None:
        self._pivoted = True
        self._undos.clear()

    patch.setattr(RunningSaga, "pivot", pivot)


def forgets_after_the_pivot(patch: pytest.MonkeyPatch) -> None:
    call = RunningSaga.call

    async def forgetful(self: RunningSaga, method: Any, *args: Any, undo: Any = None) -> Any:
        return await call(self, method, *args, undo=None if self._pivoted else undo)

    patch.setattr(RunningSaga, "call", forgetful)


def ends_where_it_refuses(patch: pytest.MonkeyPatch) -> None:
    """A saga that refuses after the pivot asks nobody."""

    async def accept(self: RunningSaga, refused: SagaRefused) -> Failure:
        return refused.failure

    patch.setattr(RunningSaga, "accept", accept)


def tells_a_decision_twice(patch: pytest.MonkeyPatch) -> None:
    decide, signal = DbosSagas.decide, DbosSagas.signal

    async def unkeyed(self: DbosSagas, saga_id: str, name: str, payload: str, key: str) -> bool:
        return await signal(self, saga_id, name, payload, new_id())

    async def twice(self: DbosSagas, saga_id: str, step: str, decision: Any) -> None:
        await decide(self, saga_id, step, decision)
        await decide(self, saga_id, step, decision)

    patch.setattr(DbosSagas, "signal", unkeyed)
    patch.setattr(DbosSagas, "decide", twice)


def stops_where_an_undo_is_left_out(patch: pytest.MonkeyPatch) -> None:
    async def undo_all(self: RunningSaga, failure: Failure) -> None:
        self._pivoted = True
        with contextlib.suppress(SagaRefused):
            for method, args in [*reversed(self._undos), *((m, (*a, failure)) for m, a in self._at_refusal)]:
                await self.call(method, *args)

    patch.setattr(RunningSaga, "undo_all", undo_all)


def takes_giving_up_for_a_deadline(patch: pytest.MonkeyPatch) -> None:
    async def give_up(self: DbosSagas, saga_id: str, signal: str, number: int) -> None:
        await self.time_out(saga_id, signal, number)

    patch.setattr(DbosSagas, "give_up", give_up)


def only_tries_again(patch: pytest.MonkeyPatch) -> None:
    """What failed fails again, whatever a person decided."""

    async def fail(self: SegmentedRun, mistake: Exception) -> None:
        await self._close()
        raise mistake

    patch.setattr(SegmentedRun, "fail", fail)


def compensates_anybody(patch: pytest.MonkeyPatch) -> None:

    async def always(self: EngineRunner, saga_id: str) -> bool:
        return True

    patch.setattr(EngineRunner, "compensate", always)


def is_deaf(patch: pytest.MonkeyPatch) -> None:
    async def signal(self: DbosSagas, *_: str) -> bool:
        return True

    patch.setattr(DbosSagas, "signal", signal)


def hears_everything_twice(patch: pytest.MonkeyPatch) -> None:
    signal = DbosSagas.signal

    async def unkeyed(self: DbosSagas, saga_id: str, name: str, payload: str, key: str) -> bool:
        return await signal(self, saga_id, name, payload, new_id())

    patch.setattr(DbosSagas, "signal", unkeyed)


def believes_in_every_saga(patch: pytest.MonkeyPatch) -> None:
    signal = DbosSagas.signal

    async def always(self: DbosSagas, *arguments: str) -> bool:
        await signal(self, *arguments)
        return True

    patch.setattr(DbosSagas, "signal", always)


def has_a_clock_of_its_own(patch: pytest.MonkeyPatch) -> None:
    init = DbosSagas.__init__

    def on_system_time(self: DbosSagas, database: Any, all_sagas: Any, performer: Any, clock: Any, journal: Any) -> None:
        init(self, database, all_sagas, performer, SystemClock(), journal)

    patch.setattr(DbosSagas, "__init__", on_system_time)


def mixes_up_deadlines(patch: pytest.MonkeyPatch) -> None:
    """The deadline of a wait that a signal has ended is that of the next."""
    init = DbosSagas.__init__

    async def forget(*_: Any) -> None:
        pass

    def keeping(self: DbosSagas, *arguments: Any) -> None:
        patch.setattr(arguments[-1], "end_wait", forget)
        init(self, *arguments)

    patch.setattr(DbosSagas, "__init__", keeping)
    for module in (dbos, runs):
        patch.setattr(module, "over", lambda number: "over:")


def runs_the_newest(patch: pytest.MonkeyPatch) -> None:
    init = DbosSagas.__init__

    def newest(self: DbosSagas, *arguments: Any, **named: Any) -> None:
        init(self, *arguments, **named)
        versions: Mapping[tuple[str, int], Saga] = self._sagas
        self._sagas = {key: versions[max(other for other in versions if other[0] == key[0])] for key in versions}

    patch.setattr(DbosSagas, "__init__", newest)


def records_nothing(patch: pytest.MonkeyPatch) -> None:
    """At the replay everything is asked again."""

    async def perform(self: SegmentedRun, call: StepCall) -> StepResult:
        return await self._sagas.performer.perform(call)

    patch.setattr(SegmentedRun, "perform", perform)


def reads_the_clock_again(patch: pytest.MonkeyPatch) -> None:
    """At the replay it is another time."""

    async def now(self: SegmentedRun, step: str) -> Any:
        return self._sagas.clock.now()

    patch.setattr(SegmentedRun, "now", now)


def leaves_alone_what_failed(patch: pytest.MonkeyPatch) -> None:
    async def reopen(self: DbosSagas, saga_id: str) -> bool:
        return saga_id in self._failing

    patch.setattr(DbosSagas, "reopen", reopen)


def begins_what_failed_anew(patch: pytest.MonkeyPatch) -> None:
    """From its first step, as if nothing were done."""
    take_back = EngineRows.take_failure_back

    async def forget(self: EngineRows, saga_id: str) -> bool:
        await self._database.execute("DELETE FROM dbos.operation_outputs WHERE workflow_uuid = $1", saga_id)
        return await take_back(self, saga_id)

    patch.setattr(EngineRows, "take_failure_back", forget)


def named(name: str) -> Mistake:
    mistake: Mistake = globals()[name]
    return mistake
