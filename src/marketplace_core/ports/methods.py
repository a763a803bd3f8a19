"""Marks on the methods of a capability's port, so that a runner knows what it may repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

__all__ = ["PortMethod", "mutation", "patient", "query"]

F = TypeVar("F", bound=Callable[..., Any])


class PortMethod(Struct, frozen=True):
    """``seconds`` is what one try across processes may take."""

    kind: Literal["query", "mutation"]
    retriable: bool
    seconds: float = 10.0


def query(method: F) -> F:
    """Mark a port method that changes nothing: any runner may repeat it."""
    method.__port__ = PortMethod("query", True)  # type: ignore[attr-defined]
    return method


def mutation(*, retriable: bool) -> Callable[[F], F]:
    """Mark a port method that changes something.

    ``retriable``: a repeat with the same arguments and the same key changes nothing more and gives an equal answer;
    then a far port asks again after a time-out, and the runner ``wire`` proves it by calling twice.
    """

    def mark(method: F) -> F:
        method.__port__ = PortMethod("mutation", retriable)  # type: ignore[attr-defined]
        return method

    return mark


def patient(seconds: float) -> Callable[[F], F]:
    """Above ``query`` or ``mutation``: a method that waits for something by itself may take so long."""

    def mark(method: F) -> F:
        method.__port__ = msgspec.structs.replace(method.__port__, seconds=seconds)  # type: ignore[attr-defined]
        return method

    return mark
