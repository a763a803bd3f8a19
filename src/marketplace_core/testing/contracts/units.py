"""What every :class:`~marketplace_core.ports.Units` must do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from marketplace_core import calls
from marketplace_core._runtime.failpoints import undoing
from marketplace_core.errors import Conflict, MarketplaceError, Unavailable
from marketplace_core.events import Event, event
from marketplace_core.outbox import Parking
from marketplace_core.ports import KeyParked, UnitOfWork, Units
from marketplace_core.testing.contracts import Happened, eventually
from marketplace_core.testing.contracts.units_machine import IdempotencyRules
from marketplace_core.testing.contracts.units_probe import Answer, Probe, Service, claim, happened, sent, written_in

__all__ = ["Answer", "Probe", "Service", "UnitsContract", "claim", "happened", "sent", "written_in"]


@event("elsewhere.happened", key="thing")
class Elsewhere(Event, frozen=True, kw_only=True):
    """On a topic that the plugin of ``units`` does not declare."""

    thing: str


class UnitsContract(IdempotencyRules):
    """Fixtures: ``units`` of a plugin that emits on the topic ``contract``; ``other_units`` of another one on the same store;
    ``probe``, a :class:`Probe` of that store, and its ``parking``. ``one_writer``: where the store lets one unit write at a
    time, and the others wait. ``examples``: how many the model is tried on.
    """

    # ── run ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_unit_is_all_or_nothing(self, units: Units, probe: Probe) -> None:
        async def work(uow: UnitOfWork) -> str:
            await probe.write(uow, "row")
            uow.emit(Happened(thing="a"))
            uow.enqueue("contract.job")
            return "answer"

        async def fail(uow: UnitOfWork) -> None:
            await work(uow)
            raise ValueError("after the work")

        with pytest.raises(ValueError, match="after the work"):
            await units.run(fail)
        assert (await probe.written(), await probe.outgoing()) == ([], [])
        assert await units.run(work) == "answer"
        assert (await probe.written(), await probe.outgoing()) == (["row"], [Happened.type, "contract.job"])

    async def test_a_commit_that_is_forbidden_is_none(self, units: Units, probe: Probe) -> None:
        """As the runner ``wire`` forbids it, by what :func:`~marketplace_core.ports.gathering.before_commit` raises."""

        async def work(uow: UnitOfWork) -> None:
            await probe.write(uow, "row")
            uow.emit(Happened(thing="a"))

        with undoing(), pytest.raises(Unavailable):
            await units.run(work)
        assert (await probe.written(), await probe.outgoing()) == ([], [])

    async def test_time_stands_still_within_a_unit(self, units: Units, probe: Probe) -> None:
        async def work(uow: UnitOfWork) -> bool:
            first = uow.now
            await asyncio.sleep(0.01)
            return uow.now == first and first.utcoffset() is not None

        assert await units.run(work)

    async def test_after_commit_comes_after_the_commit(self, units: Units, probe: Probe) -> None:
        seen: list[list[str]] = []

        async def look() -> None:
            seen.append(await probe.written())

        async def work(uow: UnitOfWork) -> None:
            uow.after_commit(look)
            await probe.write(uow, "row")

        async def fail(uow: UnitOfWork) -> None:
            await work(uow)
            raise ValueError("no commit")

        with pytest.raises(ValueError, match="no commit"):
            await units.run(fail)
        assert seen == []
        await units.run(work)
        assert seen == [["row"]]

    # ── once ─────────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_repeat_gets_the_stored_answer(self, units: Units, probe: Probe) -> None:
        with calls.scope(calls.Call()) as first:
            assert await units.once(claim(), Answer, _writing(probe, "1")) == Answer("1")
        with calls.scope(calls.Call()) as second:
            assert await units.once(claim(), Answer, _writing(probe, "2")) == Answer("1")
        assert (first.replayed, second.replayed) == (False, True)
        assert await probe.written() == ["1"]

    async def test_keys_are_of_one_caller_and_one_method(self, units: Units, probe: Probe) -> None:
        claims = [claim(), claim("other"), claim(scope="you"), claim(method="other")]
        for number, each in enumerate(claims):
            assert await units.once(each, Answer, _writing(probe, str(number))) == Answer(str(number))
        assert await probe.written() == ["0", "1", "2", "3"]

    async def test_keys_are_of_one_plugin(self, units: Units, other_units: Units, probe: Probe) -> None:
        for mine, text in ((units, "1"), (other_units, "2")):
            assert await mine.stored(claim(), Answer) == (False, None)
            assert await mine.once(claim(), Answer, _writing(probe, text)) == Answer(text)
        assert await units.stored(claim(), Answer) == (True, Answer("1"))
        assert await probe.written() == ["1", "2"]

    @pytest.mark.behaviour("events-5")
    async def test_names_are_the_plugins_and_not_its_packages(self, units: Units, other_units: Units, probe: Probe) -> None:
        """Two plugins in one package answer each other's keys and hear each other's events as little as any two."""
        services = [written_in("acme.reviews")(units, probe), written_in("acme.ratings")(other_units, probe)]
        envelope = happened("a", 1)
        for service, text in zip(services, ("1", "2"), strict=True):
            with calls.scope(calls.Call(key="k")):
                assert await service.add(text) == Answer(text)
            assert await service.on_happened(envelope)
        assert await probe.written() == ["1", "a", "2", "a"]
        assert not await units.apply("on_happened", envelope, _noting(probe, "again"))

    async def test_a_key_used_with_other_arguments_is_refused(self, units: Units, probe: Probe) -> None:
        await units.once(claim(), Answer, _writing(probe, "1"))
        await _refused("idempotency_key_reused", units.once(claim(digest=b"other"), Answer, _writing(probe, "2")))
        await _refused("idempotency_key_reused", units.stored(claim(digest=b"other"), Answer))
        assert await probe.written() == ["1"]

    async def test_a_key_in_use_is_in_flight(self, units: Units, probe: Probe) -> None:
        began, go_on = asyncio.Event(), asyncio.Event()

        async def slow(uow: UnitOfWork) -> Answer:
            await probe.write(uow, "slow")
            began.set()
            await go_on.wait()
            return Answer("slow")

        first = asyncio.create_task(units.once(claim(), Answer, slow))
        await eventually(began.is_set)
        try:
            error = await _refused("idempotency.in_flight", units.once(claim(), Answer, _writing(probe, "second")))
            assert error.retry_after is not None
            assert not error.is_refusal
        finally:
            go_on.set()
            await first
        assert await units.once(claim(), Answer, _writing(probe, "third")) == Answer("slow")
        assert await probe.written() == ["slow"]

    async def test_a_refusal_is_the_answer(self, units: Units, probe: Probe) -> None:
        async def refuse(uow: UnitOfWork) -> Answer:
            await probe.write(uow, "row")
            uow.emit(Happened(thing="a"))
            raise Conflict("http.precondition_failed", "first reason")

        first = await _refused("http.precondition_failed", units.once(claim(), Answer, refuse))
        again = await _refused("http.precondition_failed", units.once(claim(), Answer, _writing(probe, "later")))
        assert (type(again).__name__, again.detail) == ("PreconditionFailed", again.detail)
        assert first.status == again.status
        await _refused("http.precondition_failed", units.stored(claim(), Answer))
        assert (await probe.written(), await probe.outgoing()) == ([], [])

    async def test_a_failure_is_no_answer(self, units: Units, probe: Probe) -> None:
        async def fail(uow: UnitOfWork) -> Answer:
            await probe.write(uow, "row")
            raise Unavailable("a server is away")

        async def crash(uow: UnitOfWork) -> Answer:
            await probe.write(uow, "row")
            raise ZeroDivisionError

        with pytest.raises(Unavailable):
            await units.once(claim(), Answer, fail)
        with pytest.raises(ZeroDivisionError):
            await units.once(claim(), Answer, crash)
        assert await units.stored(claim(), Answer) == (False, None)
        assert await units.once(claim(), Answer, _writing(probe, "at last")) == Answer("at last")
        assert await probe.written() == ["at last"]

    async def test_equal_requests_at_once_have_one_effect(self, units: Units, probe: Probe) -> None:
        async def ask(number: int) -> Answer:
            while True:
                try:
                    return await units.once(claim(), Answer, _writing(probe, str(number)))
                except Conflict as error:
                    assert error.code == "idempotency.in_flight"
                    await asyncio.sleep(0.005)

        for _ in range(5):
            answers = await asyncio.gather(*(ask(number) for number in range(6)))
            assert len(set(answers)) == 1
        written = await probe.written()
        assert written == [answers[0].text]

    async def test_a_crash_before_the_answer_is_sent_repeats_nothing(self, units: Units, probe: Probe) -> None:
        async def crash() -> None:
            raise ConnectionResetError

        async def work(uow: UnitOfWork) -> Answer:
            uow.after_commit(crash)
            await probe.write(uow, "row")
            return Answer("done")

        with pytest.raises(ConnectionResetError):
            await units.once(claim(), Answer, work)
        assert await units.once(claim(), Answer, work) == Answer("done")
        assert await probe.written() == ["row"]

    async def test_a_caller_that_goes_away_leaves_all_or_nothing(self, units: Units, probe: Probe) -> None:
        began = asyncio.Event()

        async def slow(uow: UnitOfWork) -> Answer:
            await probe.write(uow, "first half")
            began.set()
            await asyncio.sleep(0.05)
            await probe.write(uow, "second half")
            return Answer("done")

        task = asyncio.create_task(units.once(claim(), Answer, slow))
        await eventually(began.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while True:
            try:
                assert await units.once(claim(), Answer, slow) == Answer("done")
                break
            except Conflict:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # what nobody waited for has ended, too
        assert await probe.written() == ["first half", "second half"]

    async def test_what_is_stored_can_be_asked_for(self, units: Units, probe: Probe) -> None:
        assert await units.stored(claim(), Answer) == (False, None)
        await units.once(claim(), Answer, _writing(probe, "1"))
        with calls.scope(calls.Call()) as outcome:
            assert await units.stored(claim(), Answer) == (True, Answer("1"))
        assert outcome.replayed

    # ── apply ────────────────────────────────────────────────────────────────────────────────────────────

    async def test_an_event_is_applied_once(self, units: Units, probe: Probe) -> None:
        envelope = happened("a", 1)
        applied = await asyncio.gather(*(units.apply("on", envelope, _noting(probe, "1")) for _ in range(4)))
        assert sorted(applied) == [False, False, False, True]
        assert await probe.written() == ["1"]

    async def test_only_a_greater_sequence_applies(self, units: Units, probe: Probe) -> None:
        order = [("a", 1), ("a", 3), ("a", 2), ("a", 3), ("a", 4), ("b", 1)]
        applied = [await units.apply("on", happened(*e), _noting(probe, f"{e[0]}{e[1]}")) for e in order]
        assert applied == [True, True, False, False, True, True]
        assert await probe.written() == ["a1", "a3", "a4", "b1"]

    async def test_handlers_do_not_share_what_they_saw(self, units: Units, probe: Probe) -> None:
        envelope = happened("a", 1)
        assert await units.apply("one", envelope, _noting(probe, "one"))
        assert await units.apply("two", envelope, _noting(probe, "two"))
        assert await probe.written() == ["one", "two"]

    async def test_plugins_do_not_share_what_they_saw(self, units: Units, other_units: Units, probe: Probe) -> None:
        assert await units.apply("on", happened("a", 2), _noting(probe, "one"))
        assert await other_units.apply("on", happened("a", 1), _noting(probe, "other"))
        assert await probe.written() == ["one", "other"]

    async def test_writers_do_not_hide_each_others_events(self, units: Units, probe: Probe) -> None:
        """Of one key: each counts for itself, whoever came first."""
        order = [("one", 5), ("two", 1), ("two", 5), ("one", 5), ("two", 5), ("one", 4), ("two", 4), ("one", 6), ("two", 6)]
        applied = [
            await units.apply("on", happened("a", sequence, writer=writer), _noting(probe, f"{writer} {sequence}"))
            for writer, sequence in order
        ]
        assert applied == [True, True, True, False, False, False, False, True, True]
        assert await probe.written() == ["one 5", "two 1", "two 5", "one 6", "two 6"]

    async def test_what_bears_no_writer_is_of_whoever_wrote_the_key(self, units: Units, probe: Probe) -> None:
        """As releases before writers sent it: neither is it applied again when it comes with its writer, nor hidden."""
        order = [("", 1), ("one", 1), ("one", 2), ("", 2), ("", 3), ("one", 3), ("one", 4)]
        applied = [
            await units.apply("on", happened("a", sequence, writer=writer), _noting(probe, f"{writer} {sequence}"))
            for writer, sequence in order
        ]
        assert applied == [True, False, True, False, True, False, True]

    async def test_a_plugin_emits_on_its_own_topics(self, units: Units, probe: Probe) -> None:
        """Those that it declares: so that it is seen at assembly when two databases would emit on one."""

        async def work(uow: UnitOfWork) -> None:
            await probe.write(uow, "row")
            uow.emit(Elsewhere(thing="a"))

        with pytest.raises(ValueError, match=r"info\(\)\.emits"):
            await units.run(work)
        assert (await probe.written(), await probe.outgoing()) == ([], [])

    async def test_a_handler_that_fails_has_applied_nothing(self, units: Units, probe: Probe) -> None:
        async def fail(uow: UnitOfWork) -> None:
            await probe.write(uow, "half")
            raise ValueError("bad event")

        envelope = happened("a", 1)
        with pytest.raises(ValueError, match="bad event"):
            await units.apply("on", envelope, fail)
        assert await units.apply("on", envelope, _noting(probe, "whole"))
        assert await probe.written() == ["whole"]

    async def test_a_parked_key_waits(self, units: Units, probe: Probe, parking: Parking) -> None:
        await units.apply("on", happened("a", 1), _noting(probe, "a1"))
        await parking.park(units.qualified("on"), sent(happened("a", 2)), "ValueError: bad", 5)
        for sequence in (2, 3):
            with pytest.raises(KeyParked):
                await units.apply("on", happened("a", sequence), _noting(probe, f"a{sequence}"))
        assert not await units.apply("on", happened("a", 1), _noting(probe, "again"))
        assert await units.apply("on", happened("b", 1), _noting(probe, "b1"))
        assert await units.apply("other", happened("a", 3), _noting(probe, "other"))
        assert await probe.written() == ["a1", "b1", "other"]

    async def test_what_a_handler_emits_leaves_with_its_unit(self, units: Units, probe: Probe) -> None:
        async def work(uow: UnitOfWork) -> None:
            uow.emit(Happened(thing="derived"))

        envelope = happened("a", 1)
        await units.apply("on", envelope, work)
        await units.apply("on", envelope, work)
        assert await probe.outgoing() == [Happened.type]


def _writing(probe: Probe, text: str) -> Callable[[UnitOfWork], Awaitable[Answer]]:
    async def work(uow: UnitOfWork) -> Answer:
        await probe.write(uow, text)
        return Answer(text)

    return work


def _noting(probe: Probe, text: str) -> Callable[[UnitOfWork], Awaitable[None]]:
    async def work(uow: UnitOfWork) -> None:
        await probe.write(uow, text)

    return work


async def _refused(code: str, call: Awaitable[object]) -> MarketplaceError:
    with pytest.raises(MarketplaceError) as caught:
        await call
    assert caught.value.code == code
    return caught.value
