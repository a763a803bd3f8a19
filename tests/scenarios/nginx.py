"""Real nginx processes for one test, with what ``marketplace render FILE nginx`` makes; ``.ci/run`` installs nginx."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import getpass
import shutil
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from marketplace_core._supervisor.children import spawn
from marketplace_core._supervisor.ports import free_port
from marketplace_core.cli._render.facts import gather
from marketplace_core.cli._render.nginx import render

PROGRAM = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")

HOSTS = {"web": "www.shop.example", "public": "api.shop.example", "operators": "admin.internal.shop.example"}


def edges(folder: Path, front: int) -> str:
    """The tables of three clients, with certificates that are made for them."""
    certificate(folder / "edge.pem", list(HOSTS.values()))
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


def certificate(path: Path, hosts: list[str]) -> None:
    """Chain and key in one PEM, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key(), serial_number=1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    path.write_bytes(made.public_bytes(encoding) + private)


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
