"""What :class:`~marketplace_core.ports.ProjectionUnits` must do over any store that keeps an inbox, with the deliverer."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping

import msgspec
import pytest

from marketplace_core import outbox
from marketplace_core.errors import Unavailable
from marketplace_core.events import Envelope
from marketplace_core.outbox import Deliverer
from marketplace_core.ports import Delivery, Parked, Parking, ProjectionUnits, Source, Subscription, UnitOfWork
from marketplace_core.ports import handler as handles
from marketplace_core.testing.contracts import Happened
from marketplace_core.testing.contracts.parking import unread
from marketplace_core.testing.contracts.units_probe import claim, happened, sent

__all__ = ["NAME", "Index", "ProjectionContract"]

NAME = "contract.on_happened"


class Index(ABC):
    """A projection: it takes all that it is told, in turn."""

    @abstractmethod
    async def put(self, text: str) -> None: ...

    @abstractmethod
    async def written(self) -> list[str]:
        """All of it, in the order in which it came."""


class Service:
    """Writes ``<thing><note>`` of each event; fails on what stands in ``bad``, finds the index away for ``away_for``."""

    def __init__(self, units: ProjectionUnits, index: Index, *bad: str) -> None:
        self.units, self.index, self.bad = units, index, set(bad)
        self.away_for: set[str] = set()
        self.sources: list[tuple[int, Source]] = []

    @handles(Happened)
    async def on_happened(self, uow: UnitOfWork, event: Happened) -> None:
        unit, text = ProjectionUnits.on(uow), event.thing + event.note
        self.sources.append((unit.sequence, unit.source))
        if text in self.bad:
            raise ValueError(f"bad event {text}")
        if text in self.away_for:
            raise Unavailable()
        await self.index.put(text)

    @handles(Happened)
    async def on_other(self, uow: UnitOfWork, event: Happened) -> None:
        await self.on(uow, f"other {event.thing}{event.note}")

    async def on(self, uow: UnitOfWork, text: str) -> None:
        if text in self.bad:
            raise ValueError(f"bad event {text}")
        await self.index.put(text)

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        methods = {NAME: self.on_happened, "contract.on_other": self.on_other}
        return {name: Subscription(name, (Happened.type,), method) for name, method in methods.items()}


def _event(thing: str, sequence: int, writer: str = "") -> Envelope:
    """The same at each delivery; its note is its number."""
    envelope = happened(thing, sequence, f"{writer}{sequence}", writer=writer)
    return msgspec.structs.replace(envelope, id=f"{thing}-{writer}-{sequence}")


class ProjectionContract:
    """Fixtures: ``units`` of a plugin that calls itself ``contract``, on ``parking``; and an :class:`Index`, ``index``."""

    @pytest.fixture(autouse=True)
    def _at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(outbox, "RETRY_PAUSES", (0.001,))
        monkeypatch.setattr(outbox, "AWAY_PAUSE", 0.001)

    async def test_the_work_is_told_where_its_event_stands(self, units: ProjectionUnits, index: Index) -> None:
        service = Service(units, index)
        assert await service.on_happened(_event("a", 3, "w"))
        assert service.sources == [(3, Source("contract", "a", "w"))]

        async def of_no_event(uow: UnitOfWork) -> str:
            assert uow.now.utcoffset() is not None
            with pytest.raises(LookupError):
                _ = ProjectionUnits.on(uow).sequence
            return "answer"

        assert await units.run(of_no_event) == "answer"

    async def test_only_a_greater_sequence_applies(self, units: ProjectionUnits, index: Index) -> None:
        service = Service(units, index)
        order = [_event("a", 1), _event("a", 3), _event("a", 2), _event("a", 3), _event("a", 4), _event("b", 1)]
        assert [await service.on_happened(each) for each in order] == [True, True, False, False, True, True]
        assert await index.written() == ["a1", "a3", "a4", "b1"]

    async def test_handlers_and_writers_count_for_themselves(self, units: ProjectionUnits, index: Index) -> None:
        service = Service(units, index)
        for event in (_event("a", 5, "v"), _event("a", 2, "w"), _event("a", 1, "w"), _event("a", 5, "v")):
            await service.on_happened(event)
        await service.on_other(_event("a", 1, "w"))
        assert await index.written() == ["av5", "aw2", "other aw1"]

    async def test_what_failed_has_not_been_seen(self, units: ProjectionUnits, index: Index) -> None:
        service = Service(units, index, "a1")
        with pytest.raises(ValueError, match="bad event a1"):
            await service.on_happened(_event("a", 1))
        service.bad.clear()
        assert await service.on_happened(_event("a", 1))
        assert await index.written() == ["a1"]

    async def test_a_crash_after_the_work_repeats_it(self, units: ProjectionUnits, index: Index) -> None:
        """It was written and not noted: done again, not forgotten. So what follows a work follows its note."""
        told: list[str] = []

        async def killed(uow: UnitOfWork) -> None:
            async def tell() -> None:
                told.append("told")

            uow.after_commit(tell)
            await index.put("written")
            if not told and len(await index.written()) == 1:
                raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await units.apply("on_happened", _event("a", 1), killed)
        assert told == []
        assert await units.apply("on_happened", _event("a", 1), killed)
        assert (await index.written(), told) == (["written", "written"], ["told"])

    async def test_it_has_no_outbox_and_keeps_no_answers(self, units: ProjectionUnits, index: Index) -> None:
        async def emits(uow: UnitOfWork) -> None:
            uow.emit(Happened(thing="a"))

        async def enqueues(uow: UnitOfWork) -> None:
            uow.enqueue("contract.job")

        for work in (emits, enqueues):
            with pytest.raises(TypeError, match="outbox"):
                await units.apply("on_happened", _event("a", 1), work)
        with pytest.raises(TypeError, match="@natural"):
            await units.once(claim(), str, _nothing)
        with pytest.raises(TypeError, match="@natural"):
            await units.stored(claim(), str)

    # ── what fails ───────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_failure_is_put_aside_and_its_key_goes_on(
        self, units: ProjectionUnits, parking: Parking, index: Index
    ) -> None:
        service = Service(units, index, "a2", "b1")
        await _deliver(service, parking, ("a", 1), ("a", 2), ("b", 1))
        assert await index.written() == ["a1"]
        assert [(parked.key, parked.sequence) for parked in await parking.list([NAME])] == [
            ("contract:a", 2),
            ("contract:b", 1),
        ]
        await _deliver(service, parking, ("a", 3), ("b", 1), ("c", 1))
        assert await index.written() == ["a1", "a3", "c1"]

    async def test_a_later_event_of_the_key_takes_it_off_the_list(
        self, units: ProjectionUnits, parking: Parking, index: Index
    ) -> None:
        """Of that key, that handler and that writer only."""
        service = Service(units, index, "aw1", "aw2", "bw1", "av1", "other aw1")
        await _deliver(service, parking, ("a", 1, "w"), handlers=_BOTH)
        await _deliver(service, parking, ("a", 2, "w"), ("b", 1, "w"), ("a", 1, "v"), ("a", 3, "w"))
        left = [(parked.handler, parked.key.split("@")[0], parked.sequence) for parked in await parking.list(_BOTH)]
        assert sorted(left) == [(NAME, "contract:a", 1), (NAME, "contract:b", 1), (_BOTH[1], "contract:a", 1)]
        assert await index.written() == ["aw3"]

    async def test_a_replay_applies_what_nothing_has_superseded(
        self, units: ProjectionUnits, parking: Parking, index: Index
    ) -> None:
        service, head = await _parked(units, parking, index)
        service.bad.clear()
        assert await parking.request(head.id, drop=False)
        assert await parking.release(service.subscriptions) == 1
        assert (await index.written(), await parking.list([NAME])) == (["a1", "a2"], [])
        await _deliver(service, parking, ("a", 2), ("a", 3))
        assert await index.written() == ["a1", "a2", "a3"]

    async def test_a_replay_overwrites_nothing_newer(self, units: ProjectionUnits, parking: Parking, index: Index) -> None:
        """Though it was asked for before the newer one came; nor does the old one when it is delivered again."""
        service, head = await _parked(units, parking, index)
        service.bad.clear()
        await parking.request(head.id, drop=False)
        await _deliver(service, parking, ("a", 3))
        await parking.release(service.subscriptions)
        await _deliver(service, parking, ("a", 2))
        assert (await index.written(), await parking.list([NAME])) == (["a1", "a3"], [])
        assert not await parking.request(head.id, drop=False)

    async def test_a_later_failure_stays_when_an_earlier_one_is_replayed(
        self, units: ProjectionUnits, parking: Parking, index: Index
    ) -> None:
        service = Service(units, index, "a2", "a3")
        await _deliver(service, parking, ("a", 1), ("a", 2), ("a", 3))
        (head,) = await parking.list([NAME])
        assert (head.sequence, head.waiting) == (2, 1)
        service.bad = {"a3"}
        await parking.request(head.id, drop=False)
        assert await parking.release(service.subscriptions) == 1
        (left,) = await parking.list([NAME])
        assert (left.sequence, left.waiting) == (3, 0)
        await _deliver(service, parking, ("a", 4))
        assert (await index.written(), await parking.list([NAME])) == (["a1", "a2", "a4"], [])

    async def test_a_drop_leaves_one_out(self, units: ProjectionUnits, parking: Parking, index: Index) -> None:
        service, head = await _parked(units, parking, index)
        service.bad.clear()
        await parking.request(head.id, drop=True)
        assert await parking.release(service.subscriptions) == 1
        await _deliver(service, parking, ("a", 2), ("a", 3), ("a", 2))
        assert (await index.written(), await parking.list([NAME])) == (["a1", "a3"], [])

    async def test_who_is_away_is_not_at_fault(self, units: ProjectionUnits, parking: Parking, index: Index) -> None:
        """An index that is away for a while misses nothing, and no person is asked; nor does a later event wait for it."""
        service = Service(units, index)
        service.away_for = {"a2", "b1"}
        await _deliver(service, parking, ("a", 1), ("a", 2), ("b", 1))
        service.away_for.clear()
        await _deliver(service, parking, ("b", 2))
        while await parking.backlog([NAME]):
            await parking.release(service.subscriptions)
            await asyncio.sleep(0.05)
        assert (await index.written(), await parking.list([NAME])) == (["a1", "b2", "a2"], [])


_BOTH = (NAME, "contract.on_other")


async def _nothing(uow: UnitOfWork) -> str:
    return ""


async def _deliver(
    service: Service, parking: Parking, *events: tuple[str, int] | tuple[str, int, str], handlers: tuple[str, ...] = (NAME,)
) -> None:
    """As the worker does."""
    subscriptions = [service.subscriptions[name] for name in handlers]
    deliverer = Deliverer("contract", subscriptions, parking, unread)
    for event in events:
        envelope = _event(*event)
        await deliverer.deliver(Delivery(envelope.topic, 0, "1-0", sent(envelope)))


async def _parked(units: ProjectionUnits, parking: Parking, index: Index) -> tuple[Service, Parked]:
    """``a1`` is applied and ``a2`` put aside."""
    service = Service(units, index, "a2")
    await _deliver(service, parking, ("a", 1), ("a", 2))
    (head,) = await parking.list([NAME])
    return service, head
