"""The bus on a real Kafka, one for all of these tests; each has topics of its own."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from marketplace_core.adapters.kafka import publisher
from marketplace_core.adapters.kafka.bus import KafkaBus
from marketplace_core.adapters.kafka.client import Cluster
from marketplace_core.adapters.kafka.kind import KafkaSettings
from marketplace_core.adapters.kafka.native import EmbeddedKafka
from marketplace_core.testing.contracts import running
from marketplace_core.testing.contracts.bus import GROUPS, LEASE, BusContract, StartConsumer
from tests.contracts import bus_process

pytestmark = pytest.mark.xdist_group("kafka")

TOPICS = ("shop", "stock")
#: So long the broker is stopped, and then goes on; a publish is tried for half of that.
MOMENT = 1.0
_numbers = itertools.count(1)


@pytest.fixture
def prefix() -> str:
    return f"t{next(_numbers)}"


@contextlib.asynccontextmanager
async def opened(url: str, prefix: str) -> AsyncIterator[KafkaBus]:
    cluster = Cluster(url, KafkaSettings(partitions=4, session=LEASE))
    bus = KafkaBus(cluster, prefix, groups=GROUPS)
    try:
        yield bus
    finally:
        await bus.close()
        await cluster.close()


@contextlib.asynccontextmanager
async def silent_for_moments(server: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """What was sent meanwhile is in its sockets, and done when nobody waits for it any more."""
    child = server.child
    assert child is not None
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", MOMENT / 2)

    async def silent_and_there() -> None:
        await asyncio.sleep(MOMENT / 5)  # a broker that is quick takes all there is in a whole one
        for number in itertools.cycle((signal.SIGSTOP, signal.SIGCONT)):
            child.send(number)
            await asyncio.sleep(MOMENT)

    try:
        async with running(silent_and_there()):
            yield
    finally:
        child.send(signal.SIGCONT)
        monkeypatch.undo()


async def scribbled(url: str, prefix: str, topic: str, key: str) -> int:
    """Somebody else's, of a newer release, cut off, and what no store could keep."""
    good = {"type": b"shop.sold", "sequence": b"3", "writer": b""}
    entries: list[tuple[bytes | None, dict[str, bytes]]] = [
        (b"\xff\x00", {}),
        (b"{}", {name: value for name, value in good.items() if name != "sequence"}),
        (None, good),
        (b"{}", {**good, "sequence": b"three"}),
        (b"{}", {**good, "sequence": str(2**63).encode()}),
        (b'{"n":\xc3', good),
        (b"\0", good),
    ]
    producer = Cluster(url, KafkaSettings()).producer(f"{prefix}.scribble", 10_000)
    await producer.start()
    async with producer.transaction():
        for value, headers in entries:
            await producer.send(f"{prefix}.{topic}", value, key=key.encode(), headers=list(headers.items()))
    await producer.stop()
    return len(entries)


@pytest.mark.behaviour("events-1")
class TestKafkaBus(BusContract):
    @pytest.fixture
    async def bus(self, kafka_server: EmbeddedKafka, prefix: str) -> AsyncIterator[KafkaBus]:
        async with opened(kafka_server.url, prefix) as bus:
            await bus.prepare(TOPICS)
            yield bus

    @pytest.fixture
    def start_consumer(self, kafka_server: EmbeddedKafka, prefix: str) -> StartConsumer:
        return partial(bus_process.start, "messages", f"KafkaBus:{prefix}", kafka_server.url)

    @pytest.fixture
    def start_batches(self, kafka_server: EmbeddedKafka, prefix: str) -> StartConsumer:
        return partial(bus_process.start, "batches", f"KafkaBus:{prefix}", kafka_server.url)

    @pytest.fixture
    def trim(self, bus: KafkaBus) -> Callable[[], Awaitable[None]]:
        return bus.trim

    @pytest.fixture
    def hinder(
        self, kafka_server: EmbeddedKafka, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[[], AbstractAsyncContextManager[None]]:
        return partial(silent_for_moments, kafka_server, monkeypatch)

    @pytest.fixture
    def scribble(self, kafka_server: EmbeddedKafka, prefix: str) -> Callable[[str, str], Awaitable[int]]:
        return partial(scribbled, kafka_server.url, prefix)
