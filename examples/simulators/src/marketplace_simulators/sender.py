"""Delivers what waits in the outbox, again and again until the marketplace answers 2xx."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import aiohttp

from marketplace_simulators.clock import Clock
from marketplace_simulators.outbox import Outbox, Waiting
from marketplace_simulators.signing import Signer

__all__ = ["Sender"]

_log = logging.getLogger(__name__)
_AT_ONCE = 32
_PATIENCE = aiohttp.ClientTimeout(total=10)


class Sender:
    """Posts to ``url``, several subjects at once, one webhook of a subject at a time."""

    def __init__(self, outbox: Outbox, clock: Clock, url: str, signer: Signer) -> None:
        self._outbox = outbox
        self._clock = clock
        self._url = url
        self._signer = signer
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def run(self) -> None:
        async with (
            aiohttp.ClientSession(timeout=_PATIENCE, cookie_jar=aiohttp.DummyCookieJar()) as session,
            asyncio.TaskGroup() as deliveries,
        ):
            while True:
                self._outbox.wake.clear()
                for waiting in self._outbox.take():
                    deliveries.create_task(self._deliver(session, waiting))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._outbox.next_due()):
                        await self._outbox.wake.wait()

    async def _deliver(self, session: aiohttp.ClientSession, waiting: Waiting) -> None:
        async with self._slots:
            accepted = await self._post(session, waiting)
        if accepted:
            self._outbox.delivered(waiting)
        else:
            self._outbox.failed(waiting)

    async def _post(self, session: aiohttp.ClientSession, waiting: Waiting) -> bool:
        headers = self._signer.headers(waiting.id, int(self._clock.now()), waiting.body)
        headers["content-type"] = "application/json"
        if waiting.trace:
            headers["traceparent"] = waiting.trace
        try:
            async with session.post(self._url, data=waiting.body, headers=headers, allow_redirects=False) as response:
                if 200 <= response.status < 300:
                    return True
                _log.info("webhook %s: answered %d", waiting.id, response.status)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            _log.info("webhook %s: %s", waiting.id, str(error) or type(error).__name__)
        return False
