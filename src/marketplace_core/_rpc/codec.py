"""A port's methods as bytes: arguments, answers and refusals in MessagePack, made from the ABC's type hints."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

import msgspec

from marketplace_core.errors import Failure, MarketplaceError, error_from
from marketplace_core.ports import PortMethod

__all__ = ["MethodCodec", "decode_failure", "encode_failure", "port_methods"]


class MethodCodec:
    """One method of a port, everything that does not depend on the call worked out."""

    def __init__(self, declared: Callable[..., Any]) -> None:
        self.name: str = declared.__name__
        self.qualname: str = declared.__qualname__
        self.mark: PortMethod = declared.__port__  # type: ignore[attr-defined]
        hints = get_type_hints(declared)
        answer = hints.pop("return")
        self._signature = inspect.signature(declared)
        self._names = list(self._signature.parameters)[1:]
        self._defaults = [parameter.default for parameter in list(self._signature.parameters.values())[1:]]
        types = tuple(hints[name] for name in self._names)
        self._decode_all = msgspec.msgpack.Decoder(tuple[types] if types else tuple[()]).decode  # type: ignore[valid-type]
        self._decode_each = [msgspec.msgpack.Decoder(type_).decode for type_ in types]
        self._encode = msgspec.msgpack.Encoder().encode
        self.encode_answer = self._encode
        self.decode_answer: Callable[[bytes], Any] = msgspec.msgpack.Decoder(answer).decode

    def encode_arguments(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bytes:
        """By position, defaults included. :raises TypeError: they do not fit the method."""
        if not kwargs and len(args) == len(self._names):
            return self._encode(args)
        bound = self._signature.bind(None, *args, **kwargs)
        bound.apply_defaults()
        return self._encode(list(bound.arguments.values())[1:])

    def decode_arguments(self, raw: bytes) -> Sequence[Any]:
        """Also of a caller of an earlier or later release, whose method has fewer or more arguments at the end.

        :raises msgspec.DecodeError: they are not of this method.
        """
        try:
            found: Sequence[Any] = self._decode_all(raw)
        except msgspec.ValidationError:
            sent = msgspec.msgpack.decode(raw, type=list[msgspec.Raw])
            if len(sent) == len(self._names):
                raise
            found = [decode(part) for decode, part in zip(self._decode_each, sent, strict=False)]
            missing = self._defaults[len(found) :]
            if inspect.Parameter.empty in missing:
                raise
            found = [*found, *missing]
        return found


def port_methods(capability: type) -> dict[str, MethodCodec]:
    """Every method of a port, an ABC, by name."""
    names = sorted(getattr(capability, "__abstractmethods__", ()))
    return {name: MethodCodec(getattr(capability, name)) for name in names}


def encode_failure(error: MarketplaceError) -> bytes:
    return msgspec.msgpack.encode(Failure.of(error))


def decode_failure(raw: bytes) -> MarketplaceError:
    return error_from(msgspec.msgpack.decode(raw, type=Failure))
