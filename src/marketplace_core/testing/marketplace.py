"""A whole marketplace in one ``async with``: its plugins on real servers, its worker, and its HTTP side if wanted."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

import msgspec

from marketplace_core._plugins.registry import load_plugins
from marketplace_core._runtime.assembly import Assembly, Process
from marketplace_core._runtime.operators import AllOperations
from marketplace_core._runtime.quiesce import Pending, pending
from marketplace_core._runtime.serve import application, open_process, serving
from marketplace_core._runtime.worker import Worker
from marketplace_core._supervisor.plan import audiences_of
from marketplace_core.adapters.postgres.units import PostgresUnits
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.adapters.redis.server import connect
from marketplace_core.capabilities import capability_of
from marketplace_core.deployment import load_all
from marketplace_core.deployment._kinds import installed_kinds
from marketplace_core.events import Envelope, Event, decode_envelope, encode_data
from marketplace_core.hookspecs import PluginInfo
from marketplace_core.ports import UnitOfWork
from marketplace_core.testing.processes import Apart
from marketplace_core.testing.topologies import Topology, split, together
from marketplace_core.values import AUDIENCES, new_id, utc_text

if TYPE_CHECKING:
    from marketplace_core.testing.servers import Servers

__all__ = ["Failures", "Marketplace", "NotSettled", "open_marketplace"]

P = TypeVar("P")

_NONE: Mapping[str, str] = {}
SECRET = b"the secret of a marketplace that lives as long as a test"

#: How plugins reach each other: in one process, by the ports themselves or as if they were far; or in processes of their own.
Topologies = Literal["local", "wire", "processes"]


class NotSettled(AssertionError):
    """The marketplace did not come to rest in time; says what is under way."""


class Failures(AssertionError):
    """The marketplace came to rest, and events are parked or jobs have failed; says which."""


class Marketplace:
    """``urls`` are the addresses of its resources; ``file`` is its deployment file. ``audiences`` are the prefixes that clients
    use, and ``url`` what they have in common where one process answers them all. ``apart`` are its processes, if it has any.
    """

    def __init__(self, process: Process, file: Path, urls: dict[str, str], apart: Apart | None = None) -> None:
        self.process = process
        self.file = file
        self.urls = urls
        self.url = ""
        self.audiences: dict[str, str] = audiences_of(process.deployment)
        self.apart = apart
        self._worker: asyncio.Task[None] | None = None
        self._sequences = itertools.count(1)

    def port(self, capability: type[P]) -> P:
        """A capability's port, as other plugins reach it."""
        return self.process.port(capability)

    @property
    def clock(self) -> RedisClock:
        clock = self.process.clock
        if not isinstance(clock, RedisClock):
            raise TypeError("the clock of this marketplace cannot be moved")
        return clock

    def answered_at(self, url: str) -> None:
        """One process answers every audience."""
        self.url = url
        self.audiences = {audience: f"{url}/{audience}/v1" for audience in AUDIENCES}

    async def start_worker(self) -> None:
        if self.apart is not None:
            await self.apart.start_workers()
            return
        service = next(iter(self.process.deployment.services.values()))
        worker = Worker(self.process, service.name, next(iter(service.workers)))
        self._worker = asyncio.create_task(worker.run(), name="worker")

    async def stop_worker(self) -> None:
        if self.apart is not None:
            await self.apart.stop_workers()
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
            self._worker = None

    async def deliver(self, capability: type, event: Event) -> None:
        """Have a capability's provider apply an event of another, as its worker does; and once more, as a bus may."""
        envelope = Envelope(
            id=new_id(),
            type=event.type,
            version=event.version,
            key=event.key,
            occurred_at=utc_text(self.clock.now()),
            data=msgspec.Raw(encode_data(event)),
            sequence=next(self._sequences),
        )
        plugin = self.process.assembly.providers[capability_of(capability)]
        handlers = [each for each in self.process.subscriptions(plugin) if event.type in each.types]
        if not handlers:
            raise LookupError(f"{plugin!r} does not subscribe to {event.type!r}")
        for subscription in handlers * 2:
            await subscription.apply(envelope)

    async def emit(self, *events: Event) -> None:
        """As if the plugins whose events they are had told them, over outbox and bus."""
        name = next(iter(self.process.assembly.databases()))
        units = PostgresUnits(self.process.resources.database(name), self.process.clock, "tests")

        async def tell(uow: UnitOfWork) -> None:
            for event in events:
                uow.emit(event)

        await units.run(tell)

    async def outgoing(self, *topics: str) -> list[Envelope]:
        """The events of these topics that have not left yet, oldest first for each store: all, while no worker runs."""
        found = []
        for truth in self.process.places().values():
            async with truth.outbox.lanes() as lanes:
                rows = [row for row in await lanes.pending(100_000) if row.kind == "event" and row.topic in topics]
            found += [decode_envelope(row.payload, row.sequence or 0) for row in rows]
        return found

    async def settle(self, seconds: float = 30.0, *, failures: bool = False) -> None:
        """Wait until nothing is under way any more, and see that nothing went wrong.

        :param seconds: for how long it may not become less than it ever was.
        :param failures: whether the test expects some: events that are parked, jobs that failed for good.
        :raises Failures: there are some and it does not. :raises NotSettled: or what ended the worker.
        """
        time, least = asyncio.get_running_loop().time, sys.maxsize
        deadline = time() + seconds
        while True:
            if self._worker is not None and self._worker.done():
                self._worker.result()
            counts: Pending = await pending(self.process)
            if counts.total == 0:
                break
            if counts.total < least:
                least, deadline = counts.total, time() + seconds
            if time() > deadline:
                raise NotSettled(f"for {seconds} s there was no less than {least}, and still is {counts}")
            await asyncio.sleep(0.03)
        if not failures:
            await self._refuse_failures()

    async def _refuse_failures(self) -> None:
        operations = AllOperations(self.process)
        parked = [f"{one.handler} of {one.key}: {one.error}" for one in await operations.list_parked()]
        failed = [f"{one.job} {one.id}: {one.error}" for one in await operations.list_failed_jobs()]
        if parked or failed:
            told = "\n".join(f"  {line}" for line in [*parked, *failed])
            raise Failures(f"{len(parked)} keys are parked and {len(failed)} jobs failed (or expect it: failures=True)\n{told}")


@contextlib.asynccontextmanager
async def open_marketplace(
    servers: Servers,
    plugins: Sequence[str],
    *,
    runner: Topologies = "local",
    settings: Mapping[str, str] | None = None,
    worker: bool = True,
    http: bool = False,
    databases: Mapping[str, str] | None = None,
    simulators: Mapping[str, str] | None = None,
    resources: Mapping[str, str] | None = None,
) -> AsyncIterator[Marketplace]:
    """Installed plugins by name, in this order, on databases of their own.

    :param runner: ``processes`` is the deployment of ``examples/split.toml``; HTTP is then always answered.
    :param settings: TOML lines for a plugin's table, or for that of the ``deployment``; of one of ``resources``, what its table
        has beside the address (``flavor = "opensearch"``).
    :param http: whether all audiences are answered at ``url``.
    :param simulators: addresses of those that will run beside it, by name: they follow its clock.
    :param resources: addresses of further servers by name, of whatever kind, for plugins whose ``settings`` say that they are
        ``on`` them; on one that is called ``sagas`` sagas run, over one that is called ``bus`` events go, and on one that is
        called ``files`` blobs are. They are brought up to date as ``marketplace migrate`` does.
    :param databases: existing databases, to open again what an earlier marketplace left: ``urls`` of that one.
    """
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        folder = Path(name)
        (folder / "secret").write_bytes(SECRET)
        assembly, urls = await assembled(
            servers, folder, plugins, runner, settings or {}, databases, simulators or {}, resources or {}
        )
        file = folder / "test.toml"
        async with contextlib.AsyncExitStack() as stack:
            if runner != "processes":
                process = await stack.enter_async_context(open_process(assembly, urls.__getitem__, SECRET, runner=runner))
                made = Marketplace(process, file, urls)
                if http:
                    made.answered_at(await stack.enter_async_context(serving(application(process))))
                if worker:
                    await made.start_worker()
                stack.push_async_callback(made.stop_worker)
            else:
                outside = open_process(assembly, urls.__getitem__, SECRET, own=frozenset())
                process = await stack.enter_async_context(outside)
                apart = Apart(assembly.deployment, folder)
                stack.push_async_callback(apart.stop)
                await apart.start(worker=worker)
                made = Marketplace(process, file, urls, apart)
            yield made


async def assembled(
    servers: Servers,
    folder: Path,
    plugins: Sequence[str],
    runner: Topologies,
    settings: Mapping[str, str],
    databases: Mapping[str, str] | None,
    simulators: Mapping[str, str],
    resources: Mapping[str, str] = _NONE,
    *,
    kept: bool = False,
) -> tuple[Assembly, dict[str, str]]:
    """The deployment, written to ``test.toml``, with its databases made and migrated; and the address of each resource.

    ``kept``: it outlives its test.
    """
    tables = {name: settings.get(name, "") for name in plugins}
    topology = _split(plugins) if runner == "processes" else together(plugins)
    urls = dict(databases or {}) or {
        "lasting": servers.redis_url(servers.lasting, kept=kept),
        "cache": servers.redis_url(servers.cache, kept=kept),
        "files": str(folder / "files"),
        **dict.fromkeys(topology.databases, "postgres://localhost/to-be-made"),
        **_indexes(plugins, folder),
        **resources,
    }

    further = {name: settings.get(name, "") for name in (*_indexes(plugins, folder), *resources)}

    def write() -> Assembly:
        (folder / "test.toml").write_text(topology.text(urls, tables, simulators, settings.get("deployment", ""), further))
        loaded = load_all(folder / "test.toml")
        return Assembly(loaded.deployment, loaded.registry)

    assembly = write()
    if databases is not None:
        return assembly, urls
    for name, inside in assembly.databases().items():
        if name not in resources:
            urls[name] = await servers.create_migrated(inside)
    for name in ("lasting", "cache"):  # before it is opened: it would take over the clock of an earlier test
        async with connect(urls[name]) as client:
            await client.flushdb()
    assembly = write()
    if resources:
        await _migrate(assembly, urls, resources)
    return assembly, urls


async def _migrate(assembly: Assembly, urls: Mapping[str, str], names: Collection[str]) -> None:
    """Bring servers up to date that are not cloned from templates."""
    async with open_process(assembly, urls.__getitem__, SECRET) as process:
        for name, wanted in process.databases().items():
            if name in names:
                await process.truth_on(name).migrate(wanted, lambda _: None)
        if "bus" in names:
            await process.bus.prepare(process.routing.published(process.bus))
        if "files" in names:
            await process.blobs.prepare()


def _split(plugins: Sequence[str]) -> Topology:
    infos = load_plugins(tuple(plugins)).infos
    return split(plugins, {name: _in_postgres(info) for name, info in infos.items()})


def _in_postgres(info: PluginInfo) -> list[str]:
    """What of a plugin's is in PostgreSQL, by the names that ``on`` has for it."""
    if "postgres" in info.stores:
        return ["postgres"]
    roles = [role for role, kinds in info.roles.items() if "postgres" in kinds]
    return [*roles, "inbox"] if _projections(info) else roles


def _indexes(plugins: Sequence[str], folder: Path) -> dict[str, str]:
    """Addresses of what plugins keep projections in that are folders of this machine."""
    infos = load_plugins(tuple(plugins)).infos
    return {kind: f"{kind}:{folder / kind}" for info in infos.values() for kind in _projections(info)}


def _projections(info: PluginInfo) -> list[str]:
    kinds = installed_kinds().by_name
    return [kind for kind in info.stores[:1] if kind != "folder" and kinds[kind].truth is None and kinds[kind].path]
