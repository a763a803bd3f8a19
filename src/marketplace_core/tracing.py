"""Spans of OpenTelemetry, made from the ``traceparent`` that travels in every :class:`~marketplace_core.calls.Call`.

Off until :func:`start`: then nothing is imported and no object is made. On, only traces whose ``traceparent`` says that they
are recorded cost anything; whether one is, is decided where it begins (parent-based, by ratio).
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from marketplace_core import calls
from marketplace_core.errors import MarketplaceError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["Kind", "MissingExporter", "Span", "begin", "recorded", "span", "start", "use"]

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int | float | bool | None]

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
DEFAULT_SAMPLE = 0.01
#: A collector that is away must not keep a process from ending.
EXPORT_SECONDS = 3.0

_tracer: Any = None
_sample = 0.0
_RECORDED = frozenset("13579bdf")


class MissingExporter(RuntimeError):
    """Traces are to go where nothing that is installed can send them: why, and what to do."""

    def __init__(self) -> None:
        self.cause, self.remedy = "there is no exporter for OTLP", "install marketplace-core[otlp]"
        super().__init__(f"{self.cause}; {self.remedy}")


def is_on() -> bool:
    return _tracer is not None


def recorded(trace: str) -> bool:
    """Whether spans are made of what carries this ``traceparent``."""
    return _tracer is not None and trace[-1:] in _RECORDED


class Span:
    """Part of a recorded trace. ``trace`` is the ``traceparent`` of what it causes."""

    __slots__ = ("_made", "trace")

    def __init__(self, made: Any) -> None:
        self._made = made
        context = made.get_span_context()
        self.trace = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"

    def note(self, attributes: Attributes) -> None:
        """Add attributes; what is None is left out."""
        self._made.set_attributes({name: value for name, value in attributes.items() if value is not None})

    def rename(self, name: str) -> None:
        self._made.update_name(name)

    def end(self, error: BaseException | None = None) -> None:
        """What went wrong is told by its class and code: a text may be about a person."""
        if error is not None:
            self.fail(type(error).__name__, error.code if isinstance(error, MarketplaceError) else None)
        self._made.end()

    def fail(self, kind: str, code: str | None = None) -> None:
        from opentelemetry.trace import StatusCode  # noqa: PLC0415

        self._made.set_status(StatusCode.ERROR, kind if code is None else code)
        self.note({"error.type": kind, "marketplace.code": code})


def begin(name: str, kind: Kind = "internal", parent: str = "", attributes: Attributes | None = None) -> Span | None:
    """A span below ``parent``, or the first of a trace where there is none; None where nothing is recorded."""
    if _tracer is None:
        return None
    if parent:
        if parent[-1:] not in _RECORDED:
            return None
    elif random.random() >= _sample:  # noqa: S311 - which traces to keep
        return None
    from opentelemetry import trace as api  # noqa: PLC0415
    from opentelemetry.context import Context  # noqa: PLC0415

    context = Context()
    if parent:
        _, trace_id, span_id, _ = parent.split("-")
        of = api.SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=api.TraceFlags(1))
        context = api.set_span_in_context(api.NonRecordingSpan(of), context)
    made = Span(_tracer.start_span(name, context=context, kind=api.SpanKind[kind.upper()]))
    if attributes:
        made.note(attributes)
    return made


@contextlib.contextmanager
def span(name: str, kind: Kind = "internal", parent: str = "", attributes: Attributes | None = None) -> Iterator[str]:
    """Around what belongs to a span; gives the ``traceparent`` of what happens inside, which is to be put into its call."""
    made = begin(name, kind, parent, attributes)
    if made is None:
        yield parent or calls.new_trace()
        return
    try:
        yield made.trace
    except BaseException as error:
        made.end(error)
        raise
    made.end()


# ── switching it on ──────────────────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def start(deployment: str, service: str, kind: str, to: str | None, sample: float | None, folder: Path) -> Iterator[None]:
    """Record traces for as long as this process runs, if they are to go anywhere.

    ``to`` is an OTLP endpoint, or ``folder:PATH`` (from ``folder``) for a file of JSON lines in it; None: what
    ``OTEL_EXPORTER_OTLP_ENDPOINT`` says. ``sample``: the share of the traces that begin here, 0.01 if None.

    :raises MissingExporter: the extra is not installed.
    """
    to = to or os.environ.get(ENDPOINT) or None
    if to is None or sample == 0:
        yield
        return
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    provider = _provider(deployment, service, kind)
    delay = 500 if to.startswith("folder:") else 5000
    provider.add_span_processor(BatchSpanProcessor(_exporter(to, folder), schedule_delay_millis=delay))
    try:
        with use(provider, DEFAULT_SAMPLE if sample is None else sample):
            yield
    finally:
        provider.shutdown()


@contextlib.contextmanager
def use(provider: TracerProvider, sample: float) -> Iterator[None]:
    """Record with a provider of one's own, as a test does with an exporter into memory."""
    global _tracer, _sample
    before = _tracer, _sample
    _tracer, _sample = provider.get_tracer("marketplace_core"), sample
    try:
        yield
    finally:
        _tracer, _sample = before


def _provider(deployment: str, service: str, kind: str) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.sampling import ALWAYS_ON  # noqa: PLC0415

    about = {
        "service.namespace": deployment,
        "service.name": service,
        "service.instance.id": f"{os.uname().nodename}:{os.getpid()}",
        "marketplace.kind": kind,
    }
    return TracerProvider(resource=Resource.create(about), sampler=ALWAYS_ON, shutdown_on_exit=False)


def _exporter(to: str, folder: Path) -> SpanExporter:
    if to.startswith("folder:"):
        from marketplace_core._runtime.span_files import FileExporter  # noqa: PLC0415

        return FileExporter(folder / to.removeprefix("folder:"))
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    except ImportError:
        raise MissingExporter() from None
    path = "" if urlsplit(to).path.rstrip("/") else "/v1/traces"
    return OTLPSpanExporter(endpoint=to.rstrip("/") + path, timeout=EXPORT_SECONDS)
