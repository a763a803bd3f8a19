"""How a plugin reaches another plugin's port.

``local``: the port is the service itself. ``wire``: every call is encoded and decoded as if it went to another process, and
what the port marks retriable is called twice: it keeps a far port honest before there is one. A mutation of these is called
once more before, with a rollback between work and commit: of what its provider writes outside of its unit of work there is
too much then, and the suites see it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import Any, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core._rpc.codec import MethodCodec, decode_failure, encode_failure, port_methods
from marketplace_core._runtime.failpoints import RolledBack, inside_undoing, undoing
from marketplace_core.errors import MarketplaceError
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
    methods = {name: _wired_method(codec, getattr(service, name)) for name, codec in port_methods(capability).items()}
    made: P = type(f"Wired{capability.__name__}", (capability,), methods)()
    return made


def _difference(first: bytes, second: bytes) -> str:
    """In which part two encoded answers are not the same, and what either has there."""
    if second[:1] == b"\x00":
        return f"the second time it was refused: {decode_failure(second[1:])}"
    return _differs(msgspec.msgpack.decode(first[1:]), msgspec.msgpack.decode(second[1:]), "")


def _differs(one: Any, other: Any, at: str) -> str:
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        parts: list[Any] = list(one)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        parts = list(range(len(one)))
    else:
        return f"{at or 'the answer'} was {one!r} and then {other!r}"
    return next(_differs(one[part], other[part], f"{at}/{part}") for part in parts if one[part] != other[part])


def _wired_method(codec: MethodCodec, method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    mark = codec.mark

    async def once(raw: bytes, call: calls.Call) -> tuple[bytes, calls.Outcome]:
        arguments = codec.decode_arguments(raw)
        carried = msgspec.msgpack.decode(msgspec.msgpack.encode(call), type=calls.Call)
        with calls.scope(carried) as outcome:
            try:
                value = await method(*arguments)
            except RolledBack:
                raise
            except MarketplaceError as error:
                return b"\x00" + encode_failure(error), outcome
            return b"\x01" + codec.encode_answer(value), outcome

    async def send(self: object, *args: Any, **kwargs: Any) -> Any:
        raw = codec.encode_arguments(args, kwargs)
        call = calls.current()
        if mark.kind == "mutation" and mark.retriable and call.key is None:
            call = replace(call, key=new_id())
        if inside_undoing():  # only the caller's own unit is undone
            with undoing(on=False):
                return await asked(raw, call)
        done = None
        if mark.kind == "mutation" and mark.retriable:
            with contextlib.suppress(RolledBack), undoing():
                done = await once(raw, call)  # where nothing is committed there is nothing to undo: it is done
        return await asked(raw, call, done)

    async def asked(raw: bytes, call: calls.Call, done: tuple[bytes, calls.Outcome] | None = None) -> Any:
        encoded, outcome = done or await once(raw, call)
        if mark.retriable and encoded[:1] == b"\x01":
            again, _ = await once(raw, call)
            if mark.kind == "mutation" and again != encoded:
                raise RepeatDiffers(f"{codec.qualname} was called twice by one key, and {_difference(encoded, again)}")
        if outcome.replayed:
            calls.mark_replayed()
        if encoded[:1] == b"\x00":
            raise decode_failure(encoded[1:])
        return codec.decode_answer(encoded[1:])

    return send
