"""What a saga's context must do on every engine."""

from __future__ import annotations

import asyncio

from marketplace_core.testing.contracts import eventually, together
from marketplace_core.testing.contracts.clock import MovableClock
from marketplace_core.testing.contracts.sagas_acts import (
    GIVEN_UP,
    MENDED,
    SAGAS,
    STARTS,
    Acts,
    ActsProbe,
    Answered,
    Began,
    SagaRunner,
    StartRunner,
    hurried,
    mistaken,
    new,
    old,
    refusing,
    regretted,
    straight,
    timed,
    undone,
    waiting,
)
from marketplace_core.testing.contracts.sagas_machine import PlanRules

__all__ = ["SAGAS", "Acts", "ActsProbe", "Answered", "Began", "SagaContract", "SagaRunner", "StartRunner"]


class SagaContract(PlanRules):
    """Fixtures: ``runner``, a :class:`SagaRunner` of :data:`SAGAS`; ``acts``, a probe of the port that it calls; ``clock``, on
    which it runs; ``start_runner``, a :data:`StartRunner`.
    """

    async def test_calls_are_made_in_order_with_their_answers(self, runner: SagaRunner, acts: ActsProbe) -> None:
        await runner.start(straight, Began(id="s1", things=("b", "c")))
        await _ends(runner, "s1", "done")
        assert await acts.done("s1") == ["do first", "do first!", "do b", "do c", "do b!+c!"]

    async def test_each_call_has_its_own_key(self, runner: SagaRunner, acts: ActsProbe) -> None:
        await runner.start(straight, Began(id="s1", things=("b", "c")))
        await runner.start(straight, Began(id="s2", things=("b", "c")))
        await _ends(runner, "s1", "done")
        await _ends(runner, "s2", "done")
        keys = [key for id_ in ("s1", "s2") for act in ("do first", "do b", "do c") for key in await acts.keys(id_, act)]
        assert len(set(keys)) == len(keys) == 6
        assert all(keys)

    async def test_one_id_begins_once(self, runner: SagaRunner, acts: ActsProbe) -> None:
        for _ in range(3):
            await runner.start(straight, Began(id="s1"))
        await _ends(runner, "s1", "done")
        await runner.start(straight, Began(id="s1"))
        await runner.start(straight, Began(id="s2"))
        await _ends(runner, "s2", "done")
        assert await acts.done("s1") == ["do first", "do first!", "do "]

    async def test_a_refusal_undoes_in_reverse(self, runner: SagaRunner, acts: ActsProbe) -> None:
        await acts.fail("s1", "do d", "refuse")
        await runner.start(undone, Began(id="s1"))
        await _ends(runner, "s1", "refused")
        done = ["do a", "do b", "do c", "do kept", "undo c", "undo b", "undo a", "give_up http.precondition_failed"]
        assert await acts.done("s1") == done

    async def test_a_saga_may_refuse_by_itself(self, runner: SagaRunner, acts: ActsProbe) -> None:
        await runner.start(refusing, Began(id="s1"))
        await _ends(runner, "s1", "refused")
        assert await acts.done("s1") == ["do a", "undo a", "give_up http.precondition_failed"]

    async def test_what_is_unknown_is_asked_again_by_the_same_key(self, runner: SagaRunner, acts: ActsProbe) -> None:
        await acts.fail("s1", "do b", "lose", 1)
        await acts.fail("s1", "do d", "lose_after", 1)
        await runner.start(undone, Began(id="s1"))
        await _ends(runner, "s1", "done")
        assert await acts.done("s1") == ["do a", "do b", "do c", "do kept", "do d", "do e"]
        for act in ("do b", "do d"):
            keys = await acts.keys("s1", act)
            assert len(keys) == 2
            assert keys[0] == keys[1] != ""

    async def test_a_call_has_its_own_time_and_pauses(self, runner: SagaRunner, acts: ActsProbe) -> None:
        """What takes longer is unknown, and asked again by the same key; five tries come within the pauses that it names."""
        await acts.fail("s1", "do a", "hang")
        await acts.fail("s1", "do b", "lose")
        await acts.fail("s2", "do a", "lose", 5)
        await runner.start(hurried, Began(id="s1"))
        await runner.start(hurried, Began(id="s2"))
        await eventually(lambda: _has(acts, "s2", ["do a", "do b"]), within=5)
        await _ends(runner, "s1", "done")
        assert await acts.done("s1") == ["do a", "do b"]
        keys = await acts.keys("s1", "do a")
        assert len(keys) >= 2
        assert len(set(keys)) == 1

    async def test_an_undo_that_is_unknown_is_asked_again(self, runner: SagaRunner, acts: ActsProbe) -> None:
        await acts.fail("s1", "do d", "refuse")
        await acts.fail("s1", "undo b", "lose", 1)
        await acts.fail("s1", "undo a", "lose_after", 1)
        await runner.start(undone, Began(id="s1"))
        await _ends(runner, "s1", "refused")
        assert (await acts.done("s1"))[4:] == ["undo c", "undo b", "undo a", "give_up http.precondition_failed"]

    async def test_after_the_pivot_a_refusal_waits_for_a_person(self, runner: SagaRunner, acts: ActsProbe) -> None:
        await acts.fail("s1", "do e", "refuse", 2)
        await runner.start(undone, Began(id="s1"))
        for tries in (1, 2):
            await _ends(runner, "s1", "waiting")
            assert (await acts.done("s1"))[-1] == "do d"
            assert len(await acts.keys("s1", "do e")) == tries
            assert await runner.retry("s1")
            await eventually(lambda tries=tries: _tried(acts, "s1", "do e", tries + 1))  # type: ignore[misc]
        await _ends(runner, "s1", "done")
        assert (await acts.done("s1"))[-2:] == ["do d", "do e"]
        assert not await runner.retry("s1")

    async def test_an_undo_that_is_refused_waits_for_a_person(self, runner: SagaRunner, acts: ActsProbe) -> None:
        await acts.fail("s1", "do d", "refuse")
        await acts.fail("s1", "undo c", "refuse")
        await runner.start(undone, Began(id="s1"))
        await _ends(runner, "s1", "waiting")
        assert (await acts.done("s1"))[-1] == "do kept"
        assert await runner.retry("s1")
        await _ends(runner, "s1", "refused")
        assert (await acts.done("s1"))[4:] == ["undo c", "undo b", "undo a", "give_up http.precondition_failed"]

    async def test_a_person_may_compensate_after_the_pivot(self, runner: SagaRunner, acts: ActsProbe) -> None:
        await acts.fail("s1", "do e", "refuse", 2)
        await acts.fail("s1", "undo b", "lose", 1)
        await runner.start(undone, Began(id="s1"))
        await _ends(runner, "s1", "waiting")
        assert await runner.retry("s1")
        await eventually(lambda: _tried(acts, "s1", "do e", 2))
        await _ends(runner, "s1", "waiting")
        assert await runner.compensate("s1")
        await _ends(runner, "s1", "refused")
        assert (await acts.done("s1"))[4:] == ["do d", "undo d", "undo c", "undo b", "undo a", GIVEN_UP]

    async def test_what_is_done_after_the_pivot_is_compensated_too(
        self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock
    ) -> None:
        await runner.start(regretted, Began(id="s1", until=clock.after(-1)))
        await _ends(runner, "s1", "waiting")
        assert await runner.compensate("s1")
        await _ends(runner, "s1", "refused")
        assert await acts.done("s1") == ["do a", "do b", "undo b", "undo a", GIVEN_UP]

    async def test_what_a_saga_refuses_after_the_pivot_waits_for_a_person(
        self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock
    ) -> None:
        """Nothing can be tried again: it stays so until that one compensates."""
        await runner.start(regretted, Began(id="s1", until=clock.after(-1)))
        for _ in range(2):
            await _ends(runner, "s1", "waiting")
            assert await acts.done("s1") == ["do a", "do b"]
            assert await runner.retry("s1")
        await eventually(lambda: runner.compensate("s1"))
        await _ends(runner, "s1", "refused")

    async def test_who_compensates_twice_compensates_once(self, runner: SagaRunner, acts: ActsProbe) -> None:
        """The second is no word about an undo that is refused because of the first."""
        await acts.fail("s1", "do e", "refuse")
        await acts.fail("s1", "undo c", "refuse")
        await runner.start(undone, Began(id="s1"))
        await _ends(runner, "s1", "waiting")
        await together(runner.compensate("s1"), runner.compensate("s1"))
        await eventually(lambda: _tried(acts, "s1", "undo c", 1))
        await _ends(runner, "s1", "waiting")
        assert (await acts.done("s1"))[4:] == ["do d", "undo d"]
        assert await runner.retry("s1")
        await _ends(runner, "s1", "refused")
        assert (await acts.done("s1"))[6:] == ["undo c", "undo b", "undo a", GIVEN_UP]

    async def test_a_person_may_leave_an_undo_out(self, runner: SagaRunner, acts: ActsProbe) -> None:
        """And an act at the refusal. Why everything is undone stays what it was."""
        await acts.fail("s1", "do d", "refuse")
        await acts.fail("s1", "undo c", "refuse", 2)
        await runner.start(undone, Began(id="s1"))
        await _ends(runner, "s1", "waiting")
        assert await runner.retry("s1")
        await eventually(lambda: _tried(acts, "s1", "undo c", 2))
        await _ends(runner, "s1", "waiting")
        assert await runner.compensate("s1")
        await _ends(runner, "s1", "refused")
        assert (await acts.done("s1"))[4:] == ["undo b", "undo a", "give_up http.precondition_failed"]

    async def test_a_saga_that_waits_for_a_signal_may_be_compensated(
        self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock
    ) -> None:
        await runner.start(regretted, Began(id="s1", until=clock.after(3600)))
        await eventually(lambda: runner.compensate("s1"))
        await _ends(runner, "s1", "refused")
        assert await acts.done("s1") == ["do a", "undo a", GIVEN_UP]
        assert not await runner.compensate("s1")

    async def test_who_does_not_wait_cannot_be_compensated(self, runner: SagaRunner, acts: ActsProbe) -> None:
        assert not await runner.compensate("nobody")
        await runner.start(straight, Began(id="s1"))
        await _ends(runner, "s1", "done")
        assert not await runner.compensate("s1")
        assert await acts.done("s1") == ["do first", "do first!", "do "]

    async def test_a_signal_ends_a_wait(self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock) -> None:
        await runner.start(waiting, Began(id="s1", until=clock.after(3600)))
        assert await runner.signal(Answered(id="s1", text="yes"), "1")
        await eventually(lambda: _has(acts, "s1", ["do yes"]))
        await runner.signal(Answered(id="s1", text="really"), "2")
        await _ends(runner, "s1", "done")
        assert await acts.done("s1") == ["do yes", "do really"]

    async def test_a_signal_counts_once(self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock) -> None:
        await runner.start(waiting, Began(id="s1", until=clock.after(3600)))
        for _ in range(3):
            await runner.signal(Answered(id="s1", text="yes"), "same")
        await eventually(lambda: _has(acts, "s1", ["do yes"]))
        await runner.signal(Answered(id="s1", text="yes"), "same")
        await runner.signal(Answered(id="s1", text="other"), "other")
        await _ends(runner, "s1", "done")
        assert await acts.done("s1") == ["do yes", "do other"]

    async def test_nobody_hears_a_signal_to_no_saga(self, runner: SagaRunner) -> None:
        assert not await runner.signal(Answered(id="nobody", text="yes"), "1")

    async def test_a_deadline_is_by_the_deployments_clock(
        self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock
    ) -> None:
        await runner.start(waiting, Began(id="s1", until=clock.after(3600)))
        await runner.start(timed, Began(id="s2"))
        await eventually(lambda: _count(acts, "s2", 1))
        assert await acts.done("s1") == []
        await clock.advance(3601)
        await eventually(lambda: _has(acts, "s1", ["do no answer"]))
        await _ends(runner, "s2", "done")
        assert (await acts.done("s2"))[-1] == "do True"
        await clock.advance(86_400)
        await _ends(runner, "s1", "done")
        assert await acts.done("s1") == ["do no answer", "do no second answer"]

    async def test_a_deadline_that_is_past_has_no_claim_on_the_next_wait(
        self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock
    ) -> None:
        await runner.start(waiting, Began(id="s1", until=clock.after(3600)))
        await runner.signal(Answered(id="s1", text="in time"), "1")
        await eventually(lambda: _has(acts, "s1", ["do in time"]))
        await clock.advance(3601)  # the first deadline
        await runner.start(straight, Began(id="s2"))
        await _ends(runner, "s2", "done")
        await asyncio.sleep(1)  # long enough for a claim to be made
        assert await runner.status("s1") == "running"
        await runner.signal(Answered(id="s1", text="in time too"), "2")
        await _ends(runner, "s1", "done")
        assert await acts.done("s1") == ["do in time", "do in time too"]

    async def test_versions_run_side_by_side(self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock) -> None:
        await runner.start(old, Began(id="s1", until=clock.after(3600)))
        await runner.start(new, Began(id="s2", until=clock.after(3600)))
        for id_ in ("s1", "s2"):
            await runner.signal(Answered(id=id_, text=""), "1")
            await _ends(runner, id_, "done")
        assert await acts.done("s1") == ["do old begins", "do old ends"]
        assert await acts.done("s2") == ["do new"]

    async def test_what_failed_goes_on_where_it_did(self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock) -> None:
        """Under its id, so that nothing is done by another key, and what was said to it meanwhile is heard."""
        MENDED.discard("s1")
        await runner.start(mistaken, Began(id="s1", until=clock.after(3600)))
        await _ends(runner, "s1", "failed")
        assert await acts.done("s1") == ["do a"], "nothing is undone"
        assert await runner.signal(Answered(id="s1", text="heard"), "1")
        MENDED.add("s1")
        assert await runner.retry("s1")
        await _ends(runner, "s1", "done")
        assert await acts.done("s1") == ["do a", "do heard"]
        assert len(await acts.keys("s1", "do a")) == 1, "what was answered is not asked again"
        assert not await runner.retry("s1")
        assert not await runner.retry("nobody")

    async def test_what_fails_again_can_be_tried_again(self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock) -> None:
        MENDED.discard("s1")
        await runner.start(mistaken, Began(id="s1", until=clock.after(-1)))
        for _ in range(2):
            await _ends(runner, "s1", "failed")
            assert await runner.retry("s1")
        MENDED.add("s1")

        async def done() -> bool:  # the last retry may have met the mistake, or not
            status = await runner.status("s1")
            if status == "failed":
                await runner.retry("s1")
            return status == "done"

        await eventually(done)
        assert await acts.done("s1") == ["do a", "do no answer"]

    async def test_what_failed_may_be_compensated(self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock) -> None:
        """Though it fails still. An undo that waits for a person waits as any other does."""
        MENDED.discard("s1")
        await acts.fail("s1", "undo a", "refuse")
        await runner.start(mistaken, Began(id="s1", until=clock.after(3600)))
        await _ends(runner, "s1", "failed")
        assert await runner.compensate("s1")
        await _ends(runner, "s1", "waiting")
        assert await runner.retry("s1")
        await _ends(runner, "s1", "refused")
        assert await acts.done("s1") == ["do a", "undo a", GIVEN_UP]
        assert len(await acts.keys("s1", "do a")) == 1, "what was answered is not asked again"
        assert not await runner.compensate("s1")

    async def test_what_is_mended_meanwhile_goes_on(self, runner: SagaRunner, acts: ActsProbe, clock: MovableClock) -> None:
        """Where it waits it can be compensated as any other."""
        MENDED.discard("s1")
        await runner.start(mistaken, Began(id="s1", until=clock.after(3600)))
        await _ends(runner, "s1", "failed")
        MENDED.add("s1")
        assert await runner.compensate("s1")
        await eventually(lambda: runner.compensate("s1"))
        await _ends(runner, "s1", "refused")
        assert await acts.done("s1") == ["do a", "undo a", GIVEN_UP]

    async def test_a_killed_process_is_taken_over_where_it_was(
        self, acts: ActsProbe, start_runner: StartRunner, clock: MovableClock
    ) -> None:
        """What was answered before the saga last asked for the time, or waited, is not asked again, and gives the same at the
        replay. What was being asked is, by the same key; and so may be what was asked since then."""
        await acts.fail("s1", "do b", "hang")
        async with start_runner("s1") as process:
            await eventually(lambda: process.seen == ["hangs"], within=STARTS)
            assert len(await acts.done("s1")) == 3
            await process.kill()
        await clock.advance(3600)
        async with start_runner("s1") as process:
            await eventually(lambda: _count(acts, "s1", 4), within=STARTS)
            await eventually(lambda: process.seen == ["done"], within=STARTS)
        first, *done = await acts.done("s1")
        assert [act.split()[1] for act in done] == ["a", "b", "c"]
        assert len({act.split()[2] for act in done}) == 1
        keys = [await acts.keys("s1", act) for act in (first, *done)]
        assert [len(set(each)) for each in keys] == [1, 1, 1, 1]
        assert [len(each) for each in keys] in ([1, 1, 2, 1], [1, 2, 2, 1])


async def _ends(runner: SagaRunner, saga_id: str, status: str) -> None:
    async def is_so() -> bool:
        return await runner.status(saga_id) == status

    await eventually(is_so)


async def _has(acts: ActsProbe, saga_id: str, done: list[str]) -> bool:
    return await acts.done(saga_id) == done


async def _count(acts: ActsProbe, saga_id: str, count: int) -> bool:
    return len(await acts.done(saga_id)) >= count


async def _tried(acts: ActsProbe, saga_id: str, act: str, tries: int) -> bool:
    return len(await acts.keys(saga_id, act)) >= tries
