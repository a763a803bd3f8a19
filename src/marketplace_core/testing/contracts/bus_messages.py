"""What a bus takes and gives: a publish as a whole, and what nobody can read put aside. Part of the suite in ``bus``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from marketplace_core.errors import Unavailable
from marketplace_core.events import Unreadable
from marketplace_core.ports import Bus, Delivery, Message, RawMessage
from marketplace_core.testing.contracts import eventually, running

__all__ = ["GROUPS", "LEASE", "Log", "MessageRules", "messages"]

#: The groups that the bus under test is told of, with their topics. It has at least four partitions.
GROUPS = {"one": ["shop", "stock"], "two": ["shop"]}
#: Seconds after which a consumer that is not heard of has lost its partitions.
LEASE = 1.0


def messages(key: str, first: int, last: int, topic: str = "shop") -> list[Message]:
    return [Message(topic, f"{topic}.sold", key, n, f'{{"n":{n},"text":"ü"}}', "a writer") for n in range(first, last + 1)]


class Log:
    """Notes what is delivered, and that no partition is delivered to twice at once."""

    def __init__(self, pause: float = 0.0) -> None:
        self.seen: list[Message] = []
        self.partitions: set[int] = set()
        self.pause = pause

    async def __call__(self, delivery: Delivery) -> None:
        await asyncio.sleep(self.pause)
        self.seen.append(delivery.message)
        self.partitions.add(delivery.partition)

    def sequences(self, key: str, topic: str = "shop") -> list[int]:
        return [message.sequence for message in self.seen if (message.key, message.topic) == (key, topic)]


class MessageRules:
    """Fixtures: those of ``BusContract``."""

    @pytest.mark.behaviour("events-5")
    async def test_a_publish_is_all_or_a_prefix(
        self, bus: Bus, hinder: Callable[[], AbstractAsyncContextManager[None]]
    ) -> None:
        """Of each key. Else a reader that has seen the later ones takes the earlier ones, sent again, for old ones."""
        published: list[bool] = []
        async with hinder():
            for batch in range(40):
                sent = [_large(key, n, batch) for n in range(1, 101) for key in ("a", "b")]
                whole = True
                try:
                    await bus.publish(sent)
                except Unavailable:
                    whole = False
                published.append(whole)
        assert set(published) == {True, False}, "it was not hindered as it was meant"
        log, last = Log(), messages("a", 1, 1) + messages("b", 1, 1)
        await bus.publish(last)
        async with running(bus.consume("one", ["shop"]).run(log)):
            await eventually(lambda: [m for m in last if m in log.seen] == last, within=30)
        for batch, whole in enumerate(published):
            for key in ("a", "b"):
                seen = [m.sequence for m in log.seen if m.key == key and m.envelope.startswith(f'{{"batch":{batch},')]
                assert seen == list(range(1, (100 if whole else len(seen)) + 1)), f"batch {batch} of {key}"

    @pytest.mark.behaviour("events-5")
    async def test_what_cannot_be_read_is_put_aside(self, bus: Bus, scribble: Callable[[str, str], Awaitable[int]]) -> None:
        """In its turn, with its bytes, once; and the partition goes on."""
        log, aside = Log(), list[RawMessage]()

        async def put_aside(message: RawMessage) -> None:
            assert log.sequences("a") == [1, 2]
            aside.append(message)

        await bus.publish(messages("a", 1, 2))
        count = await scribble("shop", "a")
        await bus.publish(messages("a", 3, 4))

        async def nothing_is_left() -> bool:
            return await bus.lag({"one": ["shop"]}) == 0

        async with running(bus.consume("one", ["shop"]).run(log, put_aside)):
            await eventually(nothing_is_left)
        assert (log.sequences("a"), len(aside)) == ([1, 2, 3, 4], count)
        assert len({message.raw for message in aside}) == count and {message.topic for message in aside} == {"shop"}
        for message in aside:
            assert message.error
            with pytest.raises(Unreadable):
                bus.read("shop", message.raw)

    async def test_what_cannot_be_read_is_passed_over_by_nobody(
        self, bus: Bus, scribble: Callable[[str, str], Awaitable[int]]
    ) -> None:
        """Who cannot put it aside ends; who is away while it is to be put aside is waited for."""
        await scribble("shop", "a")
        with pytest.raises(BaseException) as caught:
            async with asyncio.timeout(4 * LEASE):
                await bus.consume("one", ["shop"]).run(Log())
        assert "Unreadable" in repr(caught.value)
        aside, away = list[RawMessage](), iter([True, True])

        async def put_aside(message: RawMessage) -> None:
            if next(away, False):
                raise Unavailable()
            aside.append(message)

        async with running(bus.consume("one", ["shop"]).run(Log(), put_aside)):
            await eventually(lambda: aside, within=4 * LEASE)


def _large(key: str, number: int, batch: int) -> Message:
    """So large that a server reads some hundred of them in parts, between which others have their turn."""
    return Message("shop", "shop.sold", key, number, f'{{"batch":{batch},"text":"{"x" * 1000}"}}')
