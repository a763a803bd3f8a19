"""What nobody can read, on a whole marketplace: listed for operators, and everything else goes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from marketplace_core._runtime.operators import AllOperations
from marketplace_core.errors import NotFound
from marketplace_core.ports import Parked
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.marketplace import Marketplace


@pytest.mark.behaviour("events-5")
async def test_what_nobody_can_read_is_listed_for_operators(marketplace: Callable[..., Awaitable[Marketplace]]) -> None:
    market = await marketplace(["catalog", "orders", "orchestrator"])
    process, operations = market.process, AllOperations(market.process)
    group, topics = sorted(process.routing.groups.items())[0]
    bus = process.infrastructure_redis("bus")
    for partition in range(4):
        await bus.xadd(f"bus:{topics[0]}:{partition}", {"not": "ours", "number": str(partition)})

    async def all_are_kept() -> list[Parked]:
        kept = [each for each in await operations.list_parked() if each.handler == group]
        return kept if len(kept) == 4 else []

    kept = await eventually(all_are_kept)
    assert {each.key for each in kept} == {f"{topics[0]}:{partition}" for partition in range(4)}
    assert {each.error for each in kept} == {"it has no field b't'"}
    for each in kept[:3]:
        await operations.request_parked(each.id, drop=True)
    await operations.request_parked(kept[3].id, drop=False)

    async def one_is_left() -> bool:
        left = [each for each in await operations.list_parked() if each.handler == group]
        return len(left) == 1 and (left[0].id, left[0].attempts) == (kept[3].id, 2)

    await eventually(one_is_left)
    assert await process.bus.lag({group: topics}) == 0
    with pytest.raises(NotFound):
        await operations.request_parked(kept[0].id, drop=True)
