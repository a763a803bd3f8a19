"""The part of the units' suite that takes any sequence of calls under idempotency keys, against a plain model of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from msgspec import Struct

from marketplace_core import calls
from marketplace_core.errors import MarketplaceError, PreconditionFailed, Unavailable
from marketplace_core.ports import Claim, UnitOfWork, Units
from marketplace_core.testing.contracts import Happened
from marketplace_core.testing.machines import Machine, run_machine
from marketplace_core.values import new_id

__all__ = ["IdempotencyRules"]


class Text(Struct, frozen=True):
    text: str


class Known(NamedTuple):
    """What a key was used for, and its answer; None: it was refused."""

    digest: bytes
    text: str | None


Heard = str
"""What a caller is told: ``done <text>`` or a code."""

IN_FLIGHT, REUSED, REFUSED = "idempotency.in_flight", "idempotency_key_reused", "http.precondition_failed"

claims = st.builds(
    Claim,
    scope=st.sampled_from(["me", "you"]),
    method=st.sampled_from(["act", "other"]),
    key=st.sampled_from(["k1", "k2"]),
    digest=st.sampled_from([b"one", b"other"]),
)


class Idempotency(Machine):
    units: ClassVar[Units]
    written: ClassVar[Callable[[], Awaitable[list[str]]]]
    write: ClassVar[Callable[[UnitOfWork, str], Awaitable[None]]]
    one_writer: ClassVar[bool]

    def __init__(self) -> None:
        super().__init__()
        self.example = new_id()
        self.known: dict[tuple[str, str, str], Known] = {}
        self.effects: list[str] = []
        self.held: dict[tuple[str, str, str], Held] = {}
        self.count = 0

    def _of(self, claim: Claim) -> Claim:
        """Keys of one example are not those of another: the store is the same."""
        return Claim(claim.scope, claim.method, f"{self.example}/{claim.key}", claim.digest)

    def _work(self, text: str, end: str = "answer") -> Callable[[UnitOfWork], Awaitable[Text]]:
        async def work(uow: UnitOfWork) -> Text:
            await type(self).write(uow, text)
            uow.emit(Happened(thing=text))
            if end == "refuse":
                raise PreconditionFailed()
            if end == "fail":
                raise Unavailable()
            if end == "crash":
                uow.after_commit(_lost)
            return Text(text)

        return work

    async def _ask(self, claim: Claim, work: Callable[[UnitOfWork], Awaitable[Text]]) -> tuple[Heard, bool]:
        """What the caller hears, and whether it was a stored answer."""
        with calls.scope(calls.Call()) as outcome:
            try:
                return f"done {(await self.units.once(claim, Text, work)).text}", outcome.replayed
            except MarketplaceError as error:
                return error.code, outcome.replayed
            except ConnectionResetError:
                return "lost", outcome.replayed

    def _would_wait(self, expected: Sequence[Heard | None]) -> bool:
        """Whether it is to write while the only writer is held."""
        return self.one_writer and bool(self.held) and None in expected

    def _text(self) -> str:
        self.count += 1
        return f"{self.example}/{self.count}"

    def _expected(self, claim: Claim) -> Heard | None:
        """None: the work is done now."""
        place = _place(claim)
        if place in self.held:
            return IN_FLIGHT
        known = self.known.get(place)
        if known is None:
            return None
        if known.digest != claim.digest:
            return REUSED
        return REFUSED if known.text is None else f"done {known.text}"

    @rule(claim=claims, end=st.sampled_from(["answer", "answer", "refuse", "fail", "crash"]))
    def call(self, claim: Claim, end: str) -> None:
        """One after the other; ``crash``: between the commit and the answer, so that nobody hears it."""
        claim, text = self._of(claim), self._text()
        expected = self._expected(claim)
        if self._would_wait([expected]):
            return
        heard, replayed = self.run(self._ask(claim, self._work(text, end)))
        if expected is not None:
            assert heard == expected
            assert replayed == (expected not in {IN_FLIGHT, REUSED})
            return
        assert not replayed
        assert heard == {"answer": f"done {text}", "refuse": REFUSED, "fail": "http.unavailable", "crash": "lost"}[end]
        if end != "fail":
            self.known[_place(claim)] = Known(claim.digest, None if end == "refuse" else text)
        if end in {"answer", "crash"}:
            self.effects.append(text)

    @rule(claim=claims, other=st.booleans())
    def call_twice_at_once(self, claim: Claim, other: bool) -> None:
        """Equal requests, or two of one key."""
        first = self._of(claim)
        second = Claim(first.scope, first.method, first.key, b"third" if other else first.digest)
        expected = [self._expected(first), self._expected(second)]
        if self._would_wait(expected):
            return
        texts = [self._text(), self._text()]

        async def both() -> list[Heard]:
            asked = [self._ask(each, self._work(text)) for each, text in zip((first, second), texts, strict=True)]
            return [heard for heard, _ in await asyncio.gather(*asked)]

        heard = self.run(both())
        if None not in expected:
            assert heard == expected
            return
        [(winner, text)] = [(n, text) for n, text in enumerate(texts) if heard[n] == f"done {text}"]
        loser = heard[1 - winner]
        assert loser in {IN_FLIGHT, REUSED if other else f"done {text}"}
        self.known[_place(first)] = Known((first, second)[winner].digest, text)
        self.effects.append(text)

    @precondition(lambda self: not self.held)
    @rule(claim=claims)
    def begin(self, claim: Claim) -> None:
        """A call that is still going on when the next ones come."""
        claim, text = self._of(claim), self._text()
        if self._expected(claim) is None:
            held = Held(claim, text)
            self.run(held.begin(self._ask, self._work(text)))
            self.held[_place(claim)] = held

    @precondition(lambda self: self.held)
    @rule(stays=st.booleans())
    def end(self, stays: bool) -> None:
        """It goes on, whether its caller is still there or not: all of it is done, or nothing."""
        place, held = self.held.popitem()
        text = held.text
        if stays:
            assert self.run(held.finish()) == f"done {text}"
        else:
            self.run(held.abandon())
            again = self._text()
            heard = self.run(self._once_known(held.claim, again))
            text = text if heard == f"done {text}" else again
            assert heard == f"done {text}"
        self.known[place] = Known(held.claim.digest, text)
        self.effects.append(text)

    async def _once_known(self, claim: Claim, text: str) -> Heard:
        while True:
            heard, _ = await self._ask(claim, self._work(text))
            if heard != IN_FLIGHT:
                return heard
            await asyncio.sleep(0.005)

    @rule(claim=claims)
    def ask_what_is_stored(self, claim: Claim) -> None:
        claim = self._of(claim)
        if _place(claim) in self.held:
            return

        async def stored() -> tuple[bool, Heard]:
            try:
                known, answer = await self.units.stored(claim, Text)
                return known, "" if answer is None else f"done {answer.text}"
            except MarketplaceError as error:
                return True, error.code

        assert self.run(stored()) == ((False, "") if (heard := self._expected(claim)) is None else (True, heard))

    def teardown(self) -> None:
        while self.held:
            self.end(True)
        ours = [text for text in self.run(type(self).written()) if text.startswith(self.example)]
        assert sorted(ours) == sorted(self.effects)


class Held:
    """A call that waits in the middle of its work."""

    def __init__(self, claim: Claim, text: str) -> None:
        self.claim, self.text = claim, text

    async def begin(self, ask: Callable[..., Awaitable[Any]], work: Callable[[UnitOfWork], Awaitable[Text]]) -> None:
        began, self._go_on = asyncio.Event(), asyncio.Event()

        async def slow(uow: UnitOfWork) -> Text:
            answer = await work(uow)
            began.set()
            await self._go_on.wait()
            return answer

        async def call() -> Heard:
            heard: Heard = (await ask(self.claim, slow))[0]
            return heard

        self._task = asyncio.create_task(call())
        await began.wait()

    async def finish(self) -> Heard:
        self._go_on.set()
        return await self._task

    async def abandon(self) -> None:
        """Its caller goes away; what it began may go on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._go_on.set()


def _place(claim: Claim) -> tuple[str, str, str]:
    return claim.scope, claim.method, claim.key


async def _lost() -> None:
    raise ConnectionResetError


class IdempotencyRules:
    one_writer: ClassVar[bool] = False
    examples: ClassVar[int] = 60

    async def test_calls_are_what_the_model_says(self, units: Units, probe: Any) -> None:
        acts = {"written": staticmethod(probe.written), "write": staticmethod(probe.write)}
        await run_machine(Idempotency, self.examples, 25, units=units, one_writer=self.one_writer, **acts)
