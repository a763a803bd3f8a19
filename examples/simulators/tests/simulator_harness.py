"""Runs a simulator as its users do, as a process, and plays the marketplace that it sends webhooks to."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import io
import itertools
import json
import os
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
TOKEN = "tok_ok"
PATIENCE = 15.0
SLOW, TIMEOUT, LATE = 0.4, 2.0, 0.8

_SOURCE = Path(__file__).parent.parent / "src"
_keys = itertools.count(1)


def environment(**extra: str) -> dict[str, str]:
    path = os.pathsep.join(filter(None, [str(_SOURCE), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **extra}


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await condition():  # noqa: ASYNC110 - the other side is another process
            await asyncio.sleep(0.02)


@dataclass
class Delivery:
    id: str
    timestamp: int
    body: dict[str, Any]
    at: float
    status: int


class Receiver:
    """Checks every signature by the standard's text, and answers what it is told to."""

    def __init__(self) -> None:
        self.deliveries: list[Delivery] = []
        self.wrong: list[str] = []
        self.answers: deque[int] = deque()
        self.otherwise = 200
        self._came = asyncio.Condition()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hooks", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hooks"

    async def stop(self) -> None:
        await self._runner.cleanup()
        assert self.wrong == []

    async def _receive(self, request: web.Request) -> web.Response:
        raw = await request.read()
        id_, timestamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
        digest = hmac.new(KEY, f"{id_}.{timestamp}.".encode() + raw, hashlib.sha256).digest()
        if request.headers["webhook-signature"] != "v1," + base64.b64encode(digest).decode():
            self.wrong.append(id_)
        status = self.answers.popleft() if self.answers else self.otherwise
        async with self._came:
            self.deliveries.append(Delivery(id_, int(timestamp), json.loads(raw), time.monotonic(), status))
            self._came.notify_all()
        return web.Response(status=status)

    @property
    def types(self) -> list[str]:
        return [delivery.body["type"] for delivery in self.deliveries]

    async def wait(self, count: int) -> list[Delivery]:
        """Until at least ``count`` came."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: len(self.deliveries) >= count)
        return self.deliveries


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any
    raw: bytes


class Simulator:
    def __init__(self, program: str, database: Path, receiver: Receiver | None, *options: str) -> None:
        self.program = program
        self.database = database
        self._receiver = receiver
        self._options: Sequence[str] = options or (
            *("--slow-delay", str(SLOW), "--timeout-delay", str(TIMEOUT), "--late-delay", str(LATE)),
        )
        self._process: Process | None = None

    async def __aenter__(self) -> Simulator:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()
        if self._process is not None:
            assert await self.stop() == 0

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                f"marketplace_simulators.{self.program}",
                "--database",
                str(self.database),
            ),
            *(("--webhook-url", self._receiver.url) if self._receiver else ()),
            *self._options,
            env=environment(MARKETPLACE_SIMULATOR_SECRET=SECRET),
            stdout=PIPE,
            stderr=DEVNULL,
        )
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            self.url = json.loads(await self._process.stdout.readline())["url"]

    async def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return await self._ended()

    async def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        await self._ended()

    async def _ended(self) -> int:
        process, self._process = self._process, None
        assert process is not None
        async with asyncio.timeout(PATIENCE):
            await process.communicate()
        assert process.returncode is not None
        return process.returncode

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        wait: float = PATIENCE,
        **more: Any,
    ) -> Answer:
        headers = {} if key is None else {"Idempotency-Key": key}
        if body is not None:
            more["data"] = io.BytesIO(body if isinstance(body, bytes) else json.dumps(body).encode())
            headers["Content-Type"] = "application/json"
        async with (
            asyncio.timeout(wait),
            self._session.request(method, self.url + path, headers=headers, allow_redirects=False, **more) as response,
        ):
            raw = await response.read()
            parsed = json.loads(raw) if response.content_type == "application/json" else None
            return Answer(response.status, parsed, response.headers, raw)

    async def get(self, path: str) -> Any:
        answer = await self.call("GET", path)
        assert answer.status == 200, answer
        return answer.body

    async def post(self, path: str, body: Any = None, *, key: str | None = None, wait: float = PATIENCE) -> Answer:
        """With a key of its own unless one is given."""
        return await self.call("POST", path, {} if body is None else body, key=key or f"key-{next(_keys)}", wait=wait)

    async def pay(self, token: str = TOKEN, reference: str = "order-1", **more: Any) -> Answer:
        return await self.post("/payments", payment(token, reference), **more)

    async def fault(self, operation: str, kind: str, count: int = 1) -> None:
        answer = await self.post("/faults", {"operation": operation, "kind": kind, "count": count})
        assert answer.status == 204, answer.body

    async def kinds(self, reference: str) -> list[str]:
        return [item["kind"] for item in (await self.get(f"/ledger?reference={reference}"))["items"]]

    async def quiet(self) -> None:
        """Until no webhook is left to send."""

        async def quiet() -> bool:
            return (await self.call("GET", "/quiesce")).status == 200

        await until(quiet)


def eur(amount: int) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


def payment(token: str = TOKEN, reference: str = "order-1", return_url: str | None = None) -> dict[str, Any]:
    return {
        "reference": reference,
        "amount": eur(1000),
        "method": {"method": "card", "token": token},
        "return_url": return_url,
    }
