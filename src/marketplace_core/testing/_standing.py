"""A deployment in processes of its own that runs for many tests, each with people of its own.

It is kept by a supervisor in a thread: an event loop ends with its test. Its clock only goes forward, from test to test.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from marketplace_core._runtime.serve import open_process
from marketplace_core.testing._costs import shared
from marketplace_core.testing._forks import forks
from marketplace_core.testing.marketplace import SECRET, Marketplace, assembled
from marketplace_core.testing.processes import Apart
from marketplace_core.testing.simulators import Simulator

if TYPE_CHECKING:
    from marketplace_core.testing.servers import Servers

__all__ = ["Standing", "standing", "stop_standing"]

T = TypeVar("T")

#: Settings of recommendations: what a loaded machine takes is no reason to show the feed.
UNHURRIED = "personal_ms = 10000\nlinger = 0.1\nfeed_pause = 0.2"

_running: dict[tuple[str, ...], Standing] = {}


def standing(servers: Servers, plugins: Sequence[str], deployment: str = "") -> Standing:
    """The one of these plugins, and of these TOML lines for the deployment's table; started by the first who asks."""
    key = (*plugins, deployment)
    if key not in _running:
        with shared():
            _running[key] = Standing(servers, plugins, deployment)
    return _running[key]


def stop_standing() -> None:
    """All of them. Who needs one again starts it again."""
    while _running:
        _running.popitem()[1].stop()


class Standing:
    """The topology ``processes`` with both simulators, from its making until :meth:`stop`."""

    def __init__(self, servers: Servers, plugins: Sequence[str], deployment: str) -> None:
        forks().start()  # in this thread, which lives longer
        self._kept = tempfile.TemporaryDirectory(prefix="mp-")
        folder = Path(self._kept.name)
        (folder / "secret").write_bytes(SECRET)
        self.file = folder / "test.toml"
        self.payments, self.carriers = Simulator("payments", folder), Simulator("carriers", folder)
        self._simulators: dict[str, Simulator] = {each.program: each for each in (self.payments, self.carriers)}
        settings = {f"{name}_simulator": each.settings() for name, each in self._simulators.items()}
        settings["recommendations"] = UNHURRIED
        addresses = {name: each.url for name, each in self._simulators.items()}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="standing", daemon=True)
        self._thread.start()
        self._assembly, self._urls = self._do(
            assembled(servers, folder, plugins, "processes", {**settings, "deployment": deployment}, None, addresses, kept=True)
        )
        self._apart = Apart(self._assembly.deployment, folder, self._loop)
        self._do(self._apart.start(worker=True))
        self._launched = False

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[Marketplace]:
        """As a test meets it, for as long as its event loop."""
        async with open_process(self._assembly, self._urls.__getitem__, SECRET, own=frozenset()) as process:
            market = Marketplace(process, self.file, self._urls, self._apart)
            for simulator in self._simulators.values():
                if not self._launched:
                    await simulator.start_for(market)
                    await simulator.set_clock(market.clock.offset)
                market.process.simulators[simulator.program] = simulator.url
            self._launched = True
            yield market

    def stop(self) -> None:
        for simulator in self._simulators.values():
            simulator.end()
        self._do(self._apart.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._kept.cleanup()

    def _do(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
