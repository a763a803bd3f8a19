"""A client that does what a correct one does: it asks again with the same key until it is answered, and counts."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from marketplace_core.testing.client import Answer
from marketplace_core.testing.shop import PASSWORD

__all__ = ["NotAnswered", "Patient", "Tally"]

#: Seconds: of one try, and after which a request that nobody answers counts as lost.
TRY, PATIENCE = 15.0, 300.0


class NotAnswered(AssertionError):
    """Nobody answered for as long as anybody waits."""


@dataclass
class Tally:
    """``failed``: when, by the monotonic clock, a request had no answer or one of 5xx, and why. ``failed_reads`` are those of
    them that any proxy may repeat. Who was ``told_to_wait`` got 429, or 409 for a request under way."""

    sent: int = 0
    told_to_wait: int = 0
    failed: list[tuple[float, str]] = field(default_factory=list)
    failed_reads: list[tuple[float, str]] = field(default_factory=list)

    def begin(self) -> None:
        """Count from now on."""
        self.sent = self.told_to_wait = 0
        self.failed.clear()
        self.failed_reads.clear()

    def fail(self, method: str, path: str, cause: str) -> None:
        at = time.monotonic()
        self.failed.append((at, cause))
        if method == "GET":
            self.failed_reads.append((at, f"{path}: {cause}"))


class Patient:
    """One person on one audience, or nobody in particular: then ``email`` is None."""

    def __init__(self, session: aiohttp.ClientSession, prefix: str, tally: Tally, email: str | None = None) -> None:
        self.email = email
        self._session, self._prefix, self._tally = session, prefix, tally
        self._headers: dict[str, str] = {}
        self._keys = itertools.count(1)

    async def send(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """The answer to a request; all its tries have one key. :raises NotAnswered:"""
        headers = {} if method == "GET" else {"Idempotency-Key": key or f"{self.email}-{next(self._keys)}"}
        until = time.monotonic() + PATIENCE
        pause = 0.1
        last = ""
        while time.monotonic() < until:
            self._tally.sent += 1
            try:
                answer = await self._try(method, path, body, headers)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                last = type(error).__name__
                self._tally.fail(method, path, last)
            else:
                code = answer.body.get("code") if isinstance(answer.body, dict) else None
                last = f"{answer.status} {code}"
                if answer.status == 401 and code in {"auth.token_expired", "auth.token_invalid"} and self._headers:
                    await self.log_in()
                    continue
                if answer.status >= 500:
                    self._tally.fail(method, path, last)
                elif answer.status == 429 or code == "idempotency.in_flight":
                    self._tally.told_to_wait += 1
                else:
                    return answer
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            pause = min(pause * 2, 1.0)
        raise NotAnswered(f"{method} {path} as {self.email}: {last} for {PATIENCE:g} s")

    async def _try(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Answer:
        payload: dict[str, Any] = {} if body is None else {"json": body}
        async with (
            asyncio.timeout(TRY),
            self._session.request(
                method, self._prefix + path, headers={**self._headers, **headers}, allow_redirects=False, **payload
            ) as answer,
        ):
            content = await answer.read()
            decoded = await answer.json(content_type=None) if content and "json" in answer.content_type else content
            return Answer(answer.status, decoded, answer.headers)

    async def expect(self, method: str, path: str, body: Any = None, *statuses: int, key: str | None = None) -> Any:
        """The body of an answer with one of these statuses, 200 if none is said."""
        answer = await self.send(method, path, body, key=key)
        if answer.status not in (statuses or (200,)):
            raise AssertionError(f"{method} {path} as {self.email}: {answer.status} {answer.body}")
        return answer.body

    async def get(self, path: str) -> Any:
        return await self.expect("GET", path)

    async def register(self, name: str) -> None:
        """A first try may have been heard and its answer lost: then the account is there."""
        body = {"email": self.email, "password": PASSWORD, "name": name}
        answer = await self.send("POST", "/auth/register", body)
        if answer.status == 201:
            self._headers["Authorization"] = f"Bearer {answer.body['session']['access_token']}"
        else:
            await self.log_in()

    async def log_in(self) -> None:
        self._headers.clear()
        body = await self.expect("POST", "/auth/login", {"email": self.email, "password": PASSWORD})
        self._headers["Authorization"] = f"Bearer {body['session']['access_token']}"

    async def items(self, path: str) -> list[dict[str, Any]]:
        """A whole listing, page by page."""
        found: list[dict[str, Any]] = []
        cursor: str | None = None
        mark = "&" if "?" in path else "?"
        while True:
            page = await self.get(f"{path}{mark}limit=100" + (f"&cursor={cursor}" if cursor else ""))
            found += page["items"]
            cursor = page.get("next")
            if not cursor:
                return found
