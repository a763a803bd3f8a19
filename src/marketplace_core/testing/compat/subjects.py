"""What crosses between processes of two releases, or is kept by one and read by the next."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any, get_type_hints

import msgspec

from marketplace_core import calls, capabilities
from marketplace_core._rpc.codec import MethodCodec, port_methods
from marketplace_core.errors import Failure
from marketplace_core.events import EVENTS, Envelope, Event, encode_data
from marketplace_core.ports import digest
from marketplace_core.sagas import SagaEnd, StepCall, StepResult
from marketplace_core.testing.compat.samples import EPOCH, samples
from marketplace_core.values import derived_id, utc_text

__all__ = ["KEPT", "Subject", "event_subject", "kept_subject", "port_subjects", "ports", "subjects"]

#: What core itself sends or keeps, by the name under which it is recorded.
KEPT: Mapping[str, Any] = {
    "core.call": calls.Call,
    "core.failure": Failure,
    "core.saga_end": SagaEnd,
    "core.step_call": StepCall,
    "core.step_result": StepResult,
}


@dataclass(frozen=True)
class Subject:
    """``name`` is like ``event orders.placed``, ``arguments orders.place``, ``answer orders.place`` or ``kept orders.order``.

    ``parts`` are the types of its values: one, or one per argument, of which ``required`` have no default.
    ``pack`` makes the bytes of values, ``unpack`` values of bytes, and ``look`` what anybody can see in bytes. ``digest`` is by
    what a request is known under an idempotency key.
    """

    name: str
    parts: Sequence[Any]
    required: int
    pack: Callable[[Sequence[Any]], bytes]
    unpack: Callable[[bytes], Sequence[Any]]
    look: Callable[[bytes], Any]
    digest: Callable[[Sequence[Any]], bytes] | None = None

    def samples(self) -> Iterator[list[Any]]:
        """Values of every part; those of the part that has fewer begin again."""
        each = [samples(part) for part in self.parts]
        for number in range(max((len(found) for found in each), default=1)):
            yield [found[number % len(found)] for found in each]


def subjects(kept: Mapping[str, Any]) -> dict[str, Subject]:
    """All of core's vocabulary, and the types that plugins keep encoded, by the names under which they are recorded."""
    modules = capabilities.load_all()
    found = [event_subject(cls) for cls in EVENTS.values() if cls.__module__.startswith(f"{capabilities.__name__}.")]
    for name, capability in ports(modules).items():
        found += port_subjects(name, capability)
    found += [kept_subject(name, type_) for name, type_ in {**KEPT, **kept}.items()]
    return {subject.name: subject for subject in sorted(found, key=lambda subject: subject.name)}


def ports(modules: Mapping[str, ModuleType]) -> dict[str, type]:
    """The port of each capability, by the capability's name."""
    return {
        name: member
        for name, module in modules.items()
        for _, member in inspect.getmembers(module, inspect.isclass)
        if capabilities.capability_of(member) == name and _is_port(member)
    }


def _is_port(cls: type) -> bool:
    return any(hasattr(getattr(cls, name), "__port__") for name in getattr(cls, "__abstractmethods__", ()))


def event_subject(cls: type[Event]) -> Subject:
    def pack(values: Sequence[Any]) -> bytes:
        [event] = values
        envelope = Envelope(
            id=derived_id(cls.type),
            type=cls.type,
            version=cls.version,
            key=event.key,
            occurred_at=utc_text(EPOCH),
            trace=f"00-{'1' * 32}-{'2' * 16}-00",
            actor="buyer",
            data=msgspec.Raw(encode_data(event)),
        )
        return msgspec.json.encode(envelope)

    def unpack(raw: bytes) -> Sequence[Any]:
        return [msgspec.json.decode(raw, type=Envelope).decode()]

    return Subject(f"event {cls.type}", [cls], 1, pack, unpack, msgspec.json.decode)


def port_subjects(name: str, capability: type) -> list[Subject]:
    """Arguments and answers of a port's methods."""
    methods = port_methods(capability).items()
    return [subject for method, codec in methods for subject in _method(f"{name}.{method}", capability, codec)]


def _method(name: str, capability: type, codec: MethodCodec) -> list[Subject]:
    declared = getattr(capability, codec.name)
    hints = get_type_hints(declared, include_extras=True)
    answer = hints.pop("return")
    given = list(inspect.signature(declared).parameters.values())[1:]
    required = sum(parameter.default is inspect.Parameter.empty for parameter in given)
    return [
        Subject(
            f"arguments {name}",
            list(hints.values()),
            required,
            lambda values: codec.encode_arguments(tuple(values), {}),
            codec.decode_arguments,
            msgspec.msgpack.decode,
            lambda values: digest(values, [parameter.default for parameter in given]),
        ),
        Subject(
            f"answer {name}",
            [answer],
            1,
            lambda values: codec.encode_answer(values[0]),
            lambda raw: [codec.decode_answer(raw)],
            msgspec.msgpack.decode,
        ),
    ]


def kept_subject(name: str, type_: Any) -> Subject:
    def unpack(raw: bytes) -> Sequence[Any]:
        return [msgspec.json.decode(raw, type=type_)]

    return Subject(f"kept {name}", [type_], 1, lambda values: msgspec.json.encode(values[0]), unpack, msgspec.json.decode)
