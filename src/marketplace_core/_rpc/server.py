"""The other end of a far port: ``/_rpc`` of a service's internal listener, in bare ASGI; and what every process answers to
those who watch it: ``/healthz``, ``/readyz`` and ``/metrics``."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from marketplace_core import calls, metrics, tracing
from marketplace_core._rpc.client import CALL, DEADLINE, PREFIX, REPLAYED, authorization, read_call
from marketplace_core._rpc.codec import MethodCodec, encode_failure, port_methods
from marketplace_core.errors import MarketplaceError, Unavailable
from marketplace_core.http.direct import readiness
from marketplace_core.values import Audience

__all__ = ["Allowed", "InternalApplication"]

log = structlog.get_logger("marketplace.rpc")

#: What operators ask of each service, which is nobody's but theirs.
OPERATIONS = f"{PREFIX}core/"
BODY_LIMIT = 64 * 1024 * 1024

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Method = tuple[MethodCodec, Callable[..., Awaitable[Any]], metrics.Outcomes]
Answered = tuple[int, bytes, bool]

_CALL, _DEADLINE, _REPLAYED = CALL.encode(), DEADLINE.encode(), REPLAYED.encode()
_MSGPACK = (b"content-type", b"application/msgpack")
_JSON = (b"content-type", b"application/json")
_METRICS = (b"content-type", metrics.CONTENT_TYPE.encode())
#: What a caller's caller is told of a mistake between two processes.
_INTERNAL = encode_failure(MarketplaceError("http.internal", "Something went wrong on our side."))


class Allowed(Struct, frozen=True):
    """A process that calls: its name, and the audiences for whose people it does; None for whomever, as services do."""

    name: str
    audiences: tuple[Audience, ...] | None = None

    def may(self, path: str, call: calls.Call) -> bool:
        if self.audiences is None:
            return True
        return call.caller.audience in self.audiences and (not path.startswith(OPERATIONS) or "admin" in self.audiences)


def _digest(authorization: bytes) -> bytes:
    """By which a caller is looked up: how long that takes tells nothing of a key, as comparing keys would."""
    return hashlib.sha256(authorization).digest()


class InternalApplication:
    """ASGI. ``ports`` by name are what other processes may call: the declaring class and the service behind it."""

    def __init__(
        self,
        ports: Mapping[str, tuple[type, Any]],
        callers: Mapping[bytes, Allowed],
        ready: Callable[[], Awaitable[dict[str, str]]],
    ) -> None:
        """``callers``: by its key, who may call and for whom; ``ready`` says ``ok`` or a cause per resource."""
        self._methods: dict[str, Method] = {
            f"{PREFIX}{name}/{method}": (
                codec,
                getattr(service, method),
                metrics.Outcomes(metrics.RPC_SERVER, name, method, known=("ok", "refused", "failed")),
            )
            for name, (declared, service) in ports.items()
            for method, codec in port_methods(declared).items()
        }
        self._callers = {_digest(authorization(key).encode()): allowed for key, allowed in callers.items()}
        self._ready = ready
        # Replicas share an address: which of them it was is told. Not by the process that imported this: we are forked from it.
        self._healthy = msgspec.json.encode({"status": "ok", "pid": os.getpid()})
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def drained(self) -> None:
        await self._idle.wait()

    def close(self) -> None:
        """Nothing that is under way here waits for ever."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        self._under_way += 1
        self._idle.clear()
        try:
            path: str = scope["path"]
            if path.startswith(PREFIX):
                status, body, replayed = await self._answer(path, dict(scope["headers"]), receive)
                headers = [_MSGPACK, (_REPLAYED, b"1")] if replayed else [_MSGPACK]
            else:
                status, body = await self._watched(path)
                headers = [_METRICS if path == "/metrics" else _JSON]
            headers.append((b"content-length", str(len(body)).encode()))
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _watched(self, path: str) -> tuple[int, bytes]:
        if path == "/healthz":
            return 200, self._healthy
        if path == "/readyz":
            return await readiness(self._ready)
        if path == "/metrics":
            return 200, await metrics.exposition()
        return 404, b"{}"

    async def _answer(self, path: str, headers: Mapping[bytes, bytes], receive: Receive) -> Answered:
        allowed = self._callers.get(_digest(headers.get(b"authorization", b"")))
        if allowed is None:
            log.warning("rpc.unauthorized", path=path)
            return HTTPStatus.UNAUTHORIZED, _INTERNAL, False
        found = self._methods.get(path)
        if found is None:
            log.error("rpc.unknown", path=path)
            return HTTPStatus.NOT_FOUND, _INTERNAL, False
        codec, method, took = found
        try:
            arguments = codec.decode_arguments(await _read(receive))
            call = read_call(headers[_CALL].decode())
            seconds = int(headers[_DEADLINE]) / 1000
        except (KeyError, ValueError, msgspec.DecodeError) as error:
            log.error("rpc.malformed", path=path, cause=f"{type(error).__name__}: {error}")
            return HTTPStatus.BAD_REQUEST, _INTERNAL, False
        if not allowed.may(path, call):
            log.error("rpc.forbidden", path=path, process=allowed.name, audience=call.caller.audience)
            return HTTPStatus.FORBIDDEN, _INTERNAL, False
        began = time.perf_counter()
        span = None
        if tracing.recorded(call.trace):
            span = tracing.begin(path.removeprefix(PREFIX), "server", call.trace, {"rpc.system": "marketplace"})
        trace = call.trace if span is None else span.trace
        call = replace(call, deadline=time.monotonic() + seconds, trace=trace)
        answered = await _call(codec, method, arguments, call, seconds)
        status = answered[0]
        failed = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        took.observe("ok" if status == HTTPStatus.OK else "failed" if failed else "refused", time.perf_counter() - began)
        if span is not None:
            if failed:
                span.fail(str(status))
            span.end()
        return answered


async def _call(
    codec: MethodCodec, method: Callable[..., Awaitable[Any]], arguments: Any, call: calls.Call, seconds: float
) -> Answered:
    with calls.scope(call) as outcome:
        try:
            async with asyncio.timeout(seconds):
                value = await method(*arguments)
            return HTTPStatus.OK, codec.encode_answer(value), outcome.replayed
        except MarketplaceError as error:
            return error.status, encode_failure(error), outcome.replayed
        except TimeoutError:
            log.warning("rpc.too_late", method=codec.qualname, request_id=call.request_id)
            return HTTPStatus.SERVICE_UNAVAILABLE, encode_failure(Unavailable()), False
        except Exception as error:
            log.error("rpc.failed", method=codec.qualname, request_id=call.request_id, exc_info=error)
            return HTTPStatus.INTERNAL_SERVER_ERROR, _INTERNAL, False


async def _read(receive: Receive) -> bytes:
    """:raises ValueError: it is too long, or its sender went away."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ValueError("the caller went away")
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_LIMIT:
            raise ValueError("the body is too long")
        parts.append(part)
        if not message.get("more_body"):
            return parts[0] if len(parts) == 1 else b"".join(parts)
