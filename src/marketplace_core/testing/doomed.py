"""A worker that dies by SIGKILL at points chosen by a seed, and whoever starts it again."""

from __future__ import annotations

import asyncio
import multiprocessing
import signal
from pathlib import Path

__all__ = ["Doomed", "run_worker"]

#: How many failpoints a worker passes on average before it dies, in turn.
MEANS = (5, 20, 60, 10, 40, 120)
PRELOAD = ["marketplace_core._runtime.serve", "marketplace_core.adapters.dbos", "marketplace_core.testing.doomed"]


def run_worker(file: str, urls: dict[str, str], secret: bytes, plan: tuple[int, int] | None) -> None:
    """The body of the process: the worker of a deployment's first service, armed with ``(seed, mean)``."""
    import uvloop  # noqa: PLC0415

    from marketplace_core._runtime import failpoints  # noqa: PLC0415
    from marketplace_core._runtime.assembly import Assembly  # noqa: PLC0415
    from marketplace_core._runtime.serve import open_process  # noqa: PLC0415
    from marketplace_core._runtime.worker import Worker  # noqa: PLC0415
    from marketplace_core.deployment import load  # noqa: PLC0415

    async def main() -> None:
        deployment = load(file)
        async with open_process(Assembly.of(deployment), urls.__getitem__, secret) as process:
            if plan is not None:
                failpoints.arm(*plan)
            service = next(iter(deployment.services.values()))
            await Worker(process, service.name, next(iter(service.workers))).run()

    uvloop.run(main())


class Doomed:
    """Keeps one worker alive until enough of them have been killed; then one that is not armed."""

    def __init__(self, file: Path, urls: dict[str, str], secret: bytes, *, seed: int) -> None:
        """``seed`` says where each worker dies: some at once, some after a hundred points or more."""
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)
        self._arguments = (str(file), urls, secret)
        self._seed = seed
        self._armed = True
        self._child: multiprocessing.process.BaseProcess | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.kills = 0

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while True:
            plan = (self._seed + self.kills, MEANS[self.kills % len(MEANS)]) if self._armed else None
            self._child = self._context.Process(target=run_worker, args=(*self._arguments, plan), daemon=True)
            self._child.start()
            await asyncio.to_thread(self._child.join)
            if self._child.exitcode != -signal.SIGKILL:
                raise RuntimeError(f"the worker ended with {self._child.exitcode}, and not by a kill")
            self.kills += 1

    async def disarm(self) -> None:
        """From now on it lives: kill the armed one, so that a last one finishes what is left."""
        self._armed = False
        if self._child is not None and self._child.pid is not None:
            self._child.kill()
        await self.check()

    async def check(self) -> None:
        """:raises RuntimeError: a worker ended by itself."""
        if self._keeper is not None and self._keeper.done():
            self._keeper.result()

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._child is not None:
            self._child.kill()
            await asyncio.to_thread(self._child.join)
