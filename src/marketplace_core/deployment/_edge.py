"""``[edge.*]``: the clients of a deployment, each with a host of its own, and the proxy in front of them all."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from marketplace_core.deployment._limits import is_network
from marketplace_core.deployment._problems import Problems, likeliest, listed

__all__ = ["FIRST_PORT", "Edge", "EdgeTable", "Front", "FrontTable", "check_edge", "listeners_of"]

#: Where the proxies of clients listen that say nothing of it: each on the next port.
FIRST_PORT = 8091

_HOST = r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?"
_NETLOC = re.compile(r"([A-Za-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?").fullmatch
Host = Annotated[str, Meta(pattern=rf"^{_HOST}\Z", description='write it as "shop.example", in small letters')]


class Edge(Struct, frozen=True, kw_only=True):
    """A client of the marketplace, by its host, and the gateways that it reaches.

    ``origins`` are those of its pages, which a browser may call us from. ``tls`` is ``file:PATH`` of a PEM with the chain and
    the key, as the proxy's machine has it; without one, TLS ends at a balancer before us. ``listen`` is where the client's own
    proxy listens. ``internal``: its host is no public one, and who is in none of ``allow`` is refused. ``reads_only``: it
    reaches what everybody may read, and nothing else.
    """

    name: str
    host: str
    gateways: tuple[str, ...]
    listen: str
    origins: tuple[str, ...] = ()
    tls: str | None = None
    internal: bool = False
    allow: tuple[str, ...] = ()
    reads_only: bool = False

    @property
    def certificate(self) -> str | None:
        """The path of the PEM."""
        return None if self.tls is None else self.tls.removeprefix("file:")


class Front(Struct, frozen=True, kw_only=True):
    """The proxy before those of the public clients. ``cache_seconds`` is how old a public read may be that it answers itself.

    ``zone`` is the DNS zone that their hosts are in.
    """

    listen: str = "0.0.0.0:8090"
    cache_seconds: int = 1
    zone: str | None = None


class EdgeTable(Struct, forbid_unknown_fields=True):
    host: Host | None = None
    gateways: Annotated[list[str], Meta(min_length=1, description="name at least one gateway")] | None = None
    listen: str | None = None
    origins: list[str] = []
    tls: Annotated[str, Meta(pattern="^file:.", description='write it as "file:/etc/tls/shop.pem"')] | None = None
    internal: bool = False
    allow: list[str] = []
    reads_only: bool = False


class FrontTable(Struct, forbid_unknown_fields=True):
    """What stands in ``[edge]`` itself."""

    listen: str = "0.0.0.0:8090"
    cache_seconds: Annotated[int, Meta(ge=0, le=60, description="give whole seconds, 0 to 60")] = 1
    zone: Host | None = None


def listeners_of(edge: Mapping[str, Edge], front: Front) -> Iterator[tuple[str, str]]:
    """Where the proxies listen, with the key of each."""
    if any(not client.internal for client in edge.values()):
        yield "edge.listen", front.listen
    for client in edge.values():
        yield f"edge.{client.name}.listen", client.listen


def check_edge(edge: Mapping[str, Edge], front: Front, gateways: Mapping[str, Any], problems: Problems) -> None:
    _certificates(edge, problems)
    hosts: dict[str, str] = {}
    for name, client in edge.items():
        key = f"edge.{name}"
        if name == "front":
            problems.add(key, "the proxy before all clients has this name", "choose another name")
        for field in ("host", "gateways"):
            if not getattr(client, field) and problems.none_at(key, field):
                example = 'host = "shop.example"' if field == "host" else f"gateways = [{listed(gateways)}]"
                problems.add(f"{key}.{field}", "it is missing", f"write {example}")
        for index, gateway in enumerate(client.gateways):
            if gateway not in gateways:
                remedy = likeliest(gateway, gateways, f"use {listed(gateways)}")
                problems.add(f"{key}.gateways[{index}]", f"there is no gateway {gateway!r}", remedy)
        other = hosts.setdefault(client.host, name)
        if client.host and other != name:
            problems.add(f"{key}.host", f"{client.host!r} is that of edge.{other} too", "give each a host of its own")
        _lists(key, client, problems)
        if client.internal and not client.allow and problems.none_at(key, "allow"):
            problems.add(f"{key}.allow", "an internal host is for nobody without it", 'write allow = ["10.0.0.0/8"]')
        if client.allow and not client.internal and problems.none_at(key, "internal"):
            problems.add(f"{key}.allow", "a public host is for everybody", "write internal = true, or leave it out")
        if front.zone is not None and client.host and not client.internal and not _within(client.host, front.zone):
            problems.add(f"{key}.host", f"{client.host!r} is not in the zone {front.zone!r}", "mend the host, or edge.zone")


def _certificates(edge: Mapping[str, Edge], problems: Problems) -> None:
    """One socket speaks TLS with all public hosts, or with none."""
    public = [client for client in edge.values() if not client.internal]
    without = [client.name for client in public if client.tls is None]
    if without and len(without) < len(public):
        for name in without:
            if problems.none_at(f"edge.{name}", "tls"):
                problems.add(f"edge.{name}.tls", "it is missing, and other public hosts have one", "give it to all, or to none")


def _lists(key: str, client: Edge, problems: Problems) -> None:
    for index, origin in enumerate(client.origins):
        parts = urlsplit(origin)
        if parts.scheme not in ("http", "https") or not _NETLOC(parts.netloc):
            problems.add(f"{key}.origins[{index}]", f"{origin!r} is no origin", 'write it as "https://shop.example"')
        elif origin != f"{parts.scheme}://{parts.netloc.lower()}":
            remedy = f'write "{parts.scheme}://{parts.netloc.lower()}"'
            problems.add(f"{key}.origins[{index}]", f"{origin!r} is more than an origin, and no browser sends it", remedy)
    for index, network in enumerate(client.allow):
        if not is_network(network):
            problems.add(f"{key}.allow[{index}]", f"{network!r} is no network of addresses", 'write it as "10.0.0.0/8"')


def _within(host: str, zone: str) -> bool:
    return host == zone or host.endswith(f".{zone}")
