"""From which address a request comes, as far as our own proxies can be believed."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["Addresses"]

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_REMEMBERED = 8192
#: As many bytes as a dozen proxies write.
FORWARDED = 512
#: A proxy adds at least one of these.
_PASSED_ON = frozenset({b"x-forwarded-for", b"x-forwarded-host", b"x-real-ip", b"forwarded", b"via"})


class Addresses:
    """``trusted`` are networks of proxies, ``exempt`` those of clients that are not limited."""

    def __init__(self, trusted: Sequence[str], exempt: Sequence[str]) -> None:
        self._trusted = [ipaddress.ip_network(network) for network in trusted]
        self._exempt = [ipaddress.ip_network(network) for network in exempt]
        self._of_peer = functools.lru_cache(_REMEMBERED)(self._peer)
        self._subject = functools.lru_cache(_REMEMBERED)(self._subject_of)

    def subject(self, scope: Mapping[str, Any]) -> str | None:
        """Whom the request is counted for; None: it is not limited.

        A client with IPv6 has a whole /64 to choose from, so that is what is counted.
        """
        client = scope.get("client")
        trusted, subject = self._of_peer(client[0] if client else "")
        if not trusted:
            return subject
        return self._subject(_nearest(b",".join(v for name, v in scope["headers"] if name == b"x-forwarded-for")), subject)

    def is_near(self, scope: Mapping[str, Any]) -> bool:
        """Whether it comes from this machine or a trusted network by itself: what a proxy passes on is somebody else's."""
        client = scope.get("client")
        address = _parsed(client[0]) if client else None
        near = address is not None and (address.is_loopback or _within(address, self._trusted))
        return near and not any(name in _PASSED_ON for name, _ in scope["headers"])

    def _peer(self, text: str) -> tuple[bool, str | None]:
        address = _parsed(text)
        return address is not None and _within(address, self._trusted), self._counted(address)

    def _subject_of(self, forwarded: bytes, peer: str | None) -> str | None:
        """Each proxy adds at the right whom it heard; so the right-most that is none of ours is the client."""
        for hop in reversed(forwarded.split(b",")):
            address = _parsed(hop.decode("latin-1"))
            if address is None:
                return peer  # nothing, or nothing that we understand
            if not _within(address, self._trusted):
                return self._counted(address)
        return peer

    def _counted(self, address: _Address | None) -> str | None:
        if address is None:
            return "address:local"  # a socket in the file system has none
        if _within(address, self._exempt):
            return None
        if isinstance(address, ipaddress.IPv6Address):
            return f"address:{ipaddress.ip_network((address, 64), strict=False)}"
        return f"address:{address}"


def _nearest(forwarded: bytes) -> bytes:
    """The hops at the right, whole ones: what a client writes before them is as long as it likes, and is remembered."""
    if len(forwarded) <= FORWARDED:
        return forwarded
    return forwarded[-FORWARDED:].partition(b",")[2]


def _parsed(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address


def _within(address: _Address, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)
