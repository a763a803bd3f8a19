"""What a deployment asks of the simulators that run beside it: to follow its clock, and whether they have come to rest."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import aiohttp

from marketplace_core.errors import Unavailable

__all__ = ["count_webhooks", "move_clocks"]

_TIMEOUT = aiohttp.ClientTimeout(total=5)


async def move_clocks(urls: Iterable[str], offset: timedelta) -> None:
    """Set their clocks as far ahead of the machine's as ours is. :raises Unavailable: one does not answer."""
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        for url in urls:
            try:
                async with session.post(f"{url}/clock", json={"offset": offset.total_seconds()}) as answer:
                    answer.raise_for_status()
            except (aiohttp.ClientError, TimeoutError) as error:
                raise Unavailable(f"The simulator at {url} did not follow the clock.") from error


async def count_webhooks(urls: Iterable[str]) -> int:
    """How many they have still to send. One that is away has none: it will tell when it is back."""
    count = 0
    async with aiohttp.ClientSession(timeout=_TIMEOUT) as session:
        for url in urls:
            try:
                async with session.get(f"{url}/quiesce") as answer:
                    count += (await answer.json())["webhooks"]
            except (aiohttp.ClientError, TimeoutError):
                continue
    return count
