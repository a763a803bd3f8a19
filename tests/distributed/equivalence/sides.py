"""One of two deployments that are asked the same: its addresses, its clock, and whether it is at rest."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import aiohttp

from tests.distributed.equivalence.same import Reply

__all__ = ["Asked", "Side", "common_beginning"]

#: Seconds that one may take to come to rest.
PATIENCE = 120.0


@dataclass(frozen=True)
class Asked:
    """A request. ``files``: of a form, by name; ``raw``: a body as it is."""

    audience: str
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any = None
    files: tuple[tuple[str, bytes], ...] = ()
    raw: bytes | None = None

    def curl(self) -> str:
        parts = [f"curl -X {self.method} '{self.audience} {self.path}'"]
        parts += [f"-H '{name}: {value}'" for name, value in self.headers.items()]
        parts += [f"-F 'file=@{name}'" for name, _ in self.files]
        if self.body is not None:
            parts.append(f"--json '{json.dumps(self.body, ensure_ascii=False)}'")
        if self.raw is not None:
            parts.append(f"--data-binary '{self.raw[:80].decode(errors='replace')}'")
        return " ".join(parts)


class Side:
    """``audiences`` and ``simulators`` are prefixes by name. ``admin``: e-mail and password of an operator."""

    def __init__(
        self,
        name: str,
        session: aiohttp.ClientSession,
        audiences: Mapping[str, str],
        simulators: Mapping[str, str],
        admin: Mapping[str, str],
    ) -> None:
        self.name, self._session, self._audiences, self._simulators = name, session, audiences, simulators
        self._admin = admin
        self._key: dict[str, str] = {}
        self.waited = 0.0

    async def open(self) -> None:
        """Get a key that outlives every move of the clock."""
        login = await self._operate("POST", "/auth/login", dict(self._admin))
        self._key = {"Authorization": f"Bearer {login['session']['access_token']}"}
        made = await self._operate("POST", "/api-keys", {"name": "who compares", "audience": "admin"})
        self._key = {"Authorization": f"Bearer {made['key']}"}

    async def send(self, asked: Asked) -> Reply:
        payload: dict[str, Any] = {}
        if asked.files:
            form = aiohttp.FormData(quote_fields=False, default_to_multipart=True)
            for name, content in asked.files:
                form.add_field("file", content, filename=name, content_type="application/octet-stream")
            payload["data"] = form
        elif asked.raw is not None:
            payload["data"] = asked.raw
        elif asked.body is not None:
            payload["json"] = asked.body
        url = self._audiences[asked.audience] + asked.path
        async with self._session.request(
            asked.method, url, headers=dict(asked.headers), allow_redirects=False, **payload
        ) as answer:
            return Reply(answer.status, answer.headers, _decoded(await answer.read(), answer.content_type))

    async def fetch(self, url: str) -> Reply:
        """A picture, whose address has a host or has none."""
        whole = url if "://" in url else self._audiences["buyer"].removesuffix("/buyer/v1") + url
        async with self._session.get(whole) as answer:
            return Reply(answer.status, answer.headers, await answer.read())

    async def simulate(self, simulator: str, path: str, body: Any) -> int:
        """Something happens outside: what a card's holder or a carrier does; gives the status."""
        async with self._session.post(self._simulators[simulator] + path, json=body) as answer:
            return answer.status

    async def set_clock(self, to: datetime) -> None:
        await self._operate("POST", "/clock", {"to": to.isoformat()})

    async def clock(self) -> datetime:
        return datetime.fromisoformat((await self._operate("GET", "/clock"))["now"])

    async def rest(self) -> None:
        """Until nothing is under way any more. :raises AssertionError: it does not come to rest; says what is left."""
        began = time.monotonic()
        while True:
            status, counts = await self._try("GET", "/quiesce")
            if status == 200:
                self.waited += time.monotonic() - began
                return
            if time.monotonic() > began + PATIENCE:
                raise AssertionError(f"{self.name} does not come to rest: {counts}")
            await asyncio.sleep(0.03)

    async def _operate(self, method: str, path: str, body: Any = None) -> Any:
        status, answered = await self._try(method, path, body)
        if status >= 300:
            raise AssertionError(f"{self.name}: {method} {path}: {status} {answered}")
        return answered

    async def _try(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        url = self._audiences["admin"] + path
        async with self._session.request(method, url, json=body, headers=self._key) as answer:
            return answer.status, json.loads(await answer.read())


def _decoded(content: bytes, type_: str) -> Any:
    if not content:
        return None
    if "json" in type_:
        return json.loads(content)
    return content.decode() if type_.startswith("text/") else content


async def common_beginning(*sides: Side) -> datetime:
    """The next midnight but one by the clocks of all: a day of which nobody has done anything yet."""
    latest = max([await side.clock() for side in sides])
    return latest.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=2)
