"""How a plugin reaches another plugin's port.

``local``: the port is the service itself. ``wire``: every call is encoded and decoded as if it went to another process, and
what the port marks retriable is called twice: it keeps a far port honest before there is one.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar, get_type_hints

import msgspec
from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.errors import Failure, MarketplaceError, error_from
from marketplace_core.ports import PortMethod
from marketplace_core.values import new_id

__all__ = ["RepeatDiffers", "Runner", "run_port"]

P = TypeVar("P")
Runner = Literal["local", "wire"]


class RepeatDiffers(AssertionError):
    """A port method that is marked retriable gave another answer when it was called again with the same key."""


def run_port(runner: Runner, capability: type[P], service: P) -> P:
    """``service`` as ``runner`` gives it to other plugins."""
    return service if runner == "local" else _wired(capability, service)


def _wired(capability: type[P], service: P) -> P:
    methods: dict[str, Any] = {}
    for name in sorted(getattr(capability, "__abstractmethods__", ())):
        methods[name] = _wired_method(getattr(capability, name), getattr(service, name))
    made: P = type(f"Wired{capability.__name__}", (capability,), methods)()
    return made


def _wired_method(declared: Callable[..., Any], method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    mark: PortMethod = declared.__port__  # type: ignore[attr-defined]
    hints = get_type_hints(declared)
    answer = hints.pop("return")
    types = tuple[tuple(hints.values())] if hints else tuple[()]  # type: ignore[misc]
    signature = inspect.signature(declared)

    async def once(raw: bytes, call: calls.Call) -> tuple[bytes, calls.Outcome]:
        arguments = msgspec.msgpack.decode(raw, type=types)
        carried = msgspec.msgpack.decode(msgspec.msgpack.encode(call), type=calls.Call)
        with calls.scope(carried) as outcome:
            try:
                value = await method(*arguments)
            except MarketplaceError as error:
                return b"\x00" + msgspec.msgpack.encode(Failure.of(error)), outcome
            return b"\x01" + msgspec.msgpack.encode(value), outcome

    async def send(self: object, *args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(self, *args, **kwargs)
        bound.apply_defaults()
        raw = msgspec.msgpack.encode(list(bound.arguments.values())[1:])
        call = calls.current()
        if mark.kind == "mutation" and mark.retriable and call.key is None:
            call = replace(call, key=new_id())
        encoded, outcome = await once(raw, call)
        if mark.retriable and encoded[:1] == b"\x01":
            again, _ = await once(raw, call)
            if mark.kind == "mutation" and again != encoded:
                raise RepeatDiffers(f"{declared.__qualname__}: {encoded!r} and then {again!r}")
        if outcome.replayed:
            calls.mark_replayed()
        if encoded[:1] == b"\x00":
            raise error_from(msgspec.msgpack.decode(encoded[1:], type=Failure))
        return msgspec.msgpack.decode(encoded[1:], type=answer)

    return send
