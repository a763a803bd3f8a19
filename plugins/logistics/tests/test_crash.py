"""A worker that is killed at any moment asks for no parcel twice and loses none."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from marketplace_core.testing.doomed import Doomed
from marketplace_core.testing.marketplace import SECRET

KILLS = int(os.environ.get("MARKETPLACE_KILLS", "6"))
SEED = int(os.environ.get("MARKETPLACE_SEED", "3"))
AT_ONCE = 5


@pytest.mark.behaviour("logistics-1")
@pytest.mark.timeout(600)
@pytest.mark.costly("as many kills of a worker as it is told to do")
async def test_one_parcel_whenever_the_worker_is_killed(make_bench: Any) -> None:
    bench = await make_bench(worker=False)
    worker = Doomed(bench.market.file, bench.market.urls, SECRET, seed=SEED)
    worker.start()
    shipped: list[str] = []
    try:
        while worker.kills < KILLS:
            await worker.check()
            shipped += [(await bench.ship(settle=False)).shipment_id for _ in range(AT_ONCE)]
            await asyncio.sleep(0.2)
        await worker.disarm()
        await bench.market.settle(60)
    finally:
        await worker.stop()
    for id_ in shipped:
        [parcel] = await bench.at_carrier(id_)
        [change] = await bench.changes(id_)
        assert (change.shipment.status, change.shipment.tracking_number) == ("label_created", parcel["tracking_number"])
