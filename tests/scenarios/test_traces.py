"""One purchase as one trace: from the gateway through outbox, bus, worker and saga to the world outside, and back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from marketplace_core import tracing
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.shop import Shop

RECORDED = False
DEPLOYMENT = 'trace_to = "folder:traces"\ntrace_sample = 0.000001'

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
GIVEN = f"00-{TRACE_ID}-00f067aa0ba902b7-01"


class Spans:
    """Those of the purchase, as a tree."""

    def __init__(self, found: list[dict[str, Any]]) -> None:
        self.own = [span for span in found if span["context"]["trace_id"] == f"0x{TRACE_ID}"]
        self._by_id = {span["context"]["span_id"]: span for span in self.own}

    def paths(self, name: str) -> set[str]:
        """From the first span down to each of this name."""
        return {" > ".join(self._above(span)) for span in self.own if span["name"] == name}

    def _above(self, span: dict[str, Any] | None) -> list[str]:
        if span is None:
            return []
        return [*self._above(self._by_id.get(span["parent_id"])), span["name"]]

    def processes(self) -> set[str]:
        about = [span["resource"]["attributes"] for span in self.own]
        return {f"{one['service.name']} {one['marketplace.kind']}" for one in about}


async def purchase(shop: Shop) -> None:
    """One order whose client has begun a trace by itself."""
    pot = await shop.list_product(await shop.open_seller("Kettle"), "Tea Pot", 2495)
    buyer = await shop.buyer()
    buyer.headers["traceparent"] = GIVEN
    placed = await shop.order(buyer, [(pot, 2)])
    del buyer.headers["traceparent"]
    order = await shop.ended(buyer, placed["id"])
    assert order["status"] == "confirmed"
    await shop.market.settle()


PROCESSES = {"buyer api", "orders api", "orders worker", "catalog api", "market worker", "payments api"}
ORDER = "POST /buyer/v1/orders"
SAGA = " > send orders.placed > apply orchestrator.on_event"
OUTSIDE = " > POST simulated payment gateway > POST /buyer/v1/webhooks/payments/{gateway}"


@pytest.fixture
def memory() -> Iterator[InMemorySpanExporter]:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with tracing.use(provider, 0.0):
        yield exporter
    provider.shutdown()


@pytest.mark.behaviour("all-6")
@pytest.mark.parametrize("runner", ["local"])
async def test_an_order_is_followed_to_its_end(memory: InMemorySpanExporter, shop: Shop) -> None:
    await purchase(shop)
    found = [json.loads(span.to_json()) for span in memory.get_finished_spans()]
    spans = Spans(found)
    assert len(found) == len(spans.own), "what begins by itself is recorded by ratio, and that is 0"

    assert spans.paths(ORDER) == {ORDER}
    assert spans.paths("relay orders.placed") == {f"{ORDER} > send orders.placed > relay orders.placed"}
    begun = f"{ORDER}{SAGA}"
    assert spans.paths("apply orchestrator.on_event") >= {begun}
    for step in ("payments.authorize", "catalog.commit", "cart.remove_bought", "orders.confirm"):
        assert spans.paths(f"step {step}") == {f"{begun} > step {step}"}
    paid = f"{begun} > step payments.authorize"
    assert spans.paths("apply orders.on_payment_changed") == {
        f"{paid} > send payments.changed > apply orders.on_payment_changed"
    }
    back = f"{paid}{OUTSIDE}"
    assert spans.paths("POST /buyer/v1/webhooks/payments/{gateway}") == {back}
    assert spans.paths("send payments.webhook_received") == set(), "the gateway's answer told it"
    by_name = {span["name"]: span for span in spans.own}
    kinds = {name.split()[0]: span["kind"].removeprefix("SpanKind.") for name, span in by_name.items() if name[0].islower()}
    assert kinds == {"send": "PRODUCER", "relay": "INTERNAL", "apply": "CONSUMER", "step": "INTERNAL"}
    assert by_name[ORDER]["kind"] == "SpanKind.SERVER"
    assert by_name["POST simulated payment gateway"]["kind"] == "SpanKind.CLIENT"
    about = by_name[ORDER]["attributes"]
    assert (about["http.route"], about["http.response.status_code"]) == ("/buyer/v1/orders", 202)
    assert not [span["name"] for span in spans.own if span["status"]["status_code"] == "ERROR"]


@pytest.mark.behaviour("all-6")
@pytest.mark.parametrize("runner", ["processes"])
async def test_an_order_is_one_trace_across_processes(shop: Shop) -> None:
    await purchase(shop)
    spans = await _written(shop.market.file.parent / "traces")
    placed = f"{ORDER} > orders/place > orders/place"  # of the gateway, its call, and that call in the service
    assert spans.paths("apply orchestrator.on_event") >= {f"{placed}{SAGA}"}
    assert f"{placed}{SAGA} > step payments.authorize > payments/authorize > payments/authorize{OUTSIDE}" in spans.paths(
        "POST /buyer/v1/webhooks/payments/{gateway}"
    )
    logged = "".join(log.read_text() for log in (shop.market.file.parent / "logs").glob("*.log"))
    assert f'"trace_id":"{TRACE_ID}"' in logged


async def _written(folder: Path) -> Spans:
    """What the processes have written, once it is all there: each writes now and then, and this is the last of the order."""

    def read() -> Spans | None:
        text = "".join(file.read_text().rpartition("\n")[0] + "\n" for file in folder.glob("*.jsonl"))
        spans = Spans([json.loads(line) for line in text.splitlines() if line])
        last = ("relay orders.confirmed", "POST /buyer/v1/webhooks/payments/{gateway}", "apply orchestrator.on_event")
        begun = [any(path.startswith(ORDER) for path in spans.paths(name)) for name in last]
        return spans if all(begun) and spans.processes() >= PROCESSES else None

    found: Spans = await eventually(read)
    return found
