"""Asking an address that somebody else has given us: a person's webhook, a picture to fetch.

Whoever gives the address chooses what a process of ours connects to. So a name is resolved once, every address that it has is
looked at, and the connection goes to one of those and to no other (no DNS rebinding); no redirect is followed; and neither the
time nor the size of an answer is the other's choice. For a service that the deployment's file names, use
:class:`~marketplace_core.http.client.JsonClient`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct
from yarl import URL

from marketplace_core.errors import Invalid, Problem
from marketplace_core.http.client import outgoing

__all__ = ["Answer", "Egress", "Resolver", "Unreached", "UnreachedReason", "is_public"]

log = structlog.get_logger("marketplace.egress")

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name, the preferred ones first. :raises OSError: it has none."""

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

#: What an answer may take, from the name's resolution to the last byte that is read.
SECONDS = 10.0
MOST_BYTES = 65_536
#: As much of an address as browsers and proxies agree on.
LONGEST_URL = 2000
#: Threads that ask for names: whoever owns a name may let us wait for it.
NAMES_AT_ONCE = 8

_GLOBAL_V6 = ipaddress.ip_network("2000::/3")
#: The v4 address is in the last four bytes: of NAT64 (RFC 6052), by which a host without IPv4 reaches those that have no other.
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
#: What ``is_global`` lets pass: relays into IPv4, documentation, and where clouds answer their own machines.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(each) for each in ("2002::/16", "3fff::/20", "192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")
)


def is_public(address: IpAddress) -> bool:
    """Whether it is of a host of the internet: not private, shared, loopback, link-local (cloud metadata), multicast, reserved,
    nor an IPv4 address in the clothes of an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address not in _GLOBAL_V6:
            return False
    if any(address.version == network.version and address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


UnreachedReason = Literal["address_refused", "unresolved", "timeout", "no_connection", "unreadable"]


class Unreached(Exception):
    """No answer came. ``address_refused``: none of ours may connect there; ``unresolved``: the name has no address;
    ``no_connection``: it was refused, or ended early; ``unreadable``: what came is no answer of HTTP."""

    def __init__(self, reason: UnreachedReason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail


class Answer(Struct, frozen=True):
    """``body`` is as it came over the wire, and the beginning of it where it is not ``whole``."""

    status: int
    body: bytes
    whole: bool


class Egress:
    """Makes requests on behalf of others. Each has a connection of its own."""

    def __init__(
        self,
        name: str,
        *,
        private: bool = False,
        seconds: float = SECONDS,
        resolve: Resolver | None = None,
        allow: Callable[[IpAddress], bool] = is_public,
        schemes: Collection[str] = ("https",),
    ) -> None:
        """``name`` is what metrics call it. ``private``: any address will do, and plain HTTP, as in the embedded profile.

        ``seconds`` is what a request may take. ``resolve``, ``allow`` and ``schemes`` stand in for the system's resolver, for
        :func:`is_public` and for TLS.
        """
        self._name = name
        self._schemes = ("https", "http") if private else schemes
        self._seconds = seconds
        self._resolve = resolve
        self._allow = (lambda _: True) if private else allow
        self._session: aiohttp.ClientSession | None = None
        self._names: ThreadPoolExecutor | None = None

    def check(self, url: str, pointer: str = "/url") -> None:
        """For who stores ``url`` and asks later. A name is not resolved: what it leads to may change at any time.

        :raises Invalid: it can never be asked.
        """
        problem = self._problem(url)
        if problem is not None:
            raise Invalid([Problem(pointer, "egress.bad_url", problem)])

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        most: int = MOST_BYTES,
    ) -> Answer:
        """The answer, a redirect being one. At most ``most`` bytes of its body are read; 0: only its status is waited for.

        :raises Unreached: none came in time.
        """
        problem = self._problem(url)
        if problem is not None:
            raise Unreached("address_refused", problem)
        with outgoing(self._name, method, "") as sent:
            sent |= {"user-agent": "marketplace", "accept-encoding": "identity", **(headers or {})}
            try:
                async with asyncio.timeout(self._seconds):
                    return await self._exchange(method, URL(url), sent, body, most)
            except TimeoutError:
                raise Unreached("timeout", f"There was no answer within {self._seconds:g} s.") from None
            except (aiohttp.ClientConnectionError, OSError) as error:
                log.info("egress.no_connection", egress=self._name, cause=type(error).__name__)
                raise Unreached("no_connection", "There was no connection, or it ended early.") from None
            except (aiohttp.ClientError, ValueError) as error:
                log.info("egress.unreadable", egress=self._name, cause=type(error).__name__)
                raise Unreached("unreadable", "What came is no answer of HTTP.") from None

    async def _exchange(self, method: str, url: URL, headers: Mapping[str, str], body: bytes | None, most: int) -> Answer:
        async with self._opened().request(method, url, headers=headers, data=body, allow_redirects=False) as response:
            found = bytearray()
            while len(found) <= most and most and not response.content.at_eof():
                found += await response.content.readany()
            return Answer(response.status, bytes(found[:most]), len(found) <= most and response.content.at_eof())

    def _problem(self, text: str) -> str | None:
        """Why nobody is asked there, as far as the address itself says."""
        try:
            url = URL(text)
            host = url.host
        except ValueError:
            return "This is no URL."
        if len(text) > LONGEST_URL or not text.isprintable() or " " in text or not host:
            return "This is no URL with a host."
        if url.scheme not in self._schemes:
            return f"The URL begins with {' or '.join(f'{scheme}://' for scheme in self._schemes)}."
        if url.user is not None or url.password is not None:
            return "The URL holds no user and no password."
        return self._refusal(host) if ":" in host or host.replace(".", "").isdigit() else None

    def _refusal(self, address: str) -> str | None:
        """Also of what only some take for an address, as ``127.1``, which is given to no resolver."""
        with contextlib.suppress(ValueError):
            if self._allow(ipaddress.ip_address(address)):
                return None
        return "The URL leads to an address that is not public."

    # ── names ────────────────────────────────────────────────────────────────────────────────────────────────

    async def addresses(self, host: str) -> Sequence[str]:
        """What a name leads to, each looked at: one that is not public among them is no oversight.

        :raises Unreached: see there.
        """
        try:
            found = await (self._resolve or self._ask_system)(host)
        except (OSError, UnicodeError):
            found = ()
        if not found:
            raise Unreached("unresolved", "The name has no address.")
        for address in found:
            if (refusal := self._refusal(address)) is not None:
                raise Unreached("address_refused", refusal)
        return found

    async def _ask_system(self, host: str) -> Sequence[str]:
        if self._names is None:
            self._names = ThreadPoolExecutor(NAMES_AT_ONCE, thread_name_prefix="egress")
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._names, lambda: socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
        # A zone (fe80::1%eth0) is of this machine only, and so is the address.
        return list(dict.fromkeys(str(place[0]).partition("%")[0] for *_, place in found))

    def _opened(self) -> aiohttp.ClientSession:
        """On the loop that first asks."""
        if self._session is None:
            # No connection is kept: the next request resolves the name anew, and is judged by what it leads to then.
            connector = aiohttp.TCPConnector(resolver=_Judged(self), use_dns_cache=False, force_close=True, limit=100)
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),  # each request has its own
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._names is not None:
            self._names.shutdown(wait=False, cancel_futures=True)
            self._names = None


class _Judged(AbstractResolver):
    """What the connection is made by: nobody resolves the name again after it was judged."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in await self._egress.addresses(host)
        ]

    async def close(self) -> None:
        pass
