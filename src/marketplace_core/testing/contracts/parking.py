"""What every :class:`~marketplace_core.outbox.Parking` must do, together with its store's units and the deliverer."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import pytest

from marketplace_core import outbox
from marketplace_core.errors import Unavailable
from marketplace_core.events import Envelope, Unreadable
from marketplace_core.outbox import Deliverer, Parked, Parking, Subscription
from marketplace_core.ports import Delivery, KeyParked, Message, RawMessage, UnitOfWork, Units
from marketplace_core.testing.contracts import Happened, eventually, running
from marketplace_core.testing.contracts.units import Probe, happened, sent, written_in

__all__ = ["NAME", "ParkingContract"]

NAME = "contract.on_happened"


class Handler:
    """Writes ``<thing><sequence>`` of each event; fails on what stands in ``bad``, finds somebody away for ``away_for``."""

    def __init__(self, units: Units, probe: Probe, *bad: str) -> None:
        self._units, self._probe, self.bad = units, probe, set(bad)
        self.away = False
        self.away_for: set[str] = set()
        self.tried: list[str] = []

    async def __call__(self, envelope: Envelope) -> bool:
        name = f"{envelope.key}{envelope.sequence}"
        self.tried.append(name)

        async def work(uow: UnitOfWork) -> None:
            await self._probe.write(uow, name)
            if self.away or name in self.away_for:
                raise Unavailable()
            if name in self.bad:
                raise ValueError(f"bad event {name}")

        return await self._units.apply("on_happened", envelope, work)

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        return {NAME: Subscription(NAME, (Happened.type,), self)}


class ParkingContract:
    """Fixtures: ``parking``, ``units`` of a plugin that calls itself ``contract``, and ``probe``, all of one store."""

    async def test_a_failing_key_is_parked_and_others_go_on(
        self, parking: Parking, units: Units, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox, "RETRY_PAUSES", (0.001, 0.001))
        handler = Handler(units, probe, "a2")
        deliverer = Deliverer("contract", list(handler.subscriptions.values()), parking, unread)
        for thing, sequence in [("a", 1), ("a", 2), ("a", 3), ("b", 1), ("a", 4)]:
            await deliverer.deliver(_delivery(happened(thing, sequence)))
        assert await probe.written() == ["a1", "b1"]
        (parked,) = await parking.list([NAME])
        assert (parked.handler, parked.type, parked.sequence, parked.waiting) == (NAME, Happened.type, 2, 2)
        assert (parked.key, parked.error, parked.attempts) == ("contract:a", "ValueError: bad event a2", 3)

    @pytest.mark.behaviour("events-5")
    async def test_what_is_parked_is_found_by_the_plugins_name(
        self, parking: Parking, units: Units, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """In whatever package its code stands: else the key is free, and its replay empties the list and applies nothing."""
        monkeypatch.setattr(outbox, "RETRY_PAUSES", ())
        service = written_in("acme_x")(units, probe)
        service.bad = {"a1"}
        subscription = Subscription(NAME, (Happened.type,), service.on_happened)
        deliverer = Deliverer("contract", [subscription], parking, unread)
        for sequence in (1, 2):
            await deliverer.deliver(_delivery(happened("a", sequence, str(sequence))))
        assert await probe.written() == []
        (head,) = await parking.list([NAME])
        assert (head.sequence, head.waiting) == (1, 1)
        service.bad.clear()
        await parking.request(head.id, drop=False)
        assert await parking.release({NAME: subscription}) == 2
        assert (await probe.written(), await parking.list([NAME])) == (["a1", "a2"], [])

    # ── what cannot be read ──────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("events-5")
    async def test_an_envelope_that_cannot_be_read_waits_with_its_key(
        self, parking: Parking, units: Units, probe: Probe
    ) -> None:
        """Also behind one that waits already, and however often it is delivered. To try it again at once is in vain."""
        handler = Handler(units, probe)
        deliverer = Deliverer("contract", list(handler.subscriptions.values()), parking, unread)
        cut = _cut(happened("a", 2))
        for _ in range(2):
            for delivery in (_delivery(happened("a", 1)), cut, _delivery(_known("a", 3)), _delivery(happened("b", 1))):
                await deliverer.deliver(delivery)
        assert await probe.written() == ["a1", "b1"]
        (head,) = await parking.list([NAME])
        assert (head.key, head.type, head.sequence, head.waiting) == ("contract:a", Happened.type, 2, 1)
        assert head.error.startswith("Unreadable: ") and head.attempts == 1 and head.retry_at is None
        await parking.request(head.id, drop=False)
        await deliverer.deliver(cut)
        assert await parking.release(handler.subscriptions) == 0
        (head,) = await parking.list([NAME])
        assert head.attempts == 2
        await parking.request(head.id, drop=True)
        assert await parking.release(handler.subscriptions) == 2
        await deliverer.deliver(cut)
        assert (await probe.written(), await parking.list([NAME])) == (["a1", "b1", "a3"], [])

    async def test_an_event_of_a_newer_version_is_applied_after_the_upgrade(
        self, parking: Parking, units: Units, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        service = written_in("acme_x")(units, probe)
        subscription = Subscription(NAME, (Happened.type,), service.on_happened)
        deliverer = Deliverer("contract", [subscription], parking, unread)
        for sequence, version in ((1, 1), (2, 2), (3, 1)):
            await deliverer.deliver(_delivery(msgspec.structs.replace(happened("a", sequence, str(sequence)), version=version)))
        assert await probe.written() == ["a1"]
        (head,) = await parking.list([NAME])
        assert (head.sequence, head.waiting) == (2, 1) and "version 2" in head.error
        monkeypatch.setattr(Happened, "version", 2)
        await parking.request(head.id, drop=False)
        assert await parking.release({NAME: subscription}) == 2
        assert await probe.written() == ["a1", "a2", "a3"]

    async def test_what_has_no_key_is_kept_with_its_bytes(self, parking: Parking) -> None:
        """The same bytes once; for a person, who has them read again, or drops them."""
        one, two = (RawMessage("contract", 3, bytes([0, 255, number]), "it has no field 's'") for number in (1, 2))
        for raw in (one, two, msgspec.structs.replace(one, partition=1)):
            await parking.keep("contract", raw)
        await parking.keep("other", one)
        first, second = await parking.list(["contract", NAME])
        assert (first.handler, first.key, first.error, first.waiting) == ("contract", "contract:3", "it has no field 's'", 0)
        seen: list[RawMessage] = []

        async def read(raw: RawMessage) -> None:
            seen.append(raw)
            if raw.raw == one.raw and len(seen) == 1:
                raise Unreadable("still not")

        for _ in range(2):
            await parking.request(first.id, drop=False)
            await parking.release({}, {"contract": read})
            await parking.release({}, {"contract": read})
            if len(seen) == 1:
                again, _ = await parking.list(["contract"])
                assert (again.id, again.error, again.attempts) == (first.id, "still not", 2)
        assert [raw.raw for raw in seen] == [one.raw, one.raw]
        await parking.request(second.id, drop=True)
        assert await parking.release({}, {"contract": read}) == 1
        assert len(seen) == 2
        assert (await parking.list(["contract"]), len(await parking.list(["other"]))) == ([], 1)

    async def test_what_can_be_read_at_last_is_applied_or_told_of(self, parking: Parking, units: Units, probe: Probe) -> None:
        """Applied, where its handlers have not gone on without it; there it stays, and is not lost in silence."""
        handler = Handler(units, probe)
        messages = {b"a2": sent(happened("a", 2)), b"b1": sent(happened("b", 1))}
        deliverer = Deliverer("contract", list(handler.subscriptions.values()), parking, lambda topic, raw: messages[raw])
        for raw in messages:
            await deliverer.put_aside(RawMessage("contract", 0, raw, "it has no field 'e'"))
        for sequence in (1, 3):
            await deliverer.deliver(_delivery(happened("a", sequence)))
        for kept in await parking.list(["contract"]):
            await parking.request(kept.id, drop=False)
        async with running(deliverer.release_parked()):
            await eventually(_read_again(parking))
        assert await probe.written() == ["a1", "a3", "b1"]
        (left,) = await parking.list(["contract"])
        assert "has gone on to event 3 of a, and this is event 2" in left.error

    async def test_the_keys_of_two_writers_wait_each_for_itself(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler = Handler(units, probe)
        one, two = ([happened("a", sequence, writer=writer) for sequence in (1, 2)] for writer in ("one", "two"))
        assert await handler(one[0])
        await parking.park(NAME, sent(one[1]), "ValueError: bad", 5)
        assert await handler(two[0])
        assert not await parking.append(NAME, sent(two[1]))
        await parking.park(NAME, sent(two[1]), "ValueError: bad", 5)
        heads = await parking.list([NAME])
        assert [(head.sequence, head.waiting) for head in heads] == [(2, 0), (2, 0)]
        for envelope in (one[1], two[1]):
            with pytest.raises(KeyParked):
                await handler(envelope)
        for head in heads:
            await parking.request(head.id, drop=False)
        assert await parking.release(handler.subscriptions) == 2
        assert (await probe.written(), await parking.list([NAME])) == (["a1", "a1", "a2", "a2"], [])
        assert await handler(happened("a", 3, writer="two")) and await handler(happened("a", 3, writer="one"))

    async def test_a_replay_goes_on_in_order(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler, head = await _parked(parking, units, probe, 4)
        handler.bad.clear()
        assert await parking.release(handler.subscriptions) == 0
        assert await parking.request(head.id, drop=False)
        assert await parking.release(handler.subscriptions) == 4
        assert await handler(happened("a", 6))
        assert await probe.written() == ["a1", "a2", "a3", "a4", "a5", "a6"]
        assert await parking.list([NAME]) == []

    async def test_a_replay_that_fails_keeps_the_key(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler, head = await _parked(parking, units, probe, 3)
        handler.bad = {"a3"}
        await parking.request(head.id, drop=False)
        assert await parking.release(handler.subscriptions) == 1
        (parked,) = await parking.list([NAME])
        assert (parked.sequence, parked.error, parked.waiting) == (3, "ValueError: bad event a3", 1)
        assert await parking.release(handler.subscriptions) == 0
        with pytest.raises(KeyParked):
            await handler(happened("a", 5))
        assert await probe.written() == ["a1", "a2"]

    async def test_a_second_failure_counts(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler, head = await _parked(parking, units, probe, 1)
        await parking.request(head.id, drop=False)
        await parking.release(handler.subscriptions)
        (parked,) = await parking.list([NAME])
        assert (parked.id, parked.attempts) == (head.id, head.attempts + 1)

    async def test_a_drop_leaves_one_out(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler, head = await _parked(parking, units, probe, 3)
        assert await parking.request(head.id, drop=True)
        assert await parking.release(handler.subscriptions) == 3
        assert not await handler(happened("a", 2))
        assert await probe.written() == ["a1", "a3", "a4"]
        assert await parking.list([NAME]) == []

    async def test_what_is_delivered_again_changes_nothing(self, parking: Parking, units: Units, probe: Probe) -> None:
        """A crash between the parking and the acknowledgement delivers the parked event again."""
        handler, head = await _parked(parking, units, probe, 2)
        await parking.request(head.id, drop=False)
        for sequence in (2, 3):
            again = await _delivered(parking, handler, happened("a", sequence))
            assert again
        assert (await parking.list([NAME])) == [head]
        handler.bad.clear()
        assert await parking.release(handler.subscriptions) == 2
        assert await probe.written() == ["a1", "a2", "a3"]

    async def test_nothing_is_queued_behind_a_free_key(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler = Handler(units, probe)
        await handler(happened("a", 1))
        assert not await parking.append(NAME, sent(happened("a", 2)))
        assert await parking.list([NAME]) == []

    async def test_the_first_event_of_a_key_can_be_parked(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler = Handler(units, probe)
        await parking.park(NAME, sent(happened("new", 1)), "ValueError: bad", 5)
        with pytest.raises(KeyParked):
            await handler(happened("new", 1))
        (head,) = await parking.list([NAME])
        await parking.request(head.id, drop=False)
        assert await parking.release(handler.subscriptions) == 1
        assert await probe.written() == ["new1"]

    async def test_a_store_that_is_away_parks_nothing_again(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler, head = await _parked(parking, units, probe, 2)
        handler.bad.clear()
        handler.away = True
        await parking.request(head.id, drop=False)
        with contextlib.suppress(Unavailable):
            await parking.release(handler.subscriptions)
        assert await parking.list([NAME]) == [head]
        handler.away = False
        assert await parking.release(handler.subscriptions) == 2
        assert await probe.written() == ["a1", "a2", "a3"]

    async def test_who_is_away_holds_up_one_key_only(
        self, parking: Parking, units: Units, probe: Probe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(outbox, "AWAY_PAUSE", 0.001)
        handler = Handler(units, probe)
        handler.away_for = {"a1"}
        deliverer = Deliverer("contract", list(handler.subscriptions.values()), parking, unread)
        for thing, sequence in [("a", 1), ("a", 2), ("b", 1)]:
            await deliverer.deliver(_delivery(happened(thing, sequence)))
        assert await probe.written() == ["b1"]
        assert "a2" not in handler.tried, "what is asked of the world outside stays in order too"
        (waits,) = await parking.list([NAME])
        assert (waits.sequence, waits.waiting) == (1, 1) and waits.error.startswith("Unavailable: ")
        assert waits.retry_at is not None and waits.retry_at > waits.at
        assert await parking.backlog([NAME]) == 1
        assert await parking.backlog(["other.handler"]) == 0

    async def test_what_was_put_aside_goes_on_by_itself(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler = Handler(units, probe)
        await parking.defer(NAME, sent(happened("a", 1)), "Unavailable")
        assert await _delivered(parking, handler, happened("a", 2))
        await _all_released(parking, handler)
        assert await probe.written() == ["a1", "a2"]
        assert await handler(happened("a", 3))
        assert await parking.list([NAME]) == []

    async def test_who_is_still_away_holds_up_nobody(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler = Handler(units, probe)
        handler.away_for = {"a1"}
        for thing in ("a", "b"):
            await parking.defer(NAME, sent(happened(thing, 1)), "Unavailable")
        before = {parked.key: parked.retry_at for parked in await parking.list([NAME])}

        async def other_went_on() -> bool:
            await parking.release(handler.subscriptions)
            return await probe.written() == ["b1"] and "a1" in handler.tried

        await eventually(other_went_on)
        (waits,) = await parking.list([NAME])
        earlier = before[waits.key]
        assert waits.attempts >= 2 and waits.retry_at is not None and earlier is not None and waits.retry_at > earlier
        handler.away_for.clear()
        await _all_released(parking, handler)
        assert await probe.written() == ["b1", "a1"]

    async def test_what_stands_behind_goes_on_by_itself_too(self, parking: Parking, units: Units, probe: Probe) -> None:
        """Also behind what a person had replayed, if somebody is away in the midst of it."""
        handler, head = await _parked(parking, units, probe, 3)
        handler.bad.clear()
        handler.away_for = {"a3"}
        await parking.request(head.id, drop=False)
        await parking.release(handler.subscriptions)
        assert await probe.written() == ["a1", "a2"]
        assert await parking.backlog([NAME]) == 1
        handler.away_for.clear()
        await _all_released(parking, handler)
        assert await probe.written() == ["a1", "a2", "a3", "a4"]

    async def test_what_is_put_aside_behind_a_failed_event_waits_with_it(
        self, parking: Parking, units: Units, probe: Probe
    ) -> None:
        _, head = await _parked(parking, units, probe, 1)
        await parking.defer(NAME, sent(_known("a", 3)), "Unavailable")
        (parked,) = await parking.list([NAME])
        assert (parked.id, parked.waiting, parked.retry_at) == (head.id, 1, None)
        assert await parking.backlog([NAME]) == 0

    async def test_others_are_not_shown_or_released(self, parking: Parking, units: Units, probe: Probe) -> None:
        handler, head = await _parked(parking, units, probe, 1)
        await parking.park("other.handler", sent(happened("a", 1)), "ValueError: other", 5)
        assert [parked.handler for parked in await parking.list([NAME])] == [NAME]
        (other,) = await parking.list(["other.handler"])
        await parking.request(other.id, drop=True)
        assert await parking.release(handler.subscriptions) == 0
        assert await parking.list(["other.handler", NAME]) == sorted([head, other], key=lambda parked: parked.handler)
        assert not await parking.request("nothing", drop=True)


def _cut(envelope: Envelope) -> Delivery:
    message = sent(envelope)
    return Delivery(message.topic, 0, "1-0", msgspec.structs.replace(message, envelope=message.envelope[:40]))


def _read_again(parking: Parking) -> Callable[[], Awaitable[bool]]:
    async def read() -> bool:
        kept = await parking.list(["contract"])
        return len(kept) == 1 and kept[0].attempts == 2

    return read


async def _all_released(parking: Parking, handler: Handler) -> None:
    async def none_is_left() -> bool:
        await parking.release(handler.subscriptions)
        return await parking.backlog([NAME]) == 0

    await eventually(none_is_left)


async def _parked(parking: Parking, units: Units, probe: Probe, count: int) -> tuple[Handler, Parked]:
    """``a1`` is applied, ``a2`` is parked, and behind it so many that ``count`` wait in all."""
    handler = Handler(units, probe, "a2")
    await handler(happened("a", 1))
    await parking.park(NAME, sent(_known("a", 2)), "ValueError: bad event a2", 5)
    for sequence in range(3, 2 + count):
        assert await _delivered(parking, handler, _known("a", sequence))
    (head,) = await parking.list([NAME])
    assert head.waiting == count - 1
    return handler, head


async def _delivered(parking: Parking, handler: Handler, envelope: Envelope) -> bool:
    """As the deliverer does. Whether it was queued behind the parked one."""
    with pytest.raises(KeyParked):
        await handler(envelope)
    return await parking.append(NAME, sent(_known(envelope.key, envelope.sequence)))


def _known(thing: str, sequence: int) -> Envelope:
    """The same event at each delivery."""
    return msgspec.structs.replace(happened(thing, sequence), id=f"{thing}-{sequence}")


def _delivery(envelope: Envelope) -> Delivery:
    return Delivery(envelope.topic, 0, "1-0", sent(envelope))


def unread(topic: str, raw: bytes) -> Message:
    """What no release can read."""
    raise Unreadable("it has no field 's'")
