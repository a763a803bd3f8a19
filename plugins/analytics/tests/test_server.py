"""The same suite over the wire: clickhouse-connect's HTTP, answered from chdb by a process of its own; and that process away.

No server of ClickHouse was tried: this is its engine and its client, and what they say to each other as we have written it.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from marketplace_analytics.service import AnalyticsService
from marketplace_analytics.stores.clickhouse import ClickHouseStore

from marketplace_core.adapters.clickhouse.kind import CLICKHOUSE, ClickHouseSettings
from marketplace_core.adapters.clickhouse.opening import ClickHouseServer
from marketplace_core.adapters.clickhouse.server import ClickHouse
from marketplace_core.capabilities.analytics import Analytics
from marketplace_core.errors import Unavailable
from marketplace_core.ports.servers import Opening, imported
from marketplace_core.testing.clickhouse_http import ChdbOverHttp
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.analytics import AnalyticsContract
from marketplace_core.testing.native import native_server

pytestmark = pytest.mark.xdist_group("clickhouse")


@pytest.fixture(scope="module")
def wire() -> ChdbOverHttp:
    return native_server(ChdbOverHttp)


@pytest.fixture(scope="module")
def client(wire: ChdbOverHttp) -> Iterator[ClickHouse]:
    made = ClickHouse(wire.url())
    yield made
    asyncio.run(made.close())


@pytest_asyncio.fixture
async def store(client: ClickHouse) -> ClickHouseStore:
    made = ClickHouseStore(client)
    await made.clear()
    return made


@pytest.fixture
def analytics(service: AnalyticsService) -> Analytics:
    return service


class TestAnalyticsOverHttp(AnalyticsContract):
    pass


@pytest_asyncio.fixture
async def server(wire: ChdbOverHttp) -> AsyncIterator[ClickHouseServer]:
    """As a deployment opens it."""
    made = imported(CLICKHOUSE.open)(Opening("events", wire.url(), ClickHouseSettings(seconds=1)))
    yield made
    await made.close()


async def test_a_password_that_is_wrong_is_no_server_that_is_away(wire: ChdbOverHttp) -> None:
    client = ClickHouse(wire.url().replace("a%2Fb", "b%2Fa"))
    with pytest.raises(Exception, match="516") as refused:
        await client.ready()
    assert not isinstance(refused.value, Unavailable)
    await client.close()


async def test_many_parameters_go_in_a_form(server: ClickHouseServer) -> None:
    names = [f"table_{n}" for n in range(2000)]
    [row] = await server.connection.query("SELECT length({names:Array(String)}) AS found", {"names": names})
    assert row == {"found": 2000}


async def test_what_is_asked_wrongly_is_not_asked_again(server: ClickHouseServer) -> None:
    with pytest.raises(Exception, match="UNKNOWN_TABLE") as refused:
        await server.connection.query("SELECT * FROM nowhere")
    assert not isinstance(refused.value, Unavailable)


async def test_a_server_that_is_full_is_away(server: ClickHouseServer) -> None:
    allowed = "SETTINGS allow_custom_error_code_in_throwif = 1"
    with pytest.raises(Unavailable):
        await server.connection.query(f"SELECT throwIf(1, 'too many parts', 252::Int16) {allowed}")


async def test_a_server_that_is_silent_is_waited_for_so_long(wire: ChdbOverHttp, server: ClickHouseServer) -> None:
    await server.ready()
    assert wire.child is not None
    wire.child.send(signal.SIGSTOP)
    began = time.monotonic()
    try:
        with pytest.raises(Unavailable):
            await server.ready()
        assert 0.9 < time.monotonic() - began < 3
    finally:
        wire.child.send(signal.SIGCONT)
    await server.ready()


async def test_a_server_that_was_killed_has_what_it_acknowledged_and_is_found_again(short_folder: Path) -> None:
    wire = ChdbOverHttp(short_folder / "d")
    await wire.start()
    client = ClickHouse(wire.url())
    await client.command("CREATE TABLE IF NOT EXISTS _kept (n UInt32) ENGINE = ReplacingMergeTree ORDER BY n")
    acknowledged: list[int] = []

    async def write() -> None:
        for n in range(10_000):
            await client.insert("_kept", b'{"n": %d}' % n)
            acknowledged.append(n)

    writing = asyncio.create_task(write())
    await eventually(lambda: len(acknowledged) >= 20)
    wire.kill()
    assert wire.child is not None
    await wire.child.wait()
    with pytest.raises(Unavailable):
        await writing
    late = ClickHouse(wire.url())
    for found in await asyncio.gather(*(late.ready() for _ in range(20)), client.ready(), return_exceptions=True):
        assert isinstance(found, Unavailable)

    await wire.start()
    await late.ready()
    rows = await client.query("SELECT n FROM _kept FINAL")
    assert {row["n"] for row in rows} >= set(acknowledged)
    await client.insert("_kept", b'{"n": 0}')
    assert len(await client.query("SELECT n FROM _kept FINAL")) == len(rows), "a repeat counts once"
    for each in (client, late):
        await each.close()
    await wire.stop()


def test_the_driver_leaves_the_interpreter_as_it_was() -> None:
    """It makes the buffer of every file 32 times as large, and where reading is told, it is told wrong."""
    look = (
        "import io; at_first = io.DEFAULT_BUFFER_SIZE\n"
        "from marketplace_core.adapters.clickhouse import server\n"
        "assert server._driver().get_client and io.DEFAULT_BUFFER_SIZE == at_first, io.DEFAULT_BUFFER_SIZE"
    )
    subprocess.run([sys.executable, "-c", look], check=True)
