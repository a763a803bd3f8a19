"""Performing the steps of sagas on the ports of a process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, get_type_hints

import msgspec
import structlog

from marketplace_core import calls, metrics, tracing
from marketplace_core._runtime import failpoints
from marketplace_core.errors import Failure, MarketplaceError, Unavailable
from marketplace_core.sagas.running import StepCall, StepResult

__all__ = ["Performer"]

log = structlog.get_logger("marketplace.sagas")

#: A port's method, and what it is called with.
Prepared = tuple[Callable[..., Awaitable[Any]], tuple[Any, ...]]


def _declared(service: type, method: str) -> Callable[..., Any]:
    """The method as the capability's port declares it: a service's own may take more than crosses a port."""
    for cls in service.__mro__:
        found: Callable[..., Any] | None = cls.__dict__.get(method)
        if found is not None and hasattr(found, "__port__"):
            return found
    raise TypeError(f"{service.__name__}.{method} is not a method of a port")


class Performer:
    """Performs steps on this process's ports, as often as it takes to know how each ended."""

    def __init__(
        self,
        ports: Callable[[], Mapping[str, Any]],
        note: Callable[[StepCall, int, str], Awaitable[None]] | None = None,
    ) -> None:
        """``ports()`` gives them by capability; ``note(call, attempts, error)`` records a try of unknown outcome, where the
        engine does not know of it by itself."""
        self._ports = ports
        self._note = note
        self._types: dict[tuple[str, str], tuple[Any, ...]] = {}
        self._counted: dict[tuple[str, str, str], metrics.Outcomes] = {}

    async def perform(self, call: StepCall, unknown_yet: Callable[[], Awaitable[None]] | None = None) -> StepResult:
        """``unknown_yet`` is awaited once, before it is asked again: that may take for ever."""
        prepared = self.prepare(call)
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self.attempt(call, prepared, attempt)
            except Exception as error:
                await self.unknown(call, attempt, error)
            if attempt == 1 and unknown_yet is not None:
                await unknown_yet()
            await asyncio.sleep(call.retry.pause(attempt))

    def prepare(self, call: StepCall) -> Prepared:
        """What a call is made of. Raises what is a mistake: there is no such port, or it takes something else."""
        port = self._ports()[call.capability]
        return getattr(port, call.method), self._decode(port, call)

    async def attempt(self, call: StepCall, prepared: Prepared, attempt: int) -> StepResult:
        """The ``attempt``-th try. Whatever it raises, its outcome is unknown."""
        try:
            failpoints.hit("saga.before_call")
            value = await self._try(call, *prepared)
            failpoints.hit("saga.after_call")
            return StepResult(msgspec.json.encode(value).decode(), attempts=attempt)
        except MarketplaceError as error:
            if not error.is_refusal:
                raise
            return StepResult(refusal=Failure.of(error), attempts=attempt)

    async def unknown(self, call: StepCall, attempt: int, error: Exception) -> None:
        """That a try ended so is logged, and noted."""
        self._log(call, attempt, error)
        if self._note is None:
            return
        with contextlib.suppress(Unavailable, OSError):  # only for people; the step itself goes on
            await self._note(call, attempt, f"{type(error).__name__}: {error}")

    def _log(self, call: StepCall, attempt: int, unknown: Exception) -> None:
        """Where somebody is away, or too slow, the place in our code says nothing."""
        expected = isinstance(unknown, MarketplaceError | OSError)
        trace = {"cause": f"{type(unknown).__name__}: {unknown}"} if expected else {"exc_info": unknown}
        log.warning("saga.unknown", saga=call.saga, step=call.step, attempt=attempt, **trace)

    async def _try(self, call: StepCall, method: Callable[..., Awaitable[Any]], args: Sequence[Any]) -> Any:
        """One call of the port, counted and traced. Raises what it does."""
        began, outcome = time.perf_counter(), "unknown"
        about = {"marketplace.saga": call.name, "marketplace.saga_id": call.saga, "marketplace.step": call.step}
        try:
            with (
                tracing.span(f"step {call.capability}.{call.method}", parent=call.trace, attributes=about) as trace,
                calls.scope(calls.Call(key=call.key, origin="saga", request_id=call.saga, trace=trace)),
            ):
                async with asyncio.timeout(call.timeout):
                    value = await method(*args)
            outcome = "done"
            return value
        except MarketplaceError as error:
            outcome = "refused" if error.is_refusal else "unknown"
            raise
        finally:
            self._took(call).observe(outcome, time.perf_counter() - began)

    def _took(self, call: StepCall) -> metrics.Outcomes:
        key = call.name, call.capability, call.method
        if key not in self._counted:
            labels = call.name.split(".", 1)[0], call.name, f"{call.capability}.{call.method}"
            self._counted[key] = metrics.Outcomes(metrics.SAGA_STEP, *labels, known=("done", "refused", "unknown"))
        return self._counted[key]

    def _decode(self, port: Any, call: StepCall) -> tuple[Any, ...]:
        types = self._types.get((call.capability, call.method))
        if types is None:
            hints = get_type_hints(_declared(type(port), call.method))
            hints.pop("return", None)
            types = self._types[(call.capability, call.method)] = tuple(hints.values())
        raw: list[msgspec.Raw] = msgspec.json.decode(call.args, type=list[msgspec.Raw])
        return tuple(msgspec.json.decode(item, type=kind) for item, kind in zip(raw, types, strict=False))
