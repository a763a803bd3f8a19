"""Real nginx processes for one test, with what ``marketplace render FILE nginx`` makes; ``.ci/run`` installs nginx."""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from marketplace_core._supervisor.children import spawn
from marketplace_core._supervisor.edge import self_signed
from marketplace_core._supervisor.ports import free_port
from marketplace_core.cli._render.facts import gather
from marketplace_core.cli._render.nginx import render

PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

HOSTS = {"web": "www.shop.example", "public": "api.shop.example", "operators": "admin.internal.shop.example"}


def edges(folder: Path, front: int) -> str:
    """The tables of three clients, with certificates that are made for them."""
    self_signed(folder / "edge.pem", list(HOSTS.values()))
    tls = f'tls = "file:{folder / "edge.pem"}"'
    return f"""
[edge]
listen = "127.0.0.1:{front}"
[edge.web]
host = "{HOSTS["web"]}"
gateways = ["buyer", "seller", "logistics"]
listen = "127.0.0.1:{free_port()}"
origins = ["https://www.shop.example"]
{tls}
[edge.public]
host = "{HOSTS["public"]}"
gateways = ["buyer"]
listen = "127.0.0.1:{free_port()}"
origins = ["https://partner.example"]
reads_only = true
{tls}
[edge.operators]
host = "{HOSTS["operators"]}"
gateways = ["admin"]
listen = "127.0.0.1:{free_port()}"
internal = true
allow = ["10.0.0.0/8"]
{tls}
"""


class Here(AbstractResolver):
    """Every host is this machine."""

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": socket.AF_INET, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


@contextlib.asynccontextmanager
async def proxies(file: Path, folder: Path) -> AsyncIterator[aiohttp.ClientSession]:
    """All proxies of a deployment's file; who asks by the session trusts their certificates, and finds them by any host."""
    assert PROGRAM is not None, ".ci/run installs nginx"
    trusting = ssl.create_default_context(cafile=str(folder / "edge.pem"))
    async with contextlib.AsyncExitStack() as stack:
        for path, text in render(gather(file)).items():
            conf = folder / path
            conf.parent.mkdir()
            conf.write_text(text)
            argv = [PROGRAM, "-p", f"{conf.parent}/", "-c", str(conf), "-g", f"daemon off; user {getpass.getuser()};"]
            child = await spawn(path, argv, log=conf.parent / "log")
            stack.push_async_callback(child.stop)
            async with asyncio.timeout(10):
                while not (conf.parent / "nginx.pid").exists():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        connector = aiohttp.TCPConnector(resolver=Here(), ssl=trusting, limit=0)
        timeout = aiohttp.ClientTimeout(total=30)
        yield await stack.enter_async_context(aiohttp.ClientSession(connector=connector, timeout=timeout))
