"""What every :class:`~marketplace_core.ports.WebhookOutbox` must do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import pytest

from marketplace_core.ports import Endpoint, UnitOfWork, Units, WebhookMessage, WebhookOutbox, webhooks_out
from marketplace_core.ports.webhooks_out import EACH, LEASE, Attempt, Due
from marketplace_core.testing.contracts import eventually, together
from marketplace_core.testing.contracts.clock import MovableClock
from marketplace_core.values import new_id

__all__ = ["WebhookOutboxContract"]

T = TypeVar("T")

OWNER = "seller-1"
URL = "https://shop.example/hook"
DONE = Attempt(delivered=True, status=204)
LEASE_SECONDS = LEASE.total_seconds() + 1
DAY = 86_400.0


class WebhookOutboxContract:
    """Fixtures: ``clock``, movable; ``outbox`` on it, ``second``, the same as another process has it, and ``other``, of another
    plugin on the same server; ``units`` on that store.
    """

    # ── who wants which ──────────────────────────────────────────────────────────────────────────────────────

    async def test_an_endpoint_is_as_it_was_added(self, outbox: WebhookOutbox, units: Units, other: WebhookOutbox) -> None:
        first = await _add(outbox, units, events=("orders.placed", "orders.confirmed"))
        assert (first.owner, first.url, first.events) == (OWNER, URL, ("orders.placed", "orders.confirmed"))
        assert (first.state, first.generation, first.secret_at) == ("on", 1, first.created_at)
        second = await _add(outbox, units)
        await _add(outbox, units, owner="another")
        assert await outbox.endpoints(OWNER) == [first, second]
        assert await other.endpoints(OWNER) == []

    async def test_only_its_owner_changes_it(self, outbox: WebhookOutbox, units: Units, other: WebhookOutbox) -> None:
        kept = await _add(outbox, units)
        for place, owner in ((outbox, "another"), (other, OWNER)):
            assert await _in(units, lambda uow, p=place, o=owner: p.renew_secret(uow, o, kept.id)) is None  # type: ignore[misc]
            assert await _in(units, lambda uow, p=place, o=owner: p.switch_on(uow, o, kept.id)) is None  # type: ignore[misc]
            assert not await _in(units, lambda uow, p=place, o=owner: p.remove_endpoint(uow, o, kept.id))  # type: ignore[misc]
        assert await outbox.endpoints(OWNER) == [kept]

    async def test_secrets_are_counted(self, outbox: WebhookOutbox, units: Units, clock: MovableClock) -> None:
        kept = await _add(outbox, units)
        await clock.advance(DAY)
        renewed = await _in(units, lambda uow: outbox.renew_secret(uow, OWNER, kept.id))
        assert renewed is not None and renewed.generation == 2 and renewed.secret_at - kept.secret_at >= timedelta(days=1)
        assert await outbox.endpoints(OWNER) == [renewed]

    # ── what is to be sent ───────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize(
        ("events", "type_", "wanted"),
        [
            (("orders.placed",), "orders.placed", True),
            (("orders.placed",), "orders.placed_again", False),
            (("orders.*",), "orders.placed", True),
            (("orders.*", "payments.*"), "payments.captured", True),
            (("orders.*",), "orderstwo.placed", False),
            (("order.*", "orders"), "orders.placed", False),
        ],
    )
    async def test_it_goes_to_who_wants_it(
        self, outbox: WebhookOutbox, units: Units, events: tuple[str, ...], type_: str, wanted: bool
    ) -> None:
        await _add(outbox, units, events=events)
        assert await _send(outbox, units, type_=type_) == int(wanted)
        assert len(await outbox.claim(10)) == int(wanted)

    async def test_it_goes_to_each_of_its_owners_endpoints(
        self, outbox: WebhookOutbox, units: Units, other: WebhookOutbox
    ) -> None:
        mine = [await _add(outbox, units), await _add(outbox, units)]
        await _add(outbox, units, owner="another")
        await _add(other, units)
        message = _message()
        assert await _send(outbox, units, message) == 2
        assert await other.claim(10) == []
        due = await outbox.claim(10)
        assert sorted(each.endpoint_id for each in due) == sorted(each.id for each in mine)
        assert {(each.message_id, each.body, each.tries) for each in due} == {(message.id, message.body, 1)}
        assert [each.endpoint for each in sorted(due, key=lambda each: each.endpoint_id)] == mine
        told = msgspec.json.decode(message.body)
        assert told == {"type": "orders.placed", "id": message.id, "timestamp": told["timestamp"], "data": {"order": 1}}

    async def test_a_message_goes_once(self, outbox: WebhookOutbox, units: Units) -> None:
        await _add(outbox, units)
        message = _message()
        made = await together(*(_send(outbox, units, message) for _ in range(4)))
        assert sum(made) == 1
        [due] = await outbox.claim(10)
        await _in(units, lambda uow: outbox.finish(uow, due, DONE))
        assert await _send(outbox, units, message) == 0
        assert await outbox.claim(10) == []

    async def test_what_was_rolled_back_is_not_sent(self, outbox: WebhookOutbox, units: Units) -> None:
        await _add(outbox, units)

        async def work(uow: UnitOfWork) -> None:
            await outbox.send(uow, OWNER, _message())
            raise _Crash

        with pytest.raises(_Crash):
            await units.run(work)
        assert (await outbox.claim(10), await outbox.next_due()) == ([], None)

    # ── for who sends ────────────────────────────────────────────────────────────────────────────────────────

    async def test_two_processes_share_it(self, outbox: WebhookOutbox, second: WebhookOutbox, units: Units) -> None:
        for _ in range(4):
            await _add(outbox, units)
        for _ in range(3):
            await _send(outbox, units)
        found: list[Due] = []
        for _ in range(20):
            claimed = await together(*(each.claim(5) for each in (outbox, second) * 2))
            found += [due for some in claimed for due in some]
        assert len({due.id for due in found}) == len(found) == 12

    async def test_what_a_killed_process_had_is_due_again(
        self, outbox: WebhookOutbox, second: WebhookOutbox, units: Units, clock: MovableClock
    ) -> None:
        await _add(outbox, units)
        await _send(outbox, units)
        [lost] = await outbox.claim(10)
        assert await second.claim(10) == []
        await clock.advance(LEASE_SECONDS)
        [found] = await second.claim(10)
        assert (found.id, found.message_id, found.body, found.tries) == (lost.id, lost.message_id, lost.body, 2)

    async def test_who_comes_too_late_changes_nothing(
        self, outbox: WebhookOutbox, second: WebhookOutbox, units: Units, clock: MovableClock
    ) -> None:
        """It was only slow."""
        kept = await _add(outbox, units)
        await _send(outbox, units)
        [slow] = await outbox.claim(10)
        await clock.advance(LEASE_SECONDS)
        [due] = await second.claim(10)
        assert await _in(units, lambda uow: outbox.finish(uow, slow, Attempt(note="no", switch_off=True))) is None
        assert await outbox.endpoints(OWNER) == [kept]
        await _in(units, lambda uow: second.finish(uow, due, DONE))
        await _in(units, lambda uow: outbox.finish(uow, slow, Attempt(note="no", again_at=clock.now())))
        [delivery] = await outbox.deliveries(OWNER, kept.id, 10)
        assert (delivery.state, delivery.tries, delivery.status) == ("delivered", 2, 204)

    async def test_it_is_tried_again_when_it_is_due(self, outbox: WebhookOutbox, units: Units, clock: MovableClock) -> None:
        kept = await _add(outbox, units)
        await _send(outbox, units)
        assert _near(await outbox.next_due(), clock.now())
        [due] = await outbox.claim(10)
        again_at = clock.now() + timedelta(hours=5)
        await _in(units, lambda uow: outbox.finish(uow, due, Attempt(status=500, note="It answered 500.", again_at=again_at)))
        [delivery] = await outbox.deliveries(OWNER, kept.id, 10)
        assert (delivery.state, delivery.tries, delivery.status, delivery.note) == ("waiting", 1, 500, "It answered 500.")
        assert _near(await outbox.next_due(), again_at) and _near(delivery.due_at, again_at)
        await clock.advance(4.9 * 3600)
        assert await outbox.claim(10) == []
        await clock.advance(0.2 * 3600)
        [again] = await outbox.claim(10)
        assert (again.id, again.tries) == (due.id, 2)

    async def test_one_endpoint_holds_up_no_other(self, outbox: WebhookOutbox, units: Units) -> None:
        slow = await _add(outbox, units, events=("orders.placed",))
        for _ in range(30):
            await _send(outbox, units)
        quick = await _add(outbox, units, events=("orders.confirmed",))
        await _send(outbox, units, type_="orders.confirmed")
        found = [due.endpoint_id for due in await outbox.claim(16)]
        assert (found.count(slow.id), found.count(quick.id)) == (EACH, 1)
        assert await outbox.claim(16, busy=(slow.id,)) == []
        assert [due.endpoint_id for due in await outbox.claim(16)] == [slow.id] * EACH

    async def test_what_is_busy_is_not_waited_for(self, outbox: WebhookOutbox, units: Units, clock: MovableClock) -> None:
        busy = await _add(outbox, units, events=("orders.placed",))
        await _add(outbox, units, events=("orders.confirmed",))
        await _send(outbox, units)
        assert await outbox.next_due(busy=(busy.id,)) is None
        await _send(outbox, units, type_="orders.confirmed")
        assert _near(await outbox.next_due(busy=(busy.id,)), clock.now())

    # ── what became of it ────────────────────────────────────────────────────────────────────────────────────

    async def test_what_arrived_is_not_sent_again(self, outbox: WebhookOutbox, units: Units, clock: MovableClock) -> None:
        kept = await _add(outbox, units)
        await _send(outbox, units)
        [due] = await outbox.claim(10)
        assert await _in(units, lambda uow: outbox.finish(uow, due, DONE)) is None
        await clock.advance(LEASE_SECONDS)
        assert (await outbox.claim(10), await outbox.next_due()) == ([], None)
        [delivery] = await outbox.deliveries(OWNER, kept.id, 10)
        assert (delivery.state, delivery.status, delivery.ended_at is None) == ("delivered", 204, False)

    async def test_one_that_is_off_is_told_nothing(self, outbox: WebhookOutbox, units: Units, clock: MovableClock) -> None:
        kept = await _add(outbox, units)
        await _send(outbox, units)
        await _send(outbox, units)
        first, rest = await outbox.claim(10)
        off = await _in(units, lambda uow: outbox.finish(uow, first, Attempt(note="no answer", switch_off=True)))
        assert off is not None and (off.id, off.state, off.note) == (kept.id, "off", "no answer") and off.off_at is not None
        assert await _in(units, lambda uow: outbox.finish(uow, rest, Attempt(note="again", switch_off=True))) is None
        assert await outbox.endpoints(OWNER) == [off]
        assert await _send(outbox, units) == 0
        on = await _in(units, lambda uow: outbox.switch_on(uow, OWNER, kept.id))
        assert on is not None and (on.state, on.note, on.off_at) == ("on", None, None)
        assert await _send(outbox, units) == 1

    async def test_what_waits_for_one_that_is_off_or_gone_ends(
        self, outbox: WebhookOutbox, units: Units, clock: MovableClock
    ) -> None:
        """It is claimed without an endpoint, so that it does not wait for ever."""
        off, gone = await _add(outbox, units, events=("orders.placed",)), await _add(outbox, units, events=("orders.paid",))
        await _send(outbox, units)
        [first] = await outbox.claim(10)
        await _in(units, lambda uow: outbox.finish(uow, first, Attempt(again_at=clock.now())))
        await _send(outbox, units)
        await _send(outbox, units, type_="orders.paid")
        [again, *_] = await outbox.claim(1)
        await _in(units, lambda uow: outbox.finish(uow, again, Attempt(switch_off=True)))
        assert await _in(units, lambda uow: outbox.remove_endpoint(uow, OWNER, gone.id))
        assert await outbox.deliveries(OWNER, gone.id, 10) == []
        await clock.advance(LEASE_SECONDS)
        found = await outbox.claim(10)
        assert sorted(due.endpoint_id for due in found) == sorted([off.id, gone.id])
        assert [due.endpoint for due in found] == [None, None]

    async def test_deliveries_are_listed_the_newest_first(self, outbox: WebhookOutbox, units: Units) -> None:
        kept = await _add(outbox, units)
        await _add(outbox, units, owner="another")
        messages = [_message() for _ in range(5)]
        for message in messages:
            await _send(outbox, units, message)
            await _send(outbox, units, message, owner="another")
        listed = await outbox.deliveries(OWNER, kept.id, 3)
        listed += await outbox.deliveries(OWNER, kept.id, 3, before=listed[-1].id)
        assert [each.message_id for each in listed] == [each.id for each in reversed(messages)]
        assert {(each.endpoint_id, each.type, each.state, each.tries) for each in listed} == {
            (kept.id, "orders.placed", "waiting", 0)
        }
        assert await outbox.deliveries("another", kept.id, 3) == []

    async def test_what_has_ended_is_sent_again_on_demand(
        self, outbox: WebhookOutbox, units: Units, clock: MovableClock
    ) -> None:
        kept, message = await _add(outbox, units), _message()
        await _send(outbox, units, message)
        [delivery] = await outbox.deliveries(OWNER, kept.id, 10)
        assert not await _again(outbox, units, kept, delivery.id)  # it waits still
        [due] = await outbox.claim(10)
        await _in(units, lambda uow: outbox.finish(uow, due, DONE))
        assert not await _in(units, lambda uow: outbox.redeliver(uow, "another", kept.id, delivery.id))
        assert not await _again(outbox, units, kept, "never")
        assert await _again(outbox, units, kept, delivery.id)
        [again] = await outbox.claim(10)
        assert (again.id, again.message_id, again.tries) == (due.id, message.id, 1)

    async def test_a_purge_takes_what_ended_long_ago(
        self, outbox: WebhookOutbox, units: Units, clock: MovableClock, other: WebhookOutbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webhooks_out, "PURGE_BATCH", 2)
        kept = await _add(outbox, units)
        for _ in range(7):
            await _send(outbox, units)
        for _ in range(2):
            for due in await outbox.claim(3):
                await _in(units, lambda uow, due=due: outbox.finish(uow, due, DONE))  # type: ignore[misc]
            await clock.advance(20 * DAY)
        await other.purge(units, timedelta(days=1))
        await outbox.purge(units, timedelta(days=30))
        left = await outbox.deliveries(OWNER, kept.id, 10)
        assert sorted(each.state for each in left) == ["delivered"] * 3 + ["waiting"]
        await outbox.purge(units, timedelta(days=1))
        assert [each.state for each in await outbox.deliveries(OWNER, kept.id, 10)] == ["waiting"]

    async def test_who_sends_is_woken(self, outbox: WebhookOutbox, second: WebhookOutbox, units: Units) -> None:
        kept = await _add(outbox, units)
        async with second.waking() as wake:
            assert not await wake.wait(0.05)
            for act in ("send", "redeliver"):
                waiting, began = asyncio.ensure_future(wake.wait(30)), time.monotonic()
                await asyncio.sleep(0.05)
                assert not waiting.done()
                if act == "send":
                    await _send(outbox, units)
                    [due] = await outbox.claim(10)
                    await _in(units, lambda uow: outbox.finish(uow, due, DONE))  # noqa: B023
                else:
                    assert await _again(outbox, units, kept, due.id)
                await eventually(waiting.done)
                assert waiting.result()
                assert time.monotonic() - began < 10


class _Crash(Exception):
    pass


def _message(type_: str = "orders.placed") -> WebhookMessage:
    at = datetime.fromisoformat("2026-01-01T12:00:00+00:00")
    return WebhookMessage(id=new_id(), type=type_, at=at, data=msgspec.Raw(b'{"order": 1}'))


def _near(at: datetime | None, wanted: datetime) -> bool:
    return at is not None and abs(at - wanted) < timedelta(seconds=20)


async def _in(units: Units, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
    return await units.run(work)


async def _add(outbox: WebhookOutbox, units: Units, *, owner: str = OWNER, events: tuple[str, ...] = ("orders.*",)) -> Endpoint:
    return await units.run(lambda uow: outbox.add_endpoint(uow, new_id(), owner, URL, events))


async def _send(
    outbox: WebhookOutbox,
    units: Units,
    message: WebhookMessage | None = None,
    *,
    type_: str = "orders.placed",
    owner: str = OWNER,
) -> int:
    told = message or _message(type_)
    return await units.run(lambda uow: outbox.send(uow, owner, told))


async def _again(outbox: WebhookOutbox, units: Units, endpoint: Any, delivery_id: str) -> bool:
    return await units.run(lambda uow: outbox.redeliver(uow, OWNER, endpoint.id, delivery_id))
