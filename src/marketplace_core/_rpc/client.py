"""A port of another process: a client made from the ABC, over kept-alive HTTP to ``/_rpc`` of the owning service.

What is unknown after a try is asked again with the same key, as long as the port allows it and somebody still waits. A service
that does not answer is left alone for a moment: then calls fail at once instead of waiting one after the other.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
import msgspec
import structlog
from msgspec.structs import replace

from marketplace_core import calls, metrics, tracing
from marketplace_core._rpc.codec import MethodCodec, decode_failure, port_methods
from marketplace_core.errors import MarketplaceError, Unavailable
from marketplace_core.values import new_id

__all__ = [
    "CALL",
    "DEADLINE",
    "PREFIX",
    "REPLAYED",
    "Breaker",
    "Target",
    "authorization",
    "far_port",
    "read_call",
]

log = structlog.get_logger("marketplace.rpc")

P = TypeVar("P")

#: Where ports are answered.
PREFIX = "/_rpc/"
#: Headers: the call (base64 of MessagePack), the milliseconds that the caller still waits, and whether an answer was stored.
CALL, DEADLINE, REPLAYED = "x-marketplace-call", "x-marketplace-deadline", "x-marketplace-replayed"

#: How long a call without a deadline of its own may take, every try included.
PATIENCE_SECONDS = 30.0
#: Pauses before each further try, each times 0.5 to 1.5; the last one repeats.
RETRY_PAUSES = (0.05, 0.2, 0.5, 1.0)
#: How long a call that a breaker holds back waits before it asks again whether it may try.
HELD_SECONDS = 0.05
KEEP_ALIVE_SECONDS = 30.0

_encode = msgspec.msgpack.Encoder().encode
_decode_call = msgspec.msgpack.Decoder(calls.Call).decode


def authorization(key: bytes) -> str:
    """What a process says who it is by; ``key`` is that of the caller and the called."""
    return f"Bearer {base64.urlsafe_b64encode(key).decode()}"


def read_call(header: str) -> calls.Call:
    """:raises ValueError, msgspec.DecodeError: it is none."""
    return _decode_call(base64.b64decode(header, validate=True))


class Breaker:
    """Whether a service is worth asking. ``failures`` in a row without an answer open it; then one call each ``pause`` tries.

    What opened ``patience`` seconds ago is not waited for any more.
    """

    def __init__(
        self, failures: int = 5, pause: float = 0.2, patience: float = 5.0, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._pause, self._patience, self._now = failures, pause, patience, now
        self._failures = 0
        self.opened: Callable[[bool], None] = lambda _: None
        """Told whenever it opens or closes."""
        self._opened = self._tried = 0.0

    @property
    def is_open(self) -> bool:
        return self._failures >= self._limit

    @property
    def hopeless(self) -> bool:
        """Open for so long that a caller is better told at once."""
        return self.is_open and self._now() - self._opened > self._patience

    def admit(self) -> bool:
        """Whether this call may try. While open, the one that may begins the pause of the others anew."""
        if not self.is_open:
            return True
        now = self._now()
        if now - self._tried < self._pause:
            return False
        self._tried = now
        return True

    def succeeded(self) -> None:
        if self.is_open:
            self.opened(False)
        self._failures = 0

    def failed(self) -> None:
        self._failures += 1
        if self._failures == self._limit:
            self._opened = self._tried = self._now()
            self.opened(True)


class _Lost(Exception):
    """No answer. ``sent``: the request may have arrived, so the outcome is unknown."""

    def __init__(self, cause: BaseException, *, sent: bool) -> None:
        super().__init__(type(cause).__name__)
        self.sent = sent


class Target:
    """A service as other processes reach it. Its connections are opened by the first call, on the loop that runs then."""

    def __init__(self, service: str, address: str, key: bytes) -> None:
        self.service = service
        self.breaker = Breaker()
        self.breaker.opened = _counted(service)
        self._base = address.rstrip("/") + PREFIX
        self._headers = {"authorization": authorization(key), "content-type": "application/msgpack"}
        self._session: aiohttp.ClientSession | None = None

    async def post(self, path: str, body: bytes, call: str, seconds: float) -> tuple[int, bytes, bool]:
        """Status, body, and whether the answer was a stored one. :raises _Lost: there was none within ``seconds``."""
        headers = {**self._headers, CALL: call, DEADLINE: str(int(seconds * 1000))}
        try:
            async with (
                asyncio.timeout(seconds),
                self._opened().post(self._base + path, data=body, headers=headers, allow_redirects=False) as response,
            ):
                return response.status, await response.read(), REPLAYED in response.headers
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise _Lost(error, sent=False) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _Lost(error, sent=True) from error

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=2.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session

    async def close(self) -> None:
        if self._session is not None:
            with contextlib.suppress(Exception):
                await self._session.close()


def _counted(service: str) -> Callable[[bool], None]:
    is_open, openings = metrics.BREAKER_OPEN.labels(service), metrics.BREAKER_OPENINGS.labels(service)

    def opened(now: bool) -> None:
        is_open.set(now)
        if now:
            openings.inc()

    return opened


def far_port(name: str, capability: type[P], target: Target) -> P:
    """The port ``name`` of the service at ``target``."""
    methods = {method: _far_method(name, method, codec, target) for method, codec in port_methods(capability).items()}
    made: P = type(f"Far{capability.__name__}", (capability,), methods)()
    return made


def _far_method(capability: str, method: str, codec: MethodCodec, target: Target) -> Callable[..., Awaitable[Any]]:
    path = f"{capability}/{method}"
    needs_key = codec.mark.kind == "mutation" and codec.mark.retriable
    labels = target.service, capability, method
    took = metrics.Outcomes(metrics.RPC_CLIENT, *labels, known=("ok", "refused", "failed"))
    retries = metrics.RPC_RETRIES.labels(*labels)

    async def send(self: object, *args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        call = calls.current()
        span = None
        if tracing.recorded(call.trace):
            span = tracing.begin(path, "client", call.trace, {"rpc.system": "marketplace", "peer.service": target.service})
            call = call if span is None else replace(call, trace=span.trace)
        error: BaseException | None = None
        try:
            return await attempt(call, args, kwargs)
        except BaseException as caught:
            error = caught
            raise
        finally:
            took.observe(_outcome(error), time.perf_counter() - began)
            if span is not None:
                span.end(error)

    async def attempt(call: calls.Call, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        until = call.deadline or time.monotonic() + max(PATIENCE_SECONDS, codec.mark.seconds)
        if call.deadline is not None or (needs_key and call.key is None):
            call = replace(call, deadline=None, key=call.key or (new_id() if needs_key else None))
        body = codec.encode_arguments(args, kwargs)
        carried = base64.b64encode(_encode(call)).decode()
        status, raw, replayed = await _ask(target, path, codec, body, carried, until, retries.inc)
        if replayed:
            calls.mark_replayed()
        if status != HTTPStatus.OK:
            raise _failure(target, path, status, raw)
        return codec.decode_answer(raw)

    send.__name__, send.__qualname__ = codec.name, codec.qualname
    return send


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    return "refused" if isinstance(error, MarketplaceError) and error.is_refusal else "failed"


async def _ask(
    target: Target, path: str, codec: MethodCodec, body: bytes, call: str, until: float, lost_one: Callable[[], None]
) -> tuple[int, bytes, bool]:
    """One answer, after as many tries as the port and the deadline allow. :raises Unavailable: there was none.

    ``lost_one`` is called after each try without an answer.
    """
    tries = 0
    while True:
        left = until - time.monotonic()
        if not target.breaker.admit():
            if target.breaker.hopeless or left <= HELD_SECONDS:
                raise Unavailable(f"The service {target.service!r} does not answer.")
            await asyncio.sleep(HELD_SECONDS)
            continue
        try:
            answer = await target.post(path, body, call, min(left, codec.mark.seconds))
        except _Lost as lost:
            target.breaker.failed()
            lost_one()
            pause = RETRY_PAUSES[min(tries, len(RETRY_PAUSES) - 1)] * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
            tries += 1
            log.warning("rpc.lost", service=target.service, method=path, attempt=tries, cause=str(lost))
            over = target.breaker.hopeless or time.monotonic() + pause >= until
            if over or (lost.sent and not codec.mark.retriable):
                raise Unavailable(f"The service {target.service!r} does not answer.") from lost
            await asyncio.sleep(pause)
        else:
            target.breaker.succeeded()
            return answer


def _failure(target: Target, path: str, status: int, raw: bytes) -> MarketplaceError:
    try:
        return decode_failure(raw)
    except (msgspec.DecodeError, ValueError):
        log.error("rpc.unreadable", service=target.service, method=path, status=status)
        return Unavailable(f"The service {target.service!r} cannot be understood.")
