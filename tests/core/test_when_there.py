"""A process that begins while its database is away."""

from __future__ import annotations

import pytest

from marketplace_core._runtime.serve import when_there
from marketplace_core.errors import Unavailable


class Asked:
    """Away as often as it is said."""

    def __init__(self, away: int) -> None:
        self.away, self.times = away, 0

    async def __call__(self) -> str:
        self.times += 1
        if self.times <= self.away:
            raise Unavailable("The database does not answer.")
        return "there"


async def test_it_waits_for_who_is_away() -> None:
    asked = Asked(2)
    assert await when_there(asked, 10) == "there"
    assert asked.times == 3


async def test_it_does_not_wait_for_ever() -> None:
    asked = Asked(1000)
    with pytest.raises(Unavailable):
        await when_there(asked, 0.3)
    assert 2 <= asked.times <= 4


async def test_what_is_wrong_is_told_at_once() -> None:
    async def wrong() -> str:
        raise LookupError

    with pytest.raises(LookupError):
        await when_there(wrong, 10)
