"""What processes count, who is told, and which labels it has."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY

from marketplace_core import metrics
from marketplace_core._rpc.client import Breaker, Target, far_port
from marketplace_core._rpc.server import Allowed, InternalApplication
from marketplace_core._runtime import watch
from marketplace_core._runtime.operators import Operations, UnderWay
from marketplace_core._runtime.serve import serving
from marketplace_core.adapters.postgres import Database
from marketplace_core.errors import NotFound, Unavailable
from marketplace_core.extensions import ExtensionError, Extensions
from marketplace_core.http.addresses import Addresses
from marketplace_core.metrics import Outcomes, PluginMetrics
from marketplace_core.testing.client import clients
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id


def value(name: str, **labels: str) -> float:
    """0 where there is no such series."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


# ── who is told ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("client", "headers", "near"),
    [
        (("127.0.0.1", 1), (), True),
        (("::1", 1), (), True),
        (("10.1.2.3", 1), (), True),
        (("203.0.113.9", 1), (), False),
        (None, (), False),
        (("127.0.0.1", 1), [(b"x-forwarded-for", b"127.0.0.1")], False),
        (("10.1.2.3", 1), [(b"x-forwarded-for", b"203.0.113.9")], False),
        (("10.1.2.3", 1), [(b"forwarded", b"for=10.0.0.1")], False),
        (("127.0.0.1", 1), [(b"via", b"1.1 edge")], False),
    ],
)
def test_only_who_asks_from_near_by_himself_is_told(client: Any, headers: Any, near: bool) -> None:
    assert Addresses(["10.0.0.0/8"], []).is_near({"client": client, "headers": headers}) is near


async def test_a_single_process_tells_this_machine_on_its_own_listener(
    marketplace: Callable[..., Awaitable[Marketplace]],
) -> None:
    market = await marketplace(["auth", "catalog"], http=True)
    async with aiohttp.ClientSession(market.url) as client:
        async with client.get("/metrics") as answer:
            text = await answer.text()
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        assert "process_resident_memory_bytes" in text and "_created" not in text
        for asked in ({"X-Forwarded-For": "203.0.113.9"}, {"Forwarded": "for=203.0.113.9"}):
            async with client.get("/metrics", headers=asked) as answer:
                assert answer.status == 404 and (await answer.json())["code"] == "http.not_found"


async def test_an_internal_listener_tells() -> None:
    async def ready() -> dict[str, str]:
        return {}

    app = InternalApplication({}, {}, ready)
    async with serving(app) as url, aiohttp.ClientSession(url) as client, client.get("/metrics") as answer:
        assert answer.status == 200 and "marketplace_build_info" in await answer.text()


# ── what is counted ──────────────────────────────────────────────────────────────────────────────────────────


async def test_requests_are_counted_by_route_and_never_by_what_clients_make_up(
    marketplace: Callable[..., Awaitable[Marketplace]],
) -> None:
    market = await marketplace(["auth", "catalog"], http=True)
    labels = {"plugin": "catalog", "audience": "buyer", "method": "GET", "route": "/buyer/v1/products/{id}", "status": "404"}
    count = "marketplace_http_request_duration_seconds_count"
    before, lost = value(count, **labels), new_id()
    nowhere = {"plugin": "-", "audience": "-", "method": "other", "route": "-", "status": "404"}
    strange = value(count, **nowhere)
    async with clients(market.audiences) as make, aiohttp.ClientSession(market.url) as raw:
        for _ in range(3):
            await make("buyer").get(f"/products/{lost}", 404)
        async with raw.request("MADEUP", f"/{lost}") as answer:
            assert answer.status == 404
        async with raw.get("/healthz"):
            pass
    assert value(count, **labels) == before + 3
    assert value(count, **nowhere) == strange + 1
    text = (await metrics.exposition()).decode()
    assert lost not in text and "MADEUP" not in text and "/healthz" not in text


async def test_encoded_reads_are_hits_or_misses(marketplace: Callable[..., Awaitable[Marketplace]]) -> None:
    market = await marketplace(["auth", "catalog"], http=True)
    hits, misses = (value("marketplace_reads_total", plugin="catalog", result=result) for result in ("hit", "miss"))

    async def away() -> bool:
        """Whether a read was counted as one for which Redis was away, as it may be for a moment on a machine at its limit."""
        before = value("marketplace_reads_total", plugin="catalog", result="away")
        await buyer.get("/categories")
        return value("marketplace_reads_total", plugin="catalog", result="away") > before

    async with clients(market.audiences) as make:
        buyer = make("buyer")
        async with asyncio.timeout(20):
            while await away():  # noqa: ASYNC110 - Redis tells nobody
                await asyncio.sleep(0.2)
        assert value("marketplace_reads_total", plugin="catalog", result="miss") == misses + 1
        for _ in range(3):
            await buyer.get("/categories")
    assert value("marketplace_reads_total", plugin="catalog", result="miss") == misses + 1
    assert value("marketplace_reads_total", plugin="catalog", result="hit") == hits + 3


async def test_far_calls_are_counted_on_both_sides() -> None:
    class Own(Operations):
        async def under_way(self) -> UnderWay:
            return UnderWay(0, 0, 0, 0)

        async def list_parked(self) -> list[Any]:
            raise NotFound()

        async def request_parked(self, id_: str, drop: bool) -> bool:
            raise RuntimeError("a mistake")

    async def ready() -> dict[str, str]:
        return {}

    key = b"k" * 32
    async with serving(InternalApplication({"seen": (Operations, Own())}, {key: Allowed("other")}, ready)) as url:
        target = Target("seen", url, key)
        far = far_port("seen", Operations, target)
        await far.under_way()
        with pytest.raises(NotFound):
            await far.list_parked()
        with pytest.raises(Exception, match="went wrong"):
            await far.request_parked("x", False)
    client, server = "marketplace_rpc_client_duration_seconds_count", "marketplace_rpc_server_duration_seconds_count"
    for method, outcome in (("under_way", "ok"), ("list_parked", "refused"), ("request_parked", "failed")):
        labels = {"capability": "seen", "method": method, "outcome": outcome}
        assert value(client, service="seen", **labels) == 1
        assert value(server, **labels) == 1
    assert value("marketplace_rpc_client_retries_total", service="seen", capability="seen", method="under_way") == 0

    target.breaker.failed()  # nobody listens there any more
    with pytest.raises(Unavailable):
        await far.request_parked("x", False)
    assert value("marketplace_rpc_client_retries_total", service="seen", capability="seen", method="request_parked") > 0
    await target.close()


def test_a_breaker_tells_when_it_opens_and_closes() -> None:
    told: list[bool] = []
    breaker = Breaker(failures=2)
    breaker.opened = told.append
    breaker.failed()
    breaker.succeeded()
    assert told == []
    for _ in range(3):
        breaker.failed()
    assert told == [True]
    breaker.succeeded()
    assert told == [True, False]


async def test_extensions_are_counted_by_plugin_and_hook() -> None:
    async def good() -> list[str]:
        return []

    async def bad() -> list[str]:
        raise ValueError

    extensions = Extensions({"counted": [("one", good), ("two", bad)]}, 1.0)
    with pytest.raises(ExtensionError):
        await extensions.check("counted")
    name = "marketplace_extension_duration_seconds_count"
    assert value(name, plugin="one", hook="counted", outcome="ok") == 1
    assert value(name, plugin="two", hook="counted", outcome="failed") == 1


async def test_pools_tell_how_many_connections_are_taken(database: Database) -> None:
    counted = Database(database.dsn, name="counted")  # an earlier test's may still be there under the usual name

    def now(state: str) -> float:
        return value("marketplace_pool_connections", kind="postgres", resource="counted", state=state)

    assert value("marketplace_pool_size", kind="postgres", resource="counted") == 8
    async with counted.connection(), counted.connection():
        assert (now("open"), now("in_use")) == (2, 2)
    assert (now("open"), now("in_use")) == (2, 0)
    await counted.close()


async def test_a_worker_measures_what_needs_a_query(
    marketplace: Callable[..., Awaitable[Marketplace]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "SECONDS", 0.05)
    metrics.OUTBOX_BACKLOG.labels("main").set(-1)
    metrics.BUS_LAG.labels("catalog", "catalog").set(-1)
    await marketplace(["auth", "users", "sellers", "catalog"])

    def measured() -> bool:
        backlog = REGISTRY.get_sample_value("marketplace_outbox_backlog", {"database": "main"})
        lag = REGISTRY.get_sample_value("marketplace_bus_lag", {"plugin": "catalog", "group": "catalog"})
        parked = REGISTRY.get_sample_value("marketplace_parked_keys", {"plugin": "catalog", "state": "parked"})
        return (backlog, lag, parked) == (0.0, 0.0, 0.0)

    await eventually(measured)
    assert value("marketplace_watched_timestamp_seconds", plugin="catalog") > 0


# ── a plugin's own ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_plugin_declares_its_own_once() -> None:
    mine = PluginMetrics("shelf")
    counter = mine.counter("books", "Read.", ("shelf",))
    assert PluginMetrics("shelf").counter("books", "Read.", ("shelf",)) is counter
    counter.labels("top").inc(2)
    assert value("marketplace_shelf_books_total", shelf="top") == 2
    mine.gauge("height_meters", "Of it.").set(3)
    assert value("marketplace_shelf_height_meters") == 3


def test_known_outcomes_begin_at_0() -> None:
    """Or the first that is counted would be seen as no increase."""
    took = Outcomes(
        PluginMetrics("shelf").histogram("dusting_seconds", "It.", ("how", "outcome")), "wet", known=("ok", "failed")
    )
    took.observe("ok", 0.1)
    assert REGISTRY.get_sample_value("marketplace_shelf_dusting_seconds_count", {"how": "wet", "outcome": "failed"}) == 0
    assert value("marketplace_shelf_dusting_seconds_count", how="wet", outcome="ok") == 1


def test_every_metric_is_documented_and_well_named() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "metrics.md").read_text()
    declared = [one for one in vars(metrics).values() if isinstance(one, metrics.Counter | metrics.Gauge | metrics.Histogram)]
    assert len(declared) > 20
    for one in declared:
        name = one._name + ("_total" if isinstance(one, metrics.Counter) else "")
        labels = ", ".join(f"`{label}`" for label in one._labelnames)
        assert re.search(rf"^\| `{name}` \| {re.escape(labels)} \|", page, re.MULTILINE), f"{name}: {labels}"
        assert not isinstance(one, metrics.Histogram) or name.endswith("_seconds")
