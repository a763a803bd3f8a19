"""Servers of one's own behind toxiproxy, which makes the way to them slow, silent or torn; and what is done to them directly.

It is a program in Go, of long standing and made for this, installed as the servers are (:mod:`~.native.programs`).
"""

from __future__ import annotations

import asyncio
import random
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Literal

import aiohttp

from marketplace_core._supervisor.ports import free_port
from marketplace_core.adapters.embedded import EmbeddedError, EmbeddedPostgres, EmbeddedRedis
from marketplace_core.adapters.native.toxiproxy import TOXIPROXY
from tests.faults.fire.servers import ACTS

__all__ = ["KINDS", "Behind", "behind_proxies", "program"]

#: Milliseconds and kilobytes a second: of toxics by the name of a fault's act. ``hole`` takes everything and gives nothing,
#: and in the end the connection breaks; ``reset`` tears each at the next byte.
TOXICS: dict[str, list[tuple[str, str, dict[str, int]]]] = {
    "slow": [("latency", "downstream", {"latency": 150, "jitter": 100}), ("bandwidth", "upstream", {"rate": 64})],
    "hole": [("timeout", "downstream", {"timeout": 0}), ("timeout", "upstream", {"timeout": 0})],
    "reset": [("reset_peer", "downstream", {"timeout": 0})],
}
#: Where each server's address is told.
SERVERS = {"postgres": "MARKETPLACE_POSTGRES", "redis-lasting": "MARKETPLACE_REDIS", "redis-cache": "MARKETPLACE_CACHE"}
_ROLES: tuple[tuple[Literal["lasting", "cache"], int], ...] = (("lasting", 6379), ("cache", 6380))
KINDS = tuple(f"{act} {server}" for act in TOXICS for server in SERVERS) + tuple(ACTS)


def program() -> Path | None:
    """The proxy; None where it is not there, and Go is neither or could not build it."""
    if found := shutil.which("toxiproxy-server"):
        return Path(found)
    try:
        TOXIPROXY.install()
    except EmbeddedError:
        return None
    return TOXIPROXY.binary


class Behind:
    """``env``: the addresses that the deployment is told, by variable. ``direct``: those that lead past the proxies."""

    def __init__(self, api: str, env: dict[str, str], direct: dict[str, str], session: aiohttp.ClientSession) -> None:
        self.env, self.direct = env, direct
        self._api, self._session = api, session

    async def strike(self, kind: str, seconds: float) -> str:
        """One of :data:`KINDS`, for so long; a hole and a lock for twice as long, which outlasts what an answer may take."""
        act, _, server = kind.partition(" ")
        seconds = 2 * seconds if act in {"hole", "lock"} else seconds
        if kind in ACTS:
            async with ACTS[kind](self.direct[SERVERS[server]]):
                await asyncio.sleep(seconds)
            return server
        names = []
        for type_, stream, attributes in TOXICS[act]:
            toxic = {"name": f"{type_}-{stream}", "type": type_, "stream": stream, "attributes": attributes}
            await self.ask("POST", f"/proxies/{server}/toxics", toxic)
            names.append(toxic["name"])
        await asyncio.sleep(seconds)
        for name in names:
            await self.ask("DELETE", f"/proxies/{server}/toxics/{name}")
        return server

    async def ask(self, method: str, path: str, body: Any = None) -> None:
        async with self._session.request(method, self._api + path, json=body) as answer:
            if answer.status >= 400:
                raise RuntimeError(f"{method} {path}: {answer.status} {await answer.text()}")


@asynccontextmanager
async def behind_proxies(proxy: Path, chance: random.Random) -> AsyncIterator[Behind]:
    """One PostgreSQL and two Redis on an address of this machine that nobody else uses, and a proxy before each."""
    host = f"127.{chance.randint(1, 254)}.{chance.randint(1, 254)}.{chance.randint(2, 254)}"
    with _folder() as folder:
        postgres = EmbeddedPostgres(folder / "d", durable=False, settings={"listen_addresses": host})
        redis = {role: EmbeddedRedis(folder / "d", role, settings={"port": str(port), "bind": host}) for role, port in _ROLES}
        await asyncio.gather(postgres.start(), *(server.start() for server in redis.values()))
        try:
            await postgres.create_database("small")
            async with _toxiproxy(proxy, folder / "toxiproxy.log") as (api, session):
                ports = {server: free_port() for server in SERVERS}
                upstream = {"postgres": 5432, **{f"redis-{role}": port for role, port in _ROLES}}
                behind = Behind(api, _urls("127.0.0.1", ports), _urls(host, upstream), session)
                for server, port in ports.items():
                    listen, to = f"127.0.0.1:{port}", f"{host}:{upstream[server]}"
                    await behind.ask("POST", "/proxies", {"name": server, "listen": listen, "upstream": to, "enabled": True})
                yield behind
        finally:
            await asyncio.gather(postgres.stop(), *(server.stop() for server in redis.values()))


@contextmanager
def _folder() -> Iterator[Path]:
    """A short path, which PostgreSQL's user may pass."""
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def _urls(host: str, ports: dict[str, int]) -> dict[str, str]:
    redis = {name: f"redis://{host}:{ports[server]}/0" for server, name in SERVERS.items()}
    postgres = {SERVERS["postgres"]: f"postgres://postgres@{host}:{ports['postgres']}/small"}
    return {"MARKETPLACE_SECRET": "pT7vXq2LmZ9wRk4HsB8nYc3JdF6gUa1E-x5oQiWtKyMzNhVb", **redis, **postgres}


@asynccontextmanager
async def _toxiproxy(proxy: Path, log: Path) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    port = free_port()
    with log.open("wb") as output:
        process = subprocess.Popen([proxy, "-port", str(port)], stdout=output, stderr=output)  # noqa: ASYNC220 - returns at once
    try:
        async with aiohttp.ClientSession() as session:
            api = f"http://localhost:{port}"
            async with asyncio.timeout(20):
                while True:
                    try:
                        async with session.get(f"{api}/version") as answer:
                            if answer.status == 200:
                                break
                    except aiohttp.ClientError:
                        await asyncio.sleep(0.05)
            yield api, session
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
