"""How an operator moves the deployment's time by HTTP."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from marketplace_core.testing.shop import Shop
from marketplace_core.values import seconds_of

WRONG: list[tuple[Any, tuple[str, str]]] = [
    ({}, ("", "required")),
    ({"advance": 1, "to": "2100-01-01T00:00:00Z"}, ("", "required")),
    ({"advance": "soon"}, ("/advance", "format")),
    ({"advance": ""}, ("/advance", "format")),
    ({"advance": "3661d"}, ("/advance", "range")),
    ({"advance": -1}, ("/advance", "range")),
    ({"advance": True}, ("/advance", "type")),
    ({"to": "tomorrow"}, ("/to", "format")),
]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("1.5s", 1.5), ("2m", 120), ("2h30m", 9000), ("15d", 1_296_000), ("1d1h1m1s", 90_061)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "soon", "-1s", "1h 2m", "2m1h", "1.5d", "1e3", "\u0661s", "1s\n"])
def test_what_is_no_duration_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds_of(text)


async def test_the_clock_is_moved_by_seconds_by_a_duration_or_to_a_time(shop: Shop) -> None:
    before = shop.market.clock.now()
    for body, moved in (({"advance": 90}, 90), ({"advance": "1h"}, 3690)):
        now = datetime.fromisoformat((await shop.admin.post("/clock", body))["now"])
        assert timedelta(seconds=moved) <= now - before < timedelta(seconds=moved + 60)
    await shop.admin.log_in("admin@example.org")  # an access token lives for ten minutes
    to = before + timedelta(days=2)
    now = datetime.fromisoformat((await shop.admin.post("/clock", {"to": to.isoformat()}))["now"])
    assert to <= now < to + timedelta(seconds=60)


async def test_what_cannot_be_meant_is_said_to_be_wrong(shop: Shop) -> None:
    before = shop.market.clock.now()
    for body, problem in WRONG:
        refused = await shop.admin.post("/clock", body, 422)
        assert [(each["pointer"], each["code"]) for each in refused["errors"]] == [problem], body
    assert shop.market.clock.now() - before < timedelta(seconds=60)
