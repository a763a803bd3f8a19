"""An HTTP client as a shopper, a seller or a carrier would write it: JSON in and out, one audience, perhaps a token."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import aiohttp
import msgspec

from marketplace_core.testing.transcript import Transcript

__all__ = ["Answer", "Client", "Sent", "Unexpected", "clients"]


class Answer(NamedTuple):
    """``body`` is decoded JSON, else bytes; ``headers`` are case-insensitive."""

    status: int
    body: Any
    headers: Mapping[str, str]


class Sent(NamedTuple):
    """A server-sent event; ``data`` is decoded."""

    id: str | None
    event: str
    data: Any


class Unexpected(AssertionError):
    """An answer that the test did not expect; says what came."""


class Client:
    """``headers`` go with every request: ``Authorization`` after a login, ``X-Cart-Token`` of a guest."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        prefix: str,
        audience: str,
        transcript: Transcript | None = None,
        own: Callable[[str], str] = str,
    ) -> None:
        """``own`` gives the address that somebody of this test has, where others are on the marketplace too."""
        self._session, self._own = session, own
        self._prefix = prefix
        self._transcript = transcript
        self.audience = audience
        self.headers: dict[str, str] = {}

    async def send(
        self, method: str, path: str, body: Any = None, *, headers: Mapping[str, str] | None = None, raw: bytes | None = None
    ) -> Answer:
        sent = {**self.headers, **(headers or {})}
        url = self._prefix + path
        payload: dict[str, Any] = {"data": raw} if raw is not None else {"json": body} if body is not None else {}
        async with self._session.request(method, url, headers=sent, allow_redirects=False, **payload) as answer:
            content = await answer.read()
            decoded = await answer.json(content_type=None) if content and "json" in answer.content_type else content
            return Answer(answer.status, decoded, answer.headers)

    async def listen(self, path: str, last: str | None = None, *, until: int = 100) -> list[Sent]:
        """Server-sent events until the stream ends, or until there are so many. ``last`` is the id after which to go on."""
        headers = {**self.headers, **({"Last-Event-ID": last} if last is not None else {})}
        got: list[Sent] = []
        async with self._session.get(self._prefix + path, headers=headers) as stream:
            if stream.status != 200 or stream.content_type != "text/event-stream":
                raise Unexpected(f"GET {self.audience} {path}: {stream.status} {stream.content_type}")
            fields: dict[str, str] = {}
            async for raw in stream.content:
                name, _, value = raw.decode().rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "event" in fields:
                    got.append(Sent(fields.get("id"), fields["event"], msgspec.json.decode(fields["data"])))
                    fields = {}
                    if len(got) == until:
                        break
        return got

    async def get(self, path: str, status: int = 200, **headers: str) -> Any:
        return await self._expect("GET", path, None, status, headers)

    async def post(self, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        return await self._expect("POST", path, body, status, headers)

    async def upload(self, path: str, files: Sequence[tuple[str, bytes]], status: int = 202, **headers: str) -> Any:
        """Files by name, in one form. They are noted by their names."""
        form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
        for name, content in files:
            form.add_field("file", io.BytesIO(content), filename=name, content_type="application/octet-stream")
        sent = {**self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with self._session.post(self._prefix + path, data=form, headers=sent) as answer:
            content = await answer.read()
            body = msgspec.json.decode(content) if content else None
            if answer.status != status:
                raise Unexpected(f"POST {self.audience} {path}: {answer.status} and not {status}: {body}")
            got = Answer(answer.status, body, answer.headers)
        return self._noted("POST", path, {"file": [name for name, _ in files]}, got)

    async def put(self, path: str, body: Any, status: int = 200, **headers: str) -> Any:
        return await self._expect("PUT", path, body, status, headers)

    async def patch(self, path: str, body: Any, status: int = 200, **headers: str) -> Any:
        return await self._expect("PATCH", path, body, status, headers)

    async def delete(self, path: str, status: int = 204, **headers: str) -> Any:
        return await self._expect("DELETE", path, None, status, headers)

    async def _expect(self, method: str, path: str, body: Any, status: int, headers: Mapping[str, str]) -> Any:
        """The body of an answer with that status."""
        return self._noted(method, path, body, await self._ask(method, path, body, status, headers))

    async def _ask(self, method: str, path: str, body: Any, status: int, headers: Mapping[str, str]) -> Answer:
        """Header names are given with ``_`` for ``-``."""
        answer = await self.send(method, path, body, headers={name.replace("_", "-"): v for name, v in headers.items()})
        if answer.status != status:
            raise Unexpected(f"{method} {self.audience} {path}: {answer.status} and not {status}: {answer.body}")
        return answer

    def _noted(self, method: str, path: str, sent: Any, answer: Answer) -> Any:
        if self._transcript is not None:
            self._transcript.add(self.audience, method, path, sent, answer.status, answer.headers, answer.body)
        return answer.body

    async def until(self, path: str, good: Callable[[Any], bool], seconds: float = 10.0, **headers: str) -> Any:
        """Read again until the answer is good. :raises Unexpected: it did not become so in time."""
        deadline = asyncio.get_running_loop().time() + seconds
        while True:
            answer = await self._ask("GET", path, None, 200, headers)
            if good(answer.body):
                return await self._rested(path, headers) if self._transcript is not None else answer.body
            if asyncio.get_running_loop().time() > deadline:
                raise Unexpected(f"{path} after {seconds} s: {answer.body}")
            await asyncio.sleep(0.02)

    async def _rested(self, path: str, headers: Mapping[str, str]) -> Any:
        """The answer once nothing is under way any more: before that it may be another in each run."""
        if self._transcript is not None:
            await self._transcript.rest()
        return await self._expect("GET", path, None, 200, headers)

    async def register(self, email: str, password: str = "correct horse battery", name: str = "Ada") -> Any:  # noqa: S107
        """Register, and be logged in from now on."""
        return self._signed_in(
            await self.post("/auth/register", {"email": self._own(email), "password": password, "name": name}, 201)
        )

    async def log_in(self, email: str, password: str = "correct horse battery") -> Any:  # noqa: S107
        return self._signed_in(await self.post("/auth/login", {"email": self._own(email), "password": password}))

    def _signed_in(self, body: Any) -> Any:
        self.headers["Authorization"] = f"Bearer {body['session']['access_token']}"
        self.headers.pop("X-Cart-Token", None)
        return body


@contextlib.asynccontextmanager
async def clients(
    where: str | Mapping[str, str], transcript: Transcript | None = None, own: Callable[[str], str] = str
) -> AsyncIterator[Callable[[str], Client]]:
    """``make(audience)`` gives a client with nobody logged in; they share their connections.

    ``where``: the address of all audiences, or the prefix of each. ``transcript`` notes what each is answered.
    """

    def prefix(audience: str) -> str:
        return f"{where}/{audience}/v1" if isinstance(where, str) else where[audience]

    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session:
        yield lambda audience: Client(session, prefix(audience), audience, transcript, own)
