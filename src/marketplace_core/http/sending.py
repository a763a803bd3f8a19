"""Sending webhooks (Standard Webhooks): a task of a plugin's worker, which waits to be told and for what is due."""

from __future__ import annotations

import asyncio
import secrets as chance
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import structlog

from marketplace_core import calls, webhooks
from marketplace_core._runtime import failpoints
from marketplace_core.errors import Unavailable
from marketplace_core.http.egress import Egress, Unreached
from marketplace_core.ports.units import UnitOfWork, Units
from marketplace_core.ports.webhooks_out import Attempt, Due, Endpoint, Wake, WebhookOutbox
from marketplace_core.values import Clock

__all__ = ["OVERLAP", "TRIES", "Notice", "WebhookSender", "pause"]

log = structlog.get_logger("marketplace.webhooks")

#: So often one is tried; its endpoint is switched off after that.
TRIES = 12
#: Pauses between the tries, in seconds: each is longer than the one before by the same factor. About 38 hours in all.
SHORTEST, LONGEST = 5.0, 86_400.0
#: So long the secret before is used as well, after it was renewed.
OVERLAP = timedelta(hours=24)
AT_ONCE = 16
#: It looks again, as a NOTIFY may be lost with its connection.
RECHECK_SECONDS = 5.0
AWAY_SECONDS = 0.5

Notice = Callable[[UnitOfWork, Endpoint], Awaitable[None]]
"""Awaited in the unit that switches an endpoint off, to emit an event or enqueue a mail."""


def pause(tries: int, jitter: float) -> timedelta:
    """Before the next one after so many tries that failed. ``jitter``, from 0 to 1, spreads it by a tenth to both sides."""
    even = SHORTEST * (LONGEST / SHORTEST) ** ((tries - 1) / (TRIES - 2))
    return timedelta(seconds=min(max(even * (0.9 + 0.2 * jitter), SHORTEST), LONGEST))


class WebhookSender:
    """Sends what waits in ``outbox``, several endpoints at once. Killed in between, it sends again under the same id."""

    def __init__(
        self,
        units: Units,
        outbox: WebhookOutbox,
        egress: Egress,
        keys: Sequence[bytes],
        clock: Clock,
        notice: Notice | None = None,
    ) -> None:
        """``units`` are on the same store as ``outbox``. ``keys``: what the endpoints' secrets are derived from; more than one
        while the deployment's root is changed, the newest first."""
        self._units, self._outbox, self._egress, self._clock = units, outbox, egress, clock
        self._keys, self._notice = tuple(keys), notice
        self._busy: dict[str, int] = {}
        self._freed = asyncio.Event()

    def secret(self, endpoint: Endpoint) -> str:
        """What its owner checks signatures by."""
        return webhooks.derived_secret(self._keys[0], endpoint.id, endpoint.generation)

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                async with self._outbox.waking() as wake, asyncio.TaskGroup() as tasks:
                    while True:
                        # Beforehand: what is sent and what is freed while one looks must not be slept over.
                        self._freed.clear()
                        for due in await self._claim():
                            tasks.create_task(self._deliver(due), name=f"webhook {due.id}")
                        await self._rest(wake)
            except* (Unavailable, OSError) as errors:
                log.warning("webhooks.waiting", cause=type(errors.exceptions[0]).__name__)
            await asyncio.sleep(AWAY_SECONDS)

    async def send_due(self) -> int:
        """Try what is due now, once; gives how many that were."""
        found = await self._claim()
        await asyncio.gather(*(self._deliver(due) for due in found))
        return len(found)

    async def _claim(self) -> list[Due]:
        free = AT_ONCE - sum(self._busy.values())
        found = await self._outbox.claim(free, tuple(self._busy)) if free > 0 else []
        for due in found:
            self._busy[due.endpoint_id] = self._busy.get(due.endpoint_id, 0) + 1
        return found

    async def _rest(self, wake: Wake) -> None:
        """Until there is more to do: told, due, or an endpoint's turn again."""
        full = sum(self._busy.values()) >= AT_ONCE
        at = None if full else await self._outbox.next_due(tuple(self._busy))
        loop = asyncio.get_running_loop()
        until = loop.time() + RECHECK_SECONDS
        while (left := until - loop.time()) > 0 and not self._freed.is_set():
            if at is not None:
                left = min(left, (at - self._clock.now()).total_seconds())
            if left <= 0 or await self._told(wake, left):
                return

    async def _told(self, wake: Wake, seconds: float) -> bool:
        """Whether there was something to hear of within so many seconds, or until the clock is moved."""
        waits = [
            asyncio.ensure_future(wake.wait(seconds)),
            asyncio.ensure_future(self._freed.wait()),
            asyncio.ensure_future(self._rested(seconds)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            return waits[1].done() or (waits[0].done() and waits[0].result())
        finally:
            for each in waits:
                each.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def _rested(self, seconds: float) -> bool:
        await self._clock.rest(seconds)
        return False

    # ── one of them ──────────────────────────────────────────────────────────────────────────────────────────

    async def _deliver(self, due: Due) -> None:
        try:
            with calls.scope(calls.Call(origin="webhook", request_id=due.id, trace=due.trace)):
                attempt = await self._attempt(due)
                failpoints.hit("webhook.sent")
                await self._finish(due, attempt)
        except (Unavailable, OSError) as error:  # it is due again, and sent again, once the lease is over
            log.warning("webhooks.waiting", delivery=due.id, cause=type(error).__name__)
        except Exception as error:
            log.error("webhook.failed", delivery=due.id, exc_info=error)
        finally:
            self._busy[due.endpoint_id] -= 1
            if not self._busy[due.endpoint_id]:
                del self._busy[due.endpoint_id]
            self._freed.set()

    async def _attempt(self, due: Due) -> Attempt:
        if due.endpoint is None:
            return Attempt(note="The endpoint is off.")
        status, note = None, None
        try:
            status = await self._post(due, due.endpoint)
            note = None if 200 <= status < 300 else f"It answered {status}."
        except Unreached as error:
            note = error.detail
        if note is None:
            return Attempt(delivered=True, status=status)
        log.info("webhook.refused", delivery=due.id, endpoint=due.endpoint_id, attempt=due.tries, cause=note)
        if due.tries >= TRIES:
            return Attempt(status=status, note=note, switch_off=True)
        again = self._clock.now() + pause(due.tries, chance.randbelow(1001) / 1000)
        return Attempt(status=status, note=note, again_at=again)

    async def _post(self, due: Due, endpoint: Endpoint) -> int:
        now = self._clock.now()
        generations = [endpoint.generation]
        if endpoint.generation > 1 and now < endpoint.secret_at + OVERLAP:
            generations.append(endpoint.generation - 1)
        stamp = int(now.timestamp())
        signatures = [
            webhooks.sign(webhooks.secret_key(webhooks.derived_secret(key, endpoint.id, each)), due.message_id, stamp, due.body)
            for each in generations
            for key in self._keys
        ]
        headers = {
            "content-type": "application/json",
            "webhook-id": due.message_id,
            "webhook-timestamp": str(stamp),
            "webhook-signature": " ".join(signatures),
        }
        return (await self._egress.request("POST", endpoint.url, headers=headers, body=due.body, most=0)).status

    async def _finish(self, due: Due, attempt: Attempt) -> None:
        async def work(uow: UnitOfWork) -> Endpoint | None:
            off = await self._outbox.finish(uow, due, attempt)
            if off is not None and self._notice is not None:
                await self._notice(uow, off)
            return off

        off = await self._units.run(work)
        if off is not None:
            log.warning("webhook.endpoint_off", endpoint=off.id, cause=off.note)
