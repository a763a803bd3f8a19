"""What tests and operators ask of any simulator: faults, clock, whether it is at rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from marketplace_simulators.clock import Clock
from marketplace_simulators.faults import Fault, Faults
from marketplace_simulators.outbox import Outbox
from marketplace_simulators.wire import body_of, json_response

__all__ = ["Control"]

_CENTURY = 100 * 366 * 86400


class ClockChange(Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds by which the simulated time is ahead of the machine's."""

    offset: Annotated[float, Meta(ge=-_CENTURY / 4, le=_CENTURY)]


class Control:
    """``tick`` does what is due by the simulated clock; a change of the clock is answered after it."""

    def __init__(self, clock: Clock, faults: Faults, outbox: Outbox, tick: Callable[[], None]) -> None:
        self._clock = clock
        self._faults = faults
        self._outbox = outbox
        self._tick = tick

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.healthz),
            web.get("/clock", self.clock),
            web.post("/clock", self.move_clock),
            web.get("/quiesce", self.quiesce),
            web.get("/faults", self.faults),
            web.post("/faults", self.add_fault),
            web.delete("/faults", self.clear_faults),
        ]

    async def healthz(self, _: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def clock(self, _: web.Request) -> web.Response:
        return json_response({"now": self._clock.text(), "offset": self._clock.offset})

    async def move_clock(self, request: web.Request) -> web.Response:
        change = await body_of(request, ClockChange)
        self._clock.move(change.offset)
        self._tick()
        return await self.clock(request)

    async def quiesce(self, _: web.Request) -> web.Response:
        pending = self._outbox.pending()
        return json_response({"webhooks": pending}, 202 if pending else 200)

    async def faults(self, _: web.Request) -> web.Response:
        return json_response({"items": self._faults.armed()})

    async def add_fault(self, request: web.Request) -> web.Response:
        self._faults.add(await body_of(request, Fault))
        return web.Response(status=204)

    async def clear_faults(self, _: web.Request) -> web.Response:
        self._faults.clear()
        return web.Response(status=204)
