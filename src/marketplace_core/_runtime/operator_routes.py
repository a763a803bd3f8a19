"""Core's own routes for operators: the deployment's clock, whether everything has come to rest, and what failed."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from marketplace_core._runtime.assembly import Process
from marketplace_core._runtime.operators import AllOperations
from marketplace_core._runtime.quiesce import Pending, pending
from marketplace_core._supervisor import simulators
from marketplace_core.adapters.redis.clock import RedisClock
from marketplace_core.errors import Invalid, NotFound, Problem
from marketplace_core.http.routing import Answer, Router
from marketplace_core.outbox import Parked
from marketplace_core.ports import FailedJob
from marketplace_core.values import Page, PageQuery, seconds_of

__all__ = ["operations_router"]


#: How far the clock is moved at once, in seconds.
LONGEST = 10 * 366 * 86400


class ClockView(Struct, frozen=True):
    now: datetime


class ClockMove(Struct, frozen=True, forbid_unknown_fields=True):
    """Exactly one: ``advance`` by seconds or a text such as ``15d``, ``2h30m`` or ``90s``, or ``to`` a time."""

    advance: Annotated[float, Meta(ge=0, le=LONGEST)] | Annotated[str, Meta(max_length=32)] | None = None
    to: datetime | None = None


def _seconds(advance: float | str) -> float:
    if not isinstance(advance, str):
        return advance
    try:
        seconds = seconds_of(advance)
    except ValueError as error:
        raise Invalid([Problem("/advance", "format", "Write it like 15d, 2h30m or 90s.")]) from error
    if seconds > LONGEST:
        raise Invalid([Problem("/advance", "range", "At most 3660 days at once.")])
    return seconds


def operations_router(process: Process) -> Router:
    router = Router("admin", "core", scope="operations")

    @functools.cache
    def operations() -> AllOperations:
        """Made by the first request: a document is made without any process."""
        return AllOperations(process)

    def clock() -> RedisClock:
        if not isinstance(process.clock, RedisClock):
            raise NotFound("The clock of this deployment cannot be moved.")
        return process.clock

    @router.get("/clock", access="staff")
    async def get_clock() -> ClockView:
        """The deployment's time, where it can be moved."""
        return ClockView(clock().now())

    @router.post("/clock", access="staff", status=200, key="ignored")
    async def move_clock(body: ClockMove) -> ClockView:
        """Move the time of every process on."""
        if body.advance is not None and body.to is None:
            seconds = _seconds(body.advance)
            now = await (movable := clock()).advance(seconds)
        elif body.to is not None and body.advance is None:
            now = await (movable := clock()).set(body.to)
        else:
            raise Invalid([Problem("", "required", "Give either advance or to.")])
        await simulators.move_clocks(process.simulators.values(), movable.offset)
        return ClockView(now)

    @router.get("/quiesce", access="staff", also=[202])
    async def quiesce() -> Answer[Pending]:
        """200 when nothing is under way by itself, else 202 with what is."""
        counts = await pending(process)
        return Answer(counts, status=200 if counts.total == 0 else 202)

    @router.get("/events/dead", access="staff")
    async def list_dead(query: PageQuery) -> Page[Parked]:
        """Events that a handler could not apply, with how many of their key wait behind them."""
        return Page((await operations().list_parked())[: query.size])

    @router.post("/events/dead/{id}/replay", access="staff", status=202)
    async def replay(id: str) -> None:
        """Apply it again, and then all behind it, in order."""
        await operations().request_parked(id, drop=False)

    @router.delete("/events/dead/{id}", access="staff", status=202)
    async def drop(id: str) -> None:
        """Leave it out, and go on with all behind it."""
        await operations().request_parked(id, drop=True)

    @router.get("/jobs", access="staff")
    async def list_jobs(query: PageQuery) -> Page[FailedJob]:
        """Jobs that are not tried any more, the oldest first.

        `args` is JSON. One that could not be read is named `<plugin>.?` and has its bytes as `payload`.
        """
        after = query.position(datetime, str)
        jobs = [job for job in await operations().list_failed_jobs() if after is None or (job.at, job.id) > after]
        return query.page(jobs[: query.size + 1], lambda job: (job.at, job.id))

    @router.post("/jobs/{id}/retry", access="staff", status=202)
    async def retry_job(id: str) -> None:
        """Queue it again, with all of its tries."""
        await operations().release_job(id, drop=False)

    @router.delete("/jobs/{id}", access="staff", status=202)
    async def drop_job(id: str) -> None:
        """Forget it."""
        await operations().release_job(id, drop=True)

    return router
