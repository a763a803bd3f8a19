"""Misbehaviour on demand, counted in the database so that a restart neither forgets nor repeats it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args

from msgspec import Meta, Struct

from marketplace_simulators.store import Store
from marketplace_simulators.wire import Refused

__all__ = ["Fault", "Faults", "RequestFault", "WebhookFault"]

#: What an operation's own request may suffer.
RequestFault = Literal["decline", "slow", "timeout_after_success", "down"]
#: What the webhooks that an operation causes may suffer.
WebhookFault = Literal["twice", "late", "out_of_order", "lost", "before_answer"]

_WEBHOOK_FAULTS = frozenset(get_args(WebhookFault))


class Fault(Struct, frozen=True, forbid_unknown_fields=True):
    """``kind`` for the next ``count`` times that ``operation`` happens."""

    operation: str
    kind: RequestFault | WebhookFault
    count: Annotated[int, Meta(ge=1, le=1_000_000)] = 1


class Faults:
    """``operations`` are the program's, each with whether it causes webhooks."""

    def __init__(self, store: Store, operations: Mapping[str, bool]) -> None:
        self._store = store
        self._operations = operations

    def add(self, fault: Fault) -> None:
        """Arm a fault; one that could never show is refused with its cause."""
        known = [*self._operations, "webhook", "any"]
        if fault.operation not in known:
            raise Refused(422, "validation", f"operation is one of {', '.join(known)}")
        if fault.operation == "webhook" and fault.kind not in _WEBHOOK_FAULTS:
            raise Refused(422, "validation", f"{fault.kind} happens to a request, not to a webhook")
        if fault.kind in _WEBHOOK_FAULTS and not self._operations.get(fault.operation, True):
            raise Refused(422, "validation", f"{fault.operation} causes no webhook; say webhook or any")
        self._store.execute(
            "INSERT INTO faults (operation, kind, remaining) VALUES (?, ?, ?)",
            fault.operation,
            fault.kind,
            fault.count,
        )

    def take(self, operation: str, kind: RequestFault) -> bool:
        """Whether ``kind`` strikes this request; if so, it is used up once."""
        return self._take(kind, operation, "any")

    def take_for_webhook(self, cause: str, kind: WebhookFault) -> bool:
        """Whether ``kind`` strikes a webhook that the operation ``cause`` makes."""
        return self._take(kind, cause, "webhook", "any")

    def _take(self, kind: str, *operations: str) -> bool:
        marks = ", ".join("?" * len(operations))
        taken = self._store.execute(
            "UPDATE faults SET remaining = remaining - 1 WHERE seq = (SELECT seq FROM faults"  # noqa: S608 - marks only
            f" WHERE kind = ? AND remaining > 0 AND operation IN ({marks}) ORDER BY seq LIMIT 1)",
            kind,
            *operations,
        )
        return taken.rowcount == 1

    def armed(self) -> list[dict[str, Any]]:
        return self._store.all("SELECT operation, kind, remaining FROM faults WHERE remaining > 0 ORDER BY seq")

    def clear(self) -> None:
        self._store.execute("DELETE FROM faults")
