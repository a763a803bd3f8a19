"""A real Prometheus for one test, found on the PATH: ``apt-get install prometheus`` brings it, and ``.ci/run`` does so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp

from marketplace_core._supervisor.children import spawn
from marketplace_core._supervisor.ports import free_port

PROGRAM = shutil.which("prometheus")

_CONFIG = """
global:
  scrape_interval: {seconds}s
  scrape_timeout: {seconds}s
scrape_configs:
  - job_name: marketplace
    file_sd_configs:
      - files: [targets.json]
        refresh_interval: 1s
"""


class Prometheus:
    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = url, session

    async def ask(self, path: str, **params: str | float) -> Any:
        async with self._session.get(f"{self._url}/api/v1/{path}", params=params) as answer:
            body = await answer.json()
        if body["status"] != "success":
            raise AssertionError(f"{params.get('query')}: {body}")
        return body["data"]["result"]

    async def values(self, query: str, since: float, until: float) -> list[float]:
        """Every sample of every series in that time, without those that are no number."""
        series = await self.ask("query_range", query=query, start=since, end=until, step=1)
        found = [float(value) for one in series for _, value in one["values"]]
        return [value for value in found if not math.isnan(value)]

    async def until(self, query: str, seconds: float = 120) -> None:
        """Until the query gives anything but nothing and zero."""
        async with asyncio.timeout(seconds):
            while not any(float(one["value"][1]) for one in await self.ask("query", query=query)):  # noqa: ASYNC110
                await asyncio.sleep(0.25)


@contextlib.asynccontextmanager
async def prometheus(folder: Path, targets: Callable[[], list[dict[str, Any]]], seconds: int = 2) -> AsyncIterator[Prometheus]:
    """One that scrapes ``targets()`` so often, in which time each has to answer; they are asked for again all the time."""
    _prepare(folder, seconds)
    address = f"127.0.0.1:{free_port()}"
    written = asyncio.create_task(_write(folder / "targets.json", targets))
    argv = [
        str(PROGRAM),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
    ]
    child = await spawn("prometheus", argv, log=folder / "log")
    try:
        async with aiohttp.ClientSession() as session:
            await _answers(session, f"http://{address}/-/ready")
            yield Prometheus(f"http://{address}", session)
    finally:
        written.cancel()
        await child.stop()


def _prepare(folder: Path, seconds: int) -> None:
    folder.mkdir()
    (folder / "prometheus.yml").write_text(_CONFIG.format(seconds=seconds))


async def _write(path: Path, targets: Callable[[], list[dict[str, Any]]]) -> None:
    while True:
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(targets()))
        fresh.replace(path)
        await asyncio.sleep(0.5)


async def _answers(session: aiohttp.ClientSession, url: str) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(url) as answer:
                    if answer.status == 200:
                        return
            await asyncio.sleep(0.1)
