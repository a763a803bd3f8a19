"""One request and its answer, as the layers around Quart and the views inside it share them."""

from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, BinaryIO

from msgspec import Struct

from marketplace_core.calls import new_trace
from marketplace_core.errors import MarketplaceError
from marketplace_core.values import Caller, new_id

if TYPE_CHECKING:
    from marketplace_core.adapters.redis.reads import EncodedReads, Ticket
    from marketplace_core.http._bodies import Body
    from marketplace_core.http.limits import Headroom, RateLimiter
    from marketplace_core.http.replies import Reply
    from marketplace_core.http.routing import Route
    from marketplace_core.http.sse import EventStream, Streams

__all__ = ["GUARDED", "POLICY", "Exchange", "Fill"]

_SCOPE_KEY = "marketplace"
#: On every answer: it is what it says that it is, a page made of it loads nothing and is in no other's frame, and no address of
#: ours is told to others. What is shown as a page has a policy of its own.
GUARDED = (("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"))
POLICY = ("content-security-policy", "default-src 'none'; base-uri 'none'; frame-ancestors 'none'")
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:@/+=-]{1,128}").fullmatch
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}").fullmatch


class Fill(Struct, frozen=True):
    """An encoded read that was looked for and not found: where its view puts it."""

    route: Route
    reads: EncodedReads
    ticket: Ticket


class Exchange:
    """Found in the ASGI scope; made by whoever needs it first. ``status`` is None until there is an answer.

    ``body`` is what still comes of one, and ``files`` are those that came in it. ``streams`` are those that the application has
    open, for it to end. ``address`` is whom the request is counted for until it is known who makes it, and None where nothing
    is limited; ``room`` is what is left to whom it was counted for.
    """

    __slots__ = (
        "_trace",
        "address",
        "body",
        "caller",
        "files",
        "fill",
        "headers",
        "limiter",
        "request_id",
        "room",
        "route",
        "status",
        "stream",
        "streams",
    )

    def __init__(self, scope: MutableMapping[str, Any]) -> None:
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        given = self.headers.get(b"x-request-id")
        self.request_id = given.decode() if given is not None and _REQUEST_ID(given) else new_id()
        self._trace: str | None = None
        self.status: int | None = None
        self.caller: Caller | None = None
        self.route: Route | None = None
        self.fill: Fill | None = None
        self.files: list[BinaryIO] = []
        self.body: Body | None = None
        self.stream: EventStream | None = None
        self.streams: Streams | None = None
        self.limiter: RateLimiter | None = None
        self.address: str | None = None
        self.room: Headroom | None = None
        scope[_SCOPE_KEY] = self

    @classmethod
    def of(cls, scope: MutableMapping[str, Any]) -> Exchange:
        found: Exchange | None = scope.get(_SCOPE_KEY)
        return cls(scope) if found is None else found

    @property
    def trace(self) -> str:
        """The ``traceparent`` of what the request causes: that of its span, else the one that came, else a new one."""
        if self._trace is None:
            self._trace = self.given_trace or new_trace()
        return self._trace

    @property
    def given_trace(self) -> str | None:
        """The ``traceparent`` that came, if it is one."""
        given = self.headers.get(b"traceparent")
        return given.decode("latin-1") if given is not None and _TRACEPARENT(given) else None

    def follow(self, trace: str) -> None:
        """From here on this is the request's ``traceparent``."""
        self._trace = trace

    def count(self, subject: str | None = None) -> None:
        """Count the request, once, for a subject or for its address. :raises MarketplaceError: 429."""
        if self.room is None and self.limiter is not None and self.address is not None:
            self.take(self.limiter.general(subject or self.address))

    def take(self, room: Headroom) -> None:
        """What is left is told to the client. :raises MarketplaceError: 429, nothing was."""
        self.room = room
        if room.retry_after:
            raise MarketplaceError("http.rate_limited", "Too many requests; wait a while.", retry_after=room.retry_after)

    def conclude(self, reply: Reply) -> Reply:
        """The answer is this."""
        self.status = reply.status
        reply.headers += GUARDED
        if all(name != POLICY[0] for name, _ in reply.headers):
            reply.headers.append(POLICY)
        if self.room is not None:
            reply.headers += self.room.headers()
        return reply

    def open(self, stream: EventStream, subject: str | None) -> None:
        """The answer is this stream, counted for ``subject``. :raises MarketplaceError: 429, it has enough of them."""
        self.stream = stream
        if self.streams is not None:
            self.streams.check(subject)
            self.streams.add(stream, subject)

    async def close(self) -> None:
        """The exchange is over, whoever ended it."""
        if self.body is not None:
            self.body.close()
        if self.stream is not None:
            await self.stream.aclose()
            if self.streams is not None:
                self.streams.discard(self.stream)

    def header(self, name: bytes) -> str | None:
        """A header's value, by its name in lower case."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def text_headers(self) -> dict[str, str]:
        return {name.decode("latin-1"): value.decode("latin-1") for name, value in self.headers.items()}
