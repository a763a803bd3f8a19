"""Starts a simulator and stops it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import msgspec
from aiohttp import web

from marketplace_simulators.clock import Clock
from marketplace_simulators.control import Control
from marketplace_simulators.faults import Faults
from marketplace_simulators.operations import Operations
from marketplace_simulators.options import Options, parse
from marketplace_simulators.outbox import Outbox
from marketplace_simulators.sender import Sender
from marketplace_simulators.store import Store, WrongDatabase
from marketplace_simulators.wire import errors

__all__ = ["Context", "Program", "run"]

_TICK = 0.5


class Context:
    """What every program is built from."""

    def __init__(self, options: Options, store: Store, operations: Mapping[str, bool], url: str) -> None:
        self.url = url
        self.store = store
        self.clock = Clock(store)
        self.faults = Faults(store, operations)
        delays = options.delays
        enabled = options.webhook_url is not None
        self.outbox = Outbox(store, self.clock, self.faults, late=delays.late, enabled=enabled)
        self.operations = Operations(store, self.faults, self.outbox, delays)


class Program(ABC):
    """One simulated service."""

    name: str
    description: str
    schema: str
    operations: Mapping[str, bool]

    @abstractmethod
    def __init__(self, context: Context) -> None: ...

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Its HTTP interface."""

    def tick(self) -> None:  # noqa: B027 - most have nothing to do
        """Do what the simulated clock makes due. Called twice a second, and when the clock is moved."""


def run(kind: type[Program], arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT. 0 then; 1 where it cannot listen, 2 where an argument is wrong."""
    options = parse(f"python -m marketplace_simulators.{kind.name}", kind.description, arguments)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        store = Store(options.database, kind.name, kind.schema)
    except (WrongDatabase, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    try:
        asyncio.run(_serve(kind, options, store))
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        store.close()
    return 0


def _listen(options: Options, store: Store) -> socket.socket:
    """With port 0 the port of the last run, if free: links given to buyers stay good across a restart."""
    wanted = [options.port] if options.port else [int(store.setting("port") or 0), 0]
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    for port in wanted:
        try:
            listener = socket.create_server((options.host, port), family=family, backlog=512)
        except OSError:
            if port == wanted[-1]:
                raise
        else:
            store.set("port", str(listener.getsockname()[1]))
            return listener
    raise OSError("no port to listen on")


async def _serve(kind: type[Program], options: Options, store: Store) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    listener = _listen(options, store)
    host = f"[{options.host}]" if ":" in options.host else options.host
    url = f"http://{host}:{listener.getsockname()[1]}"
    context = Context(options, store, kind.operations, (options.public_url or url).rstrip("/"))
    program = kind(context)
    control = Control(context.clock, context.faults, context.outbox, program.tick)
    app = web.Application(middlewares=[errors])
    app.add_routes([*control.routes(), *program.routes()])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    background = [asyncio.create_task(_ticks(program))]
    if options.webhook_url is not None and options.signer is not None:
        sender = Sender(context.outbox, context.clock, options.webhook_url, options.signer)
        background.append(asyncio.create_task(sender.run()))
    try:
        await web.SockSite(runner, listener).start()
        print(msgspec.json.encode({"url": url}).decode(), flush=True)
        stopped = asyncio.create_task(stop.wait())
        done, _ = await asyncio.wait([stopped, *background], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await runner.cleanup()
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)


async def _ticks(program: Program) -> None:
    while True:
        program.tick()
        await asyncio.sleep(_TICK)
