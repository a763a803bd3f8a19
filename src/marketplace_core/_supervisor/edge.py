"""The proxies of a deployment's ``[edge]`` on this machine: an nginx for each, with certificates that are made for it."""

from __future__ import annotations

import asyncio
import datetime
import getpass
import os
import shutil
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from marketplace_core._supervisor.keeper import ProcessSpec
from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.deployment._edge import Edge, listeners_of
from marketplace_core.deployment._model import Deployment, reachable, split_address

__all__ = ["certificates", "clients_of", "nginx", "proxies", "self_signed"]

_YEARS = datetime.timedelta(days=3650)


def nginx() -> str:
    """The program. :raises EmbeddedError: it is not installed."""
    found = shutil.which("nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))
    if found is None:
        raise EmbeddedError("nginx is not installed, and [edge] wants it", "install it (Debian: apt-get install nginx)")
    return found


def certificates(deployment: Deployment) -> None:
    """Make those of its clients that are not there yet, each for its host."""
    for edge in deployment.edge.values():
        if edge.certificate is not None and not Path(edge.certificate).exists():
            Path(edge.certificate).parent.mkdir(parents=True, exist_ok=True)
            self_signed(Path(edge.certificate), [edge.host])


def self_signed(path: Path, hosts: Sequence[str]) -> None:
    """Chain and key in one PEM, which only we may read, for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0])])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _YEARS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host) for host in hosts]), critical=False)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private = key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    with open(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(made.public_bytes(encoding) + private)


def proxies(deployment: Deployment, folder: Path) -> list[ProcessSpec]:
    """Of the configurations that ``render nginx`` has written into ``folder``, that of the clients before the front one."""
    program, user = nginx(), getpass.getuser()
    listen = {key.split(".")[1]: at for key, at in listeners_of(deployment.edge, deployment.front)}
    listen["front"] = listen.pop("listen", deployment.front.listen)
    names = [name for name in listen if (folder / name / "nginx.conf").exists()]
    specs = []
    for name in sorted(names, key=lambda name: name == "front"):
        home = folder / name
        argv = [program, "-p", f"{home}/", "-c", os.fspath(home / "nginx.conf"), "-g", f"daemon off; user {user};"]
        specs.append(ProcessSpec(name=f"edge.{name}", kind="edge", argv=argv, ready=_listens(listen[name])))
    return specs


def clients_of(deployment: Deployment) -> dict[str, str]:
    """How each client's host is reached on this machine, by its name."""
    return {edge.name: _url(deployment, edge) for edge in deployment.edge.values()}


def _url(deployment: Deployment, edge: Edge) -> str:
    port = (split_address(edge.listen if edge.internal else deployment.front.listen) or ("", 0))[1]
    return f"{'https' if edge.tls else 'http'}://{edge.host}:{port}"


def _listens(listen: str) -> Callable[[], Awaitable[bool]]:
    """Whether somebody takes connections there; it may speak TLS, and to no host but its own."""
    host, port = split_address(reachable(listen)) or ("127.0.0.1", 0)

    async def ask() -> bool:
        def connects() -> bool:
            try:
                socket.create_connection((host, port), 1.0).close()
            except OSError:
                return False
            return True

        return await asyncio.to_thread(connects)

    return ask
