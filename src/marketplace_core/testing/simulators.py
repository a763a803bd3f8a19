"""The simulators of a payment gateway and of a carrier (``examples/simulators``), as processes beside a test.

.. code-block:: python

    market = await marketplace(
        ["catalog", …, "payments", "payments_simulator"],
        settings={"payments_simulator": payments_simulator.settings("timeout = 0.5")},
        http=True,
    )
    await payments_simulator.start_for(market)  # its webhooks go there, and ``market.settle()`` waits for them
    await payments_simulator.fault("capture", "timeout_after_success")

The address is known before the program runs: a marketplace can be opened first, and the program told of it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import aiohttp

if TYPE_CHECKING:
    from marketplace_core.testing.marketplace import Marketplace

__all__ = ["Simulator"]

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PATIENCE = 15.0
#: seconds; small, so that a test of a fault is quick
DELAYS = {"slow": 0.3, "timeout": 2.0, "late": 0.3}
_HOOKS = {
    "payments": "/buyer/v1/webhooks/payments/simulator",
    "carriers": "/logistics/v1/webhooks/carriers/simulator",
}


class Simulator:
    """One program: where it answers, what it signs with, and what a test asks of it beside the marketplace."""

    def __init__(self, program: Literal["payments", "carriers"], folder: Path) -> None:
        self.program = program
        self.secret = SECRET
        self._database = folder / f"{program}.db"
        self._port = _free_port()
        self._process: Process | None = None
        self._session: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def settings(self, *more: str) -> str:
        """The lines of its plugin's table in a deployment file."""
        return "\n".join([f'url = "{self.url}"', f'secrets = ["{self.secret}"]', *more])

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, webhook_url: str | None = None, **delays: float) -> None:
        """Run it until :meth:`stop`. ``delays``: seconds of ``slow``, ``timeout`` and ``late``; without a URL no webhooks."""
        options = [text for name, value in {**DELAYS, **delays}.items() for text in (f"--{name}-delay", str(value))]
        if webhook_url is not None:
            options += ["--webhook-url", webhook_url]
        program = [sys.executable, "-m", f"marketplace_simulators.{self.program}", "--database", str(self._database)]
        self._process = await asyncio.create_subprocess_exec(
            *(*program, "--port", str(self._port), *options),
            env={**os.environ, "MARKETPLACE_SIMULATOR_SECRET": self.secret},
            stdout=PIPE,
            stderr=DEVNULL,
        )
        if self._process.stdout is None:
            raise RuntimeError("the simulator has no output")
        async with asyncio.timeout(PATIENCE):
            line = await self._process.stdout.readline()
        if not line or json.loads(line)["url"] != self.url:
            raise RuntimeError(f"the simulator of {self.program} did not begin to answer at {self.url}")

    async def start_for(self, market: Marketplace, **delays: float) -> None:
        """Run it beside a marketplace that answers HTTP: it gets the webhooks and waits for them when it settles."""
        await self.start(market.url + _HOOKS[self.program], **delays)
        market.process.simulators[self.program] = self.url

    async def kill(self) -> None:
        """By SIGKILL; :meth:`start` goes on with what it had."""
        if self._process is not None:
            self._process.kill()
            await self._ended()

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._process is not None:
            self._process.terminate()
            await self._ended()

    async def _ended(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            async with asyncio.timeout(PATIENCE):
                await process.communicate()

    # ── what a test asks of it ───────────────────────────────────────────────────────────────────────────────

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        """Status and decoded body."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE))
        headers = {} if key is None else {"Idempotency-Key": key}
        async with self._session.request(method, self.url + path, json=body, headers=headers) as response:
            parsed = await response.json() if response.content_type == "application/json" else None
            return response.status, parsed

    async def get(self, path: str) -> Any:
        return await self._expect(200, "GET", path)

    async def items(self, path: str) -> list[dict[str, Any]]:
        """A whole listing."""
        found: list[dict[str, Any]] = (await self.get(path))["items"]
        return found

    async def ledger(self, reference: str | None = None) -> list[dict[str, Any]]:
        """What really happened at the payment gateway, in order."""
        return await self.items("/ledger" if reference is None else f"/ledger?reference={reference}")

    async def fault(self, operation: str, kind: str, count: int = 1) -> None:
        """Misbehave the next ``count`` times: see the program's README."""
        await self._expect(204, "POST", "/faults", {"operation": operation, "kind": kind, "count": count})

    async def faults(self) -> list[dict[str, Any]]:
        """Those that have still to strike."""
        return await self.items("/faults")

    async def challenge(self, payment: str, outcome: Literal["succeed", "fail"]) -> None:
        """What the holder of a card does at 3-D Secure."""
        await self._expect(204, "POST", f"/challenges/{payment}", {"outcome": outcome})

    async def set_clock(self, offset: timedelta) -> None:
        """As far ahead of the machine's as the marketplace's is: ``market.clock.offset``."""
        await self._expect(200, "POST", "/clock", {"offset": offset.total_seconds()})

    async def quiet(self) -> None:
        """Until no webhook is left to send."""
        async with asyncio.timeout(PATIENCE):
            while (await self.call("GET", "/quiesce"))[0] != 200:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.02)

    async def _expect(self, wanted: int, method: str, path: str, body: Any = None) -> Any:
        status, answer = await self.call(method, path, body)
        if status != wanted:
            raise AssertionError(f"{method} {path} of the simulator of {self.program}: {status} {answer}")
        return answer


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found
