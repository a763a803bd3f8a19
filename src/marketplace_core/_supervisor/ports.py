"""Asking local HTTP servers whether they are ready, and whether an address is free. No client library is loaded for it."""

from __future__ import annotations

import asyncio
import errno
import functools
import itertools
import os
import secrets
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from marketplace_core.deployment._model import reachable, split_address

__all__ = ["answers", "free_port", "hold", "in_use", "stays_in_use"]

_PATIENCE = 5.0
_TRIES = 100
_MOST_HELD = 256
#: By port, the descriptor that holds it.
_held: dict[int, int] = {}
_GIVEN_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")


def answers(listen: str, path: str) -> Callable[[], Awaitable[bool]]:
    """A question: does GET ``path`` at ``host:port`` give 200?"""
    host, port = _split(reachable(listen))

    async def ask() -> bool:
        try:
            async with asyncio.timeout(_PATIENCE):
                reader, writer = await asyncio.open_connection(host, port)
                try:
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: {listen}\r\nConnection: close\r\n\r\n".encode())
                    status = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False
        return status.split(b" ")[1:2] == [b"200"]

    return ask


def in_use(listen: str) -> bool:
    """Whether somebody listens there already. :raises OSError: nobody could: it is no address of this machine."""
    host, port = _split(listen)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            return True
    return False


async def stays_in_use(listen: str, seconds: float = 1.0) -> bool:
    """Whether somebody listens there who does not go: a killed supervisor's children need a moment to end."""
    deadline = time.monotonic() + seconds
    while in_use(listen):
        if time.monotonic() > deadline:
            return True
        await asyncio.sleep(0.05)
    return False


def hold(port: int) -> bool:
    """Keep :func:`free_port` of every other process from ``port`` while nobody listens there. False: another one does so.

    HTTP servers share a port with whoever else listens there, as replicas do, so that two deployments which were given the
    same one would answer each other's requests. An abstract name belongs to the kernel, as a port does, and goes with its
    process; where there are none, nothing is held. The newest :data:`_MOST_HELD` are: somebody listens at the others by then.
    """
    if port in _held or sys.platform != "linux":
        return True
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0marketplace-port-{port}")
    except OSError:
        name.close()
        return False
    _held[port] = name.detach()
    if len(_held) > _MOST_HELD:
        os.close(_held.pop(next(iter(_held))))
    return True


def free_port(wanted: int | None = None, host: str = "127.0.0.1") -> int:
    """``wanted`` if it is free, else another: nobody listens there, nor was it given to another process that will.

    Not one that the kernel gives out: between this look and the moment when somebody listens there, a connection of any
    process of the machine could be given it for its own end.
    """
    others = (port for _ in range(_TRIES) if (port := secrets.choice(_ports())) not in _held)
    ports = itertools.chain([wanted] if wanted else [], others)
    found = next((port for port in ports if not in_use(f"{host}:{port}") and hold(port)), None)
    if found is None:
        raise OSError(errno.EADDRINUSE, f"no port of {host} is free")
    return found


@functools.cache
def _ports() -> range:
    """Above what servers are known by and below what the kernel gives out (Linux: ``ip(7)``; elsewhere from 49152)."""
    try:
        lowest = int(_GIVEN_OUT.read_text().split()[0])
    except OSError:
        lowest = 49152
    return range(20000, lowest) if lowest > 21000 else range(1024, 65536)


def _split(address: str) -> tuple[str, int]:
    found = split_address(address)
    if found is None:
        raise ValueError(f"{address!r} is no address")
    return found
