"""A worker: everything of a service that nobody waits for, as tasks of one group. One that fails ends the process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import msgspec
import structlog

from marketplace_core._runtime.assembly import Process
from marketplace_core._runtime.inboxes import parking_of
from marketplace_core._runtime.sinks import SinkDeliverer
from marketplace_core._runtime.steps import step_server
from marketplace_core._runtime.watch import Watch
from marketplace_core.adapters._waits import JOB_SECONDS, unhurried
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.deployment._workers import bus_groups, runs, sink_group
from marketplace_core.hookspecs import Job, Sink
from marketplace_core.outbox import Deliverer, Outbox, Relay, Subscription

__all__ = ["Worker", "WorkerTaskFailed"]

log = structlog.get_logger("marketplace.worker")

TRIM_SECONDS = 10.0
PURGE_SECONDS = 600.0

Loop = Callable[[], Coroutine[Any, Any, None]]


class WorkerTaskFailed(Exception):
    """A task that runs for as long as the worker has ended; names it."""


class Worker:
    """Runs plugins' relays, handlers, tasks, schedules and jobs on one process's resources."""

    def __init__(self, process: Process, service: str, worker: str) -> None:
        """``worker``: one of the service's; what it runs is said by its patterns."""
        self._process = process
        self._plugins = process.plugins_of(service)
        self._worker = worker
        self._patterns = process.deployment.services[service].workers[worker]

    async def run(self) -> None:
        """For ever. :raises WorkerTaskFailed: one of its tasks ended."""
        try:
            async with asyncio.TaskGroup() as group:
                for name, loop in self._loops():
                    group.create_task(_named(name, loop), name=name)
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None

    def _loops(self) -> list[tuple[str, Loop]]:
        process = self._process
        loops: list[tuple[str, Loop]] = [("trim", self._trim)]
        if isinstance(process.clock, RedisClock):
            loops.append(("clock", process.clock.follow))
        for name, truth in process.places().items():
            relay = Relay(name, truth.outbox, process.bus, process.queue, process.routing.published(process.bus))
            loops += [(f"relay.{name}", relay.run), (f"purge.{name}", partial(self._purge, truth.outbox))]
        for plugin in self._plugins:
            run = partial(self._run_plugin, plugin)
            exclusive = self._process.assembly.infos[plugin].exclusive
            loops.append((plugin, partial(self._exclusively, plugin, run) if exclusive else run))
        if steps := step_server(process, self._plugins):
            loops.append(("steps", steps.run))
        loops.append(("jobs", self._run_jobs))
        loops.append(("watch", Watch(process, self._plugins, self._groups()).run))
        return loops

    def _groups(self) -> dict[str, str]:
        """The groups that this worker consumes, each with its plugin."""
        found = {}
        for plugin in self._plugins:
            names = [subscription.name for subscription in self._process.subscriptions(plugin)]
            for group, (worker, _) in bus_groups(self._process.deployment, plugin, names).items():
                if worker == self._worker:
                    found[group] = plugin
            found |= {sink_group(sink.name): plugin for sink in self._process.sinks(plugin) if self._runs(sink.name)}
        return found

    async def _exclusively(self, plugin: str, run: Loop) -> None:
        async with self._process.home(plugin).lease(plugin) as watch:
            work = asyncio.create_task(run())
            try:
                done, _ = await asyncio.wait({watch, work}, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def _run_plugin(self, plugin: str) -> None:
        """The plugin's tasks first: its handlers may need them."""
        process = self._process
        service = process.service(plugin)
        loops: list[tuple[str, Loop]] = [
            (task.name, partial(task.method, service)) for task in process.tasks(plugin) if self._runs(task.name)
        ]
        subscriptions = {subscription.name: subscription for subscription in process.subscriptions(plugin)}
        for group, (worker, handlers) in bus_groups(process.deployment, plugin, list(subscriptions)).items():
            if worker == self._worker:
                loops += self._consumer(plugin, group, [subscriptions[name] for name in handlers])
        for sink in process.sinks(plugin):
            if self._runs(sink.name):
                loops += self._sink(plugin, sink)
        if schedules := [schedule for schedule in process.schedules(plugin) if self._runs(schedule.name)]:
            kept = process.home(plugin).schedules
            if kept is None:
                raise TypeError(f"{plugin!r} has schedules, and its server keeps none")
            loops.append((f"{plugin}.schedules", partial(kept.run, schedules, service)))
        if not loops:
            await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group_:
            for name, loop in loops:
                group_.create_task(_named(name, loop), name=name)

    def _runs(self, name: str) -> bool:
        return runs(self._patterns, name)

    def _consumer(self, plugin: str, group: str, subscriptions: Sequence[Subscription]) -> list[tuple[str, Loop]]:
        deliverer = Deliverer(group, subscriptions, parking_of(self._process, plugin), self._process.bus.read)
        consumer = self._process.bus.consume(group, deliverer.topics)
        return [
            (f"{plugin}.consumer", partial(consumer.run, deliverer.deliver, deliverer.put_aside)),
            (f"{plugin}.parked", deliverer.release_parked),
        ]

    def _sink(self, plugin: str, sink: Sink) -> list[tuple[str, Loop]]:
        process, group = self._process, sink_group(sink.name)
        act = partial(sink.method, process.service(plugin))
        deliverer = SinkDeliverer(sink.name, group, act, parking_of(process, plugin), process.bus.read)
        consumer = process.bus.consume(group, process.routing.groups[group])
        run = partial(consumer.run_batches, deliverer.deliver, deliverer.put_aside, size=sink.size, linger=sink.linger)
        return [(sink.name, run), (f"{sink.name}.parked", deliverer.release_parked)]

    async def _run_jobs(self) -> None:
        process = self._process
        jobs = {
            job.name: partial(_run_job, job, process.service(plugin))
            for plugin in self._plugins
            for job in process.jobs(plugin)
            if self._runs(job.name)
        }
        if not jobs:
            await asyncio.Event().wait()
        await process.queue.serve(jobs)

    async def _trim(self) -> None:
        while True:
            await asyncio.sleep(TRIM_SECONDS)
            with contextlib.suppress(Exception):  # the next round does it
                await self._process.bus.trim()

    async def _purge(self, outbox: Outbox) -> None:
        while True:
            await asyncio.sleep(PURGE_SECONDS)
            with contextlib.suppress(Exception), unhurried(JOB_SECONDS):  # the next round does it
                await outbox.purge()


async def _run_job(job: Job, service: Any, raw: str) -> None:
    with unhurried(JOB_SECONDS):
        if job.args is None:
            await job.method(service)
        else:
            await job.method(service, msgspec.json.decode(raw, type=job.args))


async def _named(name: str, loop: Loop) -> None:
    """Tasks of a worker never end: one that does takes the process with it, by name."""
    try:
        await loop()
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        log.error("worker.task_failed", task=name, exc_info=error)
        raise WorkerTaskFailed(f"{name}: {type(error).__name__}: {error}") from error
    raise WorkerTaskFailed(f"{name} ended")
