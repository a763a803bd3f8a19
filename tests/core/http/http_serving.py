"""A real server around an application, and a small shop to serve: what the tests of this folder share."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from granian.constants import Interfaces
from granian.server.embed import Server

from marketplace_core.http.app import Application, build_app
from marketplace_core.http.gate import Gate
from marketplace_core.http.routing import Router
from marketplace_core.values import Audience, Caller


class NoGate(Gate):
    """For routes that nobody logs in to."""

    async def identify(self, audience: Audience, headers: Mapping[str, str], entries: Mapping[str, bytes | None]) -> Caller:
        raise AssertionError("nobody logs in here")

    async def shop(self, account_id: str, *, acts: bool = False) -> tuple[str, str] | None:
        raise AssertionError("nobody has a shop here")


async def all_well() -> dict[str, str]:
    return {"main": "ok"}


def app_of(*routers: Router, gate: Gate | None = None, **options: Any) -> Application:
    ready: Callable[[], Awaitable[dict[str, str]]] = options.pop("ready", all_well)
    return build_app(routers, gate=gate or NoGate(), title="Shop", version="1.2.3", ready=ready, **options)


class Whole(aiohttp.ClientResponse):
    """An answer that was read, unless it is a stream: one that is left half read leaves its connection open."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        await super().start(connection)
        if self.content_type != "text/event-stream":
            await self.read()
        return self


@contextlib.asynccontextmanager
async def served(app: Any) -> AsyncIterator[aiohttp.ClientSession]:
    """The application under Granian, by a client that speaks to its socket."""
    folder = Path(tempfile.mkdtemp(prefix="mp-http-"))
    socket = folder / "http.sock"
    server = Server(app, uds=socket, interface=Interfaces.ASGI, log_enabled=False, websockets=False)
    serving = asyncio.create_task(server.serve())
    try:
        await _reachable(socket)
        connector = aiohttp.UnixConnector(str(socket))
        async with aiohttp.ClientSession("http://shop.test", connector=connector, response_class=Whole) as client:
            yield client
            if isinstance(app, Application):
                app.close()
    finally:
        server.stop()
        await asyncio.wait_for(serving, 10)
        shutil.rmtree(folder)


async def _reachable(socket: Path) -> None:
    for _ in range(500):
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_unix_connection(str(socket))
            writer.close()
            await writer.wait_closed()
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"nothing listens at {socket}")
