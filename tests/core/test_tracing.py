"""Spans from the traceparent of calls: when there are any, what they tell, and where they go."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from marketplace_core import calls, tracing
from marketplace_core.adapters.arq import ArqQueue, ArqWorker
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.postgres.outbox import PostgresOutbox
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.bus import RedisBus
from marketplace_core.adapters.redis.server import connect
from marketplace_core.errors import Refused
from marketplace_core.http.client import outgoing
from marketplace_core.outbox import Relay
from marketplace_core.ports import UnitOfWork
from marketplace_core.testing.contracts import eventually, running
from marketplace_core.values import SystemClock

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
RECORDED = f"00-{TRACE_ID}-00f067aa0ba902b7-01"
UNRECORDED = f"{RECORDED[:-2]}00"


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    made = TracerProvider(shutdown_on_exit=False)
    yield made
    made.shutdown()


@pytest.fixture
def memory(provider: TracerProvider) -> InMemorySpanExporter:
    exporter = InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return exporter


def named(memory: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in memory.get_finished_spans()}


# ── when there are spans ─────────────────────────────────────────────────────────────────────────────────────


def test_off_there_is_no_object_and_nothing_is_imported() -> None:
    assert tracing.begin("x", parent=RECORDED) is None and not tracing.recorded(RECORDED)
    with tracing.span("x", parent=RECORDED) as trace:
        assert trace is RECORDED  # what others record goes on through us
    with tracing.span("x") as trace:
        assert trace[:3] == "00-" and trace[-3:] == "-00"
    program = "import sys, marketplace_core._runtime.serve\nprint([m for m in sys.modules if m.startswith('opentelemetry')])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_whether_a_trace_is_recorded_is_decided_where_it_begins(
    provider: TracerProvider, memory: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.25)
    with tracing.use(provider, 0.3):
        with tracing.span("first") as trace:
            assert trace[-3:] == "-01"
            with tracing.span("below", parent=trace):
                pass
        with tracing.span("of a parent that is not", parent=UNRECORDED) as trace:
            assert trace == UNRECORDED
    with tracing.use(provider, 0.2), tracing.span("too many") as trace:
        assert trace[-3:] == "-00"
    with tracing.use(provider, 0.0), tracing.span("of a parent that is", "server", RECORDED):
        pass
    spans = named(memory)
    assert spans.keys() == {"first", "below", "of a parent that is"}
    first, below = spans["first"], spans["below"]
    assert first.parent is None and below.parent is not None and below.parent.span_id == first.context.span_id
    assert f"{spans['of a parent that is'].context.trace_id:032x}" == TRACE_ID


def test_what_went_wrong_is_told_without_its_text(provider: TracerProvider, memory: InMemorySpanExporter) -> None:
    with tracing.use(provider, 1.0):
        with pytest.raises(Refused), tracing.span("refused"):
            raise Refused("payments.declined", "The card of bea@example.org")
        with pytest.raises(ValueError), tracing.span("broken"):
            raise ValueError("bea@example.org")
    spans = named(memory)
    assert spans["refused"].attributes == {"error.type": "Refused", "marketplace.code": "payments.declined"}
    assert spans["broken"].status.description == "ValueError"
    assert "bea@example.org" not in "".join(span.to_json() for span in spans.values())


# ── what leaves a unit of work, and the world outside ────────────────────────────────────────────────────────


@pytest.mark.behaviour("all-6")
async def test_a_job_belongs_to_the_trace_that_enqueued_it(
    database: Database, redis_lasting_url: str, provider: TracerProvider, memory: InMemorySpanExporter
) -> None:
    units, queue = PostgresUnits(database, SystemClock(), "contract"), ArqQueue(redis_lasting_url, "traced")
    ran: list[calls.Call] = []

    async def job(_: str) -> None:
        ran.append(calls.current())

    async def enqueue(uow: UnitOfWork) -> None:
        uow.enqueue("shop.count")

    async def refuse(uow: UnitOfWork) -> None:
        uow.enqueue("shop.never")
        raise Refused("shop.no", "")

    async with connect(redis_lasting_url) as redis:
        await redis.flushdb()
        relay = Relay("main", PostgresOutbox(database), RedisBus(redis), queue, frozenset())
        with tracing.use(provider, 0.0), calls.scope(calls.Call(trace=RECORDED)):
            await units.run(enqueue)
            with pytest.raises(Refused):
                await units.run(refuse)
            async with running(relay.run(), ArqWorker(redis_lasting_url, "traced", {"shop.count": job}).run()):
                await eventually(lambda: "job shop.count" in named(memory))
        await queue.close()
    spans = named(memory)
    assert spans.keys() == {"send shop.count", "relay shop.count", "job shop.count"}
    sent = spans["send shop.count"].context
    for name in ("relay shop.count", "job shop.count"):
        parent = spans[name].parent
        assert parent is not None and (parent.trace_id, parent.span_id) == (sent.trace_id, sent.span_id)
    assert [calls.trace_id(call.trace) for call in ran] == [TRACE_ID] and ran[0].trace != RECORDED


def test_requests_to_others_carry_the_trace(provider: TracerProvider, memory: InMemorySpanExporter) -> None:
    with calls.scope(calls.Call(trace=UNRECORDED)), outgoing("bank", "GET", "/x") as headers:
        assert headers == {"traceparent": UNRECORDED}
    with outgoing("bank", "GET", "/x") as headers:
        assert headers == {}
    with tracing.use(provider, 0.0), calls.scope(calls.Call(trace=RECORDED)), outgoing("bank", "GET", "/x") as headers:
        pass
    [span] = memory.get_finished_spans()
    assert headers == {"traceparent": f"00-{TRACE_ID}-{span.context.span_id:016x}-01"}


# ── where they go ────────────────────────────────────────────────────────────────────────────────────────────


async def test_they_go_to_a_collector_by_otlp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    came: list[ExportTraceServiceRequest] = []

    async def collect(request: web.Request) -> web.Response:
        came.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", collect)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{runner.addresses[0][1]}")

    def record() -> None:
        with tracing.start("shop", "orders", "worker", None, 1.0, tmp_path), tracing.span("seen"):
            pass

    await asyncio.to_thread(record)
    await runner.cleanup()
    [resource] = [one for request in came for one in request.resource_spans]
    about = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert (about["service.namespace"], about["service.name"], about["marketplace.kind"]) == ("shop", "orders", "worker")
    assert [span.name for scope in resource.scope_spans for span in scope.spans] == ["seen"]


def test_without_the_extra_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with (
        pytest.raises(tracing.MissingExporter, match=r"install marketplace-core\[otlp\]"),
        tracing.start("shop", "orders", "worker", "http://127.0.0.1:1", None, tmp_path),
    ):
        pass


def test_a_sample_of_0_records_nothing(tmp_path: Path) -> None:
    with tracing.start("shop", "orders", "worker", "folder:traces", 0, tmp_path):
        assert not tracing.is_on()
    assert not (tmp_path / "traces").exists()
