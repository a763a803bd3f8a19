"""What Temporal is given to keep: JSON, which people read in its own pages."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct
from temporalio.api.common.v1 import Payload
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
)

from marketplace_core.ports.engine import SagaRun, SagaStatus, StepRecord

__all__ = ["CONVERTER", "MISTAKE", "REOPEN", "Asked", "Begun", "Message", "Told", "read"]

#: The signal that has a saga go on that failed.
REOPEN = "operator.reopen"
#: In :attr:`Asked.name`: here the saga met a mistake, and was given up.
MISTAKE = "mistake"


class Asked(Struct, frozen=True, omit_defaults=True):
    """What a saga asked of its engine, and the answer as JSON. A call is named after its step."""

    name: str
    answer: Raw = Raw(b"null")


class Message(Struct, frozen=True, omit_defaults=True):
    """What is sent to a saga on a signal, once per ``key``: an event or a decision, or the end of the wait ``number``."""

    key: str
    payload: Raw = Raw(b"null")
    ends: Literal["over", "compensate"] | None = None
    number: int = 0


class Begun(Struct, frozen=True, omit_defaults=True):
    """A saga as it begins; what has more goes on after a mistake, and has it all from the run before.

    ``asked`` in order; ``unheard`` by signal; ``keys`` of all that was sent to it. ``mistake``: it waits for a person.
    """

    version: int
    key: str
    event: Raw
    trace: str = ""
    asked: list[Asked] = []
    unheard: dict[str, list[Message]] = {}
    keys: list[str] = []
    mistake: StepRecord | None = None


class Told(Struct, frozen=True, omit_defaults=True):
    """What its journal is told of a saga."""

    saga: SagaRun
    status: SagaStatus = "running"
    steps: dict[str, StepRecord] = {}


class _Json(EncodingPayloadConverter):
    """By msgspec, as all else of ours."""

    @property
    def encoding(self) -> str:
        return "json/plain"

    def to_payload(self, value: Any) -> Payload | None:
        return Payload(metadata={"encoding": b"json/plain"}, data=msgspec.json.encode(value))

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return read(payload, type_hint or Any)


def read(payload: Payload, kind: Any) -> Any:
    """:raises msgspec.DecodeError: it is none."""
    return msgspec.json.decode(payload.data, type=kind)


class _Converter(CompositePayloadConverter):
    def __init__(self) -> None:
        given = DefaultPayloadConverter.default_encoding_payload_converters
        super().__init__(*(_Json() if isinstance(each, JSONPlainPayloadConverter) else each for each in given))


CONVERTER = dataclasses.replace(DataConverter.default, payload_converter_class=_Converter)
