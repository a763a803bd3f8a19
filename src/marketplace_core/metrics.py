"""What a process counts, in Prometheus' format at ``/metrics``: every metric of core is declared here.

A plugin declares its own through its context (``context.metrics``), under ``marketplace_<plugin>_``. Labels are of few values
(names of routes, methods, handlers), never ids. Where something is counted for each request, the child of its labels is made
at assembly: :class:`Outcomes` keeps them.
"""

from __future__ import annotations

import asyncio
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import metadata
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary, WeakSet

import prometheus_client
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.registry import Collector

__all__ = ["Counter", "Gauge", "Histogram", "Outcomes", "PluginMetrics"]

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

# Else a third of what is scraped would be the time at which each series began.
prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]

#: Upper bounds in seconds: an encoded read takes one millisecond, a checkout 30, a gateway outside some hundreds.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

# ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────────

HTTP = Histogram(
    "marketplace_http_request_duration_seconds",
    "Requests of clients, by route.",
    ("plugin", "audience", "method", "route", "status"),
    buckets=SECONDS,
)
READS = Counter("marketplace_reads", "Looks for the encoded answer of a public read.", ("plugin", "result"))
EXTERNAL = Histogram(
    "marketplace_external_request_duration_seconds",
    "Requests to services outside of the marketplace.",
    ("service", "outcome"),
    buckets=SECONDS,
)

# ── ports across processes ───────────────────────────────────────────────────────────────────────────────────

RPC_CLIENT = Histogram(
    "marketplace_rpc_client_duration_seconds",
    "Calls of a far port, every try included.",
    ("service", "capability", "method", "outcome"),
    buckets=SECONDS,
)
RPC_RETRIES = Counter(
    "marketplace_rpc_client_retries", "Tries of a far port's call that got no answer.", ("service", "capability", "method")
)
RPC_SERVER = Histogram(
    "marketplace_rpc_server_duration_seconds",
    "Port calls answered to other processes.",
    ("capability", "method", "outcome"),
    buckets=SECONDS,
)
BREAKER_OPEN = Gauge("marketplace_rpc_breaker_open", "Whether a service is left alone for a moment.", ("service",))
BREAKER_OPENINGS = Counter("marketplace_rpc_breaker_openings", "How often that came about.", ("service",))

# ── outbox, bus and handlers ─────────────────────────────────────────────────────────────────────────────────

RELAYED = Counter(
    "marketplace_outbox_relayed", "Outbox rows that were sent: to the bus (event), to the queue (job).", ("database", "kind")
)
OUTBOX_BACKLOG = Gauge("marketplace_outbox_backlog", "Outbox rows that wait to be sent.", ("database",))
OUTBOX_OLDEST = Gauge("marketplace_outbox_oldest_seconds", "Age of the oldest of them.", ("database",))
BUS_LAG = Gauge("marketplace_bus_lag", "Messages that a group has not acknowledged.", ("plugin", "group"))
HANDLED = Histogram(
    "marketplace_event_handler_duration_seconds",
    "Tries to apply an event.",
    ("plugin", "handler", "outcome"),
    buckets=SECONDS,
)
PUT_ASIDE = Counter(
    "marketplace_events_put_aside",
    "Keys that were parked for a person, or deferred because somebody was away, and messages that nobody could read.",
    ("plugin", "handler", "reason"),
)
SINK_EVENTS = Counter("marketplace_sink_events", "Events that a sink has taken, repeats included.", ("plugin", "sink"))
PARKED_KEYS = Gauge(
    "marketplace_parked_keys",
    "Keys that are parked or deferred now, and unreadable messages that are kept.",
    ("plugin", "state"),
)

# ── jobs and schedules ───────────────────────────────────────────────────────────────────────────────────────

JOB = Histogram("marketplace_job_duration_seconds", "Runs of jobs.", ("plugin", "job", "outcome"), buckets=SECONDS)
JOBS_BACKLOG = Gauge("marketplace_jobs_backlog", "Jobs that are due or running.", ("plugin",))
JOBS_FAILED = Gauge("marketplace_jobs_failed", "Jobs that are not tried any more and wait for a person.", ("plugin",))
SCHEDULE = Histogram(
    "marketplace_schedule_duration_seconds", "Runs of schedules.", ("plugin", "schedule", "outcome"), buckets=SECONDS
)

# ── sagas and extensions ─────────────────────────────────────────────────────────────────────────────────────

SAGAS_STARTED = Counter("marketplace_sagas_started", "Sagas begun; a repeat of the start counts too.", ("plugin", "saga"))
SAGAS_ENDED = Counter("marketplace_sagas_ended", "Sagas ended.", ("plugin", "saga", "outcome"))
SAGA_STEP = Histogram(
    "marketplace_saga_step_duration_seconds",
    "Tries of a saga's steps.",
    ("plugin", "saga", "method", "outcome"),
    buckets=SECONDS,
)
EXTENSION = Histogram(
    "marketplace_extension_duration_seconds",
    "Calls of plugins' extension hooks.",
    ("plugin", "hook", "outcome"),
    buckets=SECONDS,
)

# ── the process ──────────────────────────────────────────────────────────────────────────────────────────────

DATABASE_WAIT = Histogram(
    "marketplace_database_wait_seconds",
    "Time until a connection was free.",
    ("database",),
    buckets=(0.0001, 0.001, 0.01, 0.1, 1.0, 10.0),
)
WATCHED = Gauge(
    "marketplace_watched_timestamp_seconds", "When a worker last measured the gauges that need a query.", ("plugin",)
)
BUILD = Gauge("marketplace_build_info", "1, of this process.", ("version", "python", "deployment", "service", "kind"))


def introduce(deployment: str, service: str, kind: str) -> None:
    """Say what this process is: ``kind`` is ``api`` or ``worker``."""
    BUILD.labels(metadata.version("marketplace-core"), platform.python_version(), deployment, service, kind).set(1)


class Outcomes:
    """A histogram with all labels but the last, which is how something ended. Those that are named begin at 0."""

    __slots__ = ("_children", "_histogram", "_labels")

    def __init__(self, histogram: Histogram, *labels: str, known: Sequence[str] = ()) -> None:
        self._histogram, self._labels = histogram, labels
        self._children: dict[str, Histogram] = {}
        for outcome in known:
            self._child(outcome)

    def observe(self, outcome: str, seconds: float) -> None:
        child = self._children.get(outcome)
        (self._child(outcome) if child is None else child).observe(seconds)

    def _child(self, outcome: str) -> Histogram:
        child = self._children[outcome] = self._histogram.labels(*self._labels, outcome)
        return child


class PoolState:
    """``size`` is the most that there may be, ``open`` how many there are, ``in_use`` how many of those are taken."""

    __slots__ = ("in_use", "kind", "open", "resource", "size")

    def __init__(self, kind: str, resource: str, size: int, open_: int, in_use: int) -> None:
        self.kind, self.resource, self.size, self.open, self.in_use = kind, resource, size, open_, in_use


class Pools(Collector):
    """Connections of this process, counted when they are asked about. What has pools is held weakly."""

    def __init__(self) -> None:
        self._owners: WeakSet[Any] = WeakSet()

    def add(self, owner: Any) -> None:
        """``owner.pools()`` gives a :class:`PoolState` for each of its pools."""
        self._owners.add(owner)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        limit = GaugeMetricFamily("marketplace_pool_size", "Connections that a pool may have.", labels=("kind", "resource"))
        found = GaugeMetricFamily(
            "marketplace_pool_connections", "Connections of a pool.", labels=("kind", "resource", "state")
        )
        states = {(state.kind, state.resource): state for owner in list(self._owners) for state in owner.pools()}
        for key, state in states.items():
            limit.add_metric(key, state.size)
            found.add_metric((*key, "open"), state.open)
            found.add_metric((*key, "in_use"), state.in_use)
        yield limit
        yield found


POOLS = Pools()
REGISTRY.register(POOLS)

M = TypeVar("M", bound=MetricWrapperBase)
_NAME = re.compile(r"[a-zA-Z_]\w*", re.ASCII)
Declaration = tuple[str, tuple[str, ...]]
"""Kind and labels."""


class PluginMetrics:
    """What one plugin counts. A metric that was declared before is the same one; its name begins ``marketplace_<plugin>_``."""

    _made: ClassVar[WeakKeyDictionary[CollectorRegistry, dict[str, tuple[MetricWrapperBase, Declaration]]]] = (
        WeakKeyDictionary()
    )

    def __init__(self, plugin: str, registry: CollectorRegistry = REGISTRY) -> None:
        self._prefix = f"marketplace_{plugin}_"
        self._registry = registry

    def counter(self, name: str, help_: str, labels: Iterable[str] = ()) -> Counter:
        """``_total`` is added to its name."""
        return self._get(Counter, name, help_, labels)

    def gauge(self, name: str, help_: str, labels: Iterable[str] = ()) -> Gauge:
        return self._get(Gauge, name, help_, labels)

    def histogram(self, name: str, help_: str, labels: Iterable[str] = (), buckets: Sequence[float] = SECONDS) -> Histogram:
        """Its name ends with the unit, ``_seconds`` as a rule."""
        return self._get(Histogram, name, help_, labels, buckets=buckets)

    def _get(self, kind: Callable[..., M], name: str, help_: str, labels: Iterable[str], **options: Any) -> M:
        """:raises ValueError: its labels are none that can be, or it was declared before and is another one."""
        full = self._prefix + name
        if isinstance(labels, str):
            raise ValueError(f"the labels of {full} are the text {labels!r}, write ({labels!r},)")
        declared: Declaration = (kind.__name__, tuple(labels))
        if wrong := [name for name in (full, *declared[1]) if not _NAME.fullmatch(name)]:
            raise ValueError(f"{full} has {wrong[0]!r}, and names are of letters, digits and underscores")
        if ids := [label for label in declared[1] if label == "id" or label.endswith("_id")]:
            raise ValueError(f"{full} has the label {ids[0]!r}, of which each value would be a series of its own")
        all_made = self._made.setdefault(self._registry, {})
        if full not in all_made:
            all_made[full] = kind(full, help_, declared[1], registry=self._registry, **options), declared
        made, before = all_made[full]
        if before != declared:
            raise ValueError(f"{full} is a {before[0]} with the labels {before[1]}, and declared again as {declared}")
        result: Any = made
        found: M = result
        return found


async def exposition() -> bytes:
    """Everything, as text. Off the event loop: writing thousands of series takes some milliseconds."""
    return await asyncio.to_thread(generate_latest, REGISTRY)
