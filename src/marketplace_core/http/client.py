"""Asking a service outside of the marketplace: JSON over kept-alive HTTP, with a time limit and two kinds of failure.

What a plugin's adapter makes of it: :class:`Declined` becomes one of the capability's refusals, while
:class:`~marketplace_core.errors.Unavailable` passes as it is and is asked again with the same key.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from marketplace_core import calls, metrics, tracing
from marketplace_core.errors import MarketplaceError, Unavailable

__all__ = ["Declined", "JsonClient", "outgoing"]

T = TypeVar("T")

#: Answers of 4xx that say nothing about the request itself.
_LATER = frozenset({408, 425, 429})


class Declined(Exception):
    """The service decided against the request (4xx); ``code`` and ``detail`` are its own words."""

    def __init__(self, status: int, code: str, detail: str) -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status, self.code, self.detail = status, code, detail


@contextlib.contextmanager
def outgoing(service: str, method: str, path: str) -> Iterator[dict[str, str]]:
    """Around one request to a service outside, whichever client makes it: counts it, and gives the headers to send with it."""
    parent = calls.current().trace
    about = {"http.request.method": method, "url.path": path, "peer.service": service}
    span = tracing.begin(f"{method} {service}", "client", parent, about) if tracing.recorded(parent) else None
    trace = parent if span is None else span.trace
    error: BaseException | None = None
    began = time.perf_counter()
    try:
        yield {"traceparent": trace} if trace else {}
    except BaseException as caught:
        error = caught
        raise
    finally:
        _took(service).observe(_outcome(error), time.perf_counter() - began)
        if span is not None:
            span.end(error)


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    refused = isinstance(error, Declined) or (isinstance(error, MarketplaceError) and error.is_refusal)
    return "declined" if refused else "failed"


@functools.cache
def _took(service: str) -> metrics.Outcomes:
    return metrics.Outcomes(metrics.EXTERNAL, service, known=("ok", "declined", "failed"))


class _Words(Struct):
    code: str = ""
    detail: str = ""


class JsonClient:
    """One service at ``url``. Its session is opened by the first request, on the loop that runs then."""

    def __init__(self, name: str, url: str, *, seconds: float = 10.0) -> None:
        """``name`` is how errors call the service; ``seconds`` is what a request may take, answer included."""
        self._name = name
        self._url = url.rstrip("/")
        self._timeout = aiohttp.ClientTimeout(total=seconds)
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        body: Any = None,
        key: str | None = None,
        params: Mapping[str, str] | None = None,
    ) -> T:
        """The decoded answer. ``key`` is sent as ``Idempotency-Key``.

        :raises Declined: 4xx. :raises Unavailable: no answer, in time or that can be read, or 5xx: the outcome is unknown.
        """
        raw = await self._send(method, path, body, key, params)
        try:
            return msgspec.json.decode(raw, type=answer)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unavailable(f"The {self._name} answered what cannot be read.") from error

    async def send(self, method: str, path: str, *, body: Any = None, key: str | None = None) -> None:
        """For what has no answer but that it was done. Raises as :meth:`ask` does."""
        await self._send(method, path, body, key, None)

    async def fetch(self, path: str) -> bytes:
        """A document that is not JSON. Raises as :meth:`ask` does."""
        return await self._send("GET", path, None, None, None)

    async def _send(self, method: str, path: str, body: Any, key: str | None, params: Mapping[str, str] | None) -> bytes:
        with outgoing(self._name, method, path) as headers:
            return await self._exchange(method, path, body, key, params, headers)

    async def _exchange(
        self, method: str, path: str, body: Any, key: str | None, params: Mapping[str, str] | None, headers: dict[str, str]
    ) -> bytes:
        if key is not None:
            headers["idempotency-key"] = key
        data = None
        if body is not None:
            headers["content-type"] = "application/json"
            data = msgspec.json.encode(body)
        try:
            async with self._opened().request(
                method, self._url + path, data=data, headers=headers, params=params, allow_redirects=False
            ) as response:
                raw = await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(f"The {self._name} does not answer ({type(error).__name__}).") from error
        if 200 <= status < 300:
            return raw
        if 400 <= status < 500 and status not in _LATER:
            raise _declined(status, raw)
        raise Unavailable(f"The {self._name} answered {status}.")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    async def close(self) -> None:
        """Give the connections back; a later request opens new ones."""
        if self._session is not None:
            await self._session.close()


def _declined(status: int, raw: bytes) -> Declined:
    try:
        words = msgspec.json.decode(raw, type=_Words)
    except (msgspec.DecodeError, UnicodeDecodeError):
        words = _Words()
    return Declined(status, words.code, words.detail)
