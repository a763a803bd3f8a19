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
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import aiohttp

from marketplace_core._supervisor.forks import Forked
from marketplace_core._supervisor.ports import free_port
from marketplace_core.testing._forks import forks

if TYPE_CHECKING:
    from marketplace_core.testing.marketplace import Marketplace

__all__ = ["Simulator", "as_new", "launched"]

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
PATIENCE = 15.0
#: seconds; small, so that a test of a fault is quick
DELAYS = {"slow": 0.3, "timeout": 2.0, "late": 0.3}
_HOOKS = {
    "payments": ("buyer", "/webhooks/payments/simulator"),
    "carriers": ("logistics", "/webhooks/carriers/simulator"),
}


class Simulator:
    """One program: where it answers, what it signs with, and what a test asks of it beside the marketplace."""

    def __init__(self, program: Literal["payments", "carriers"], folder: Path, **delays: float) -> None:
        """``folder`` is for its database. ``delays``: seconds of ``slow``, ``timeout`` and ``late``, see its README."""
        self.program = program
        self.secret = SECRET
        self._database = folder / f"{program}.db"
        self._delays = {**DELAYS, **delays}
        self._port = free_port()
        self._process: Forked | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def settings(self, *more: str) -> str:
        """The lines of its plugin's table in a deployment file."""
        return "\n".join([f'url = "{self.url}"', f'secrets = ["{self.secret}"]', *more])

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, webhook_url: str | None = None) -> None:
        """Run it until :meth:`stop`; without a URL it makes no webhooks."""
        process = self._begin(webhook_url)
        await asyncio.to_thread(self._answers, process)

    async def start_for(self, market: Marketplace) -> None:
        """Run it beside a marketplace that answers HTTP: it gets the webhooks and waits for them when it settles."""
        audience, path = _HOOKS[self.program]
        await self.start(market.audiences[audience] + path)
        market.process.simulators[self.program] = self.url

    async def kill(self) -> None:
        """By SIGKILL; :meth:`start` goes on with what it had."""
        await asyncio.to_thread(self.end, kill=True)

    async def stop(self) -> None:
        await asyncio.to_thread(self.end)

    def launch(self, webhook_url: str | None = None) -> None:
        """:meth:`start`, for a fixture that outlives event loops."""
        self._answers(self._begin(webhook_url))

    def _begin(self, webhook_url: str | None) -> int:
        """Gives where it will write its first line."""
        options = [text for name, value in self._delays.items() for text in (f"--{name}-delay", str(value))]
        if webhook_url is not None:
            options += ["--webhook-url", webhook_url]
        program = [f"marketplace_simulators.{self.program}", "--database", str(self._database), "--port", str(self._port)]
        env = {**os.environ, "MARKETPLACE_SIMULATOR_SECRET": self.secret}
        reading, writing = os.pipe()
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            self._process = forks().fork([*program, *options], env=env, streams=[nothing, writing, nothing])
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
            os.close(nothing)
        return reading

    def _answers(self, reading: int) -> None:
        with open(reading, "rb") as output:
            line = output.readline()
        if not line or json.loads(line)["url"] != self.url:
            self.end(kill=True)
            raise RuntimeError(f"the simulator of {self.program} did not begin to answer at {self.url}")

    def end(self, *, kill: bool = False) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            if not process.ended(PATIENCE):
                process.kill()
            process.reap()

    # ── what a test asks of it ───────────────────────────────────────────────────────────────────────────────

    async def call(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> tuple[int, Any]:
        """Status and decoded body."""
        headers = {} if key is None else {"Idempotency-Key": key}
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
            session.request(method, self.url + path, json=body, headers=headers) as response,
        ):
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

    async def advance(self, tracking_number: str, code: str, **fields: str) -> None:
        """What happens to a parcel next; ``location`` and ``occurred_at`` may be given."""
        await self._expect(204, "POST", f"/shipments/{tracking_number}/advance", {"code": code, **fields})

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


@contextlib.contextmanager
def launched(program: Literal["payments", "carriers"], folder: Path) -> Iterator[Simulator]:
    """One without webhooks for many tests, whose orders and parcels have ids of their own."""
    made = Simulator(program, folder)
    made.launch()
    try:
        yield made
    finally:
        made.end()


@contextlib.asynccontextmanager
async def as_new(simulator: Simulator) -> AsyncIterator[Simulator]:
    """For one test of many: neither the clock of those before, nor faults that strike those after."""
    await simulator.set_clock(timedelta())
    yield simulator
    await simulator.call("DELETE", "/faults")
