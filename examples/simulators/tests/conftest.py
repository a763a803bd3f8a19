from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parent))

from simulator_harness import Receiver, Simulator


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


@pytest_asyncio.fixture
async def payments(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Simulator]:
    async with Simulator("payments", tmp_path / "payments.db", receiver) as simulator:
        yield simulator


@pytest_asyncio.fixture
async def carriers(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Simulator]:
    async with Simulator("carriers", tmp_path / "carriers.db", receiver) as simulator:
        yield simulator
