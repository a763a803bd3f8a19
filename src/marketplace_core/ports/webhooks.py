"""Webhooks that come in: stored once before they are answered, applied later, and kept for a while."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Generic, Literal, TypeVar

from msgspec import Struct

from marketplace_core.events import Event
from marketplace_core.ports.units import UnitOfWork, Units
from marketplace_core.webhooks import WebhookAnswer

__all__ = ["StoredWebhook", "WebhookInbox", "WebhookState"]

E = TypeVar("E")

WebhookState = Literal["waiting", "applied", "ignored", "flagged"]

#: So many are deleted by one transaction of a purge.
PURGE_BATCH = 1000


class StoredWebhook(Struct, Generic[E], frozen=True, kw_only=True):
    """A webhook of ``source``, a gateway or a carrier, whose ``id`` is the same at each repeat.

    ``body`` is as it came, for people; ``event`` is what the source's adapter read from it, None where that is nothing;
    ``subject`` is what it is about, by the source's own id. ``waiting`` is to be applied; ``ignored`` and ``flagged`` never
    are, for the reason in ``note``.
    """

    source: str
    id: str
    body: bytes
    event: E | None
    state: WebhookState
    subject: str | None = None
    note: str | None = None


class WebhookInbox(ABC, Generic[E]):
    """The webhooks of one plugin, in its own store. Whoever sent one has been checked before: by the source's adapter."""

    @abstractmethod
    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[E]) -> bool:
        """Store it with the unit's time. False: one of its source and id is there, and nothing was done.

        Of two units that insert the same one, the second waits for the first, or is run again after it.
        """

    @abstractmethod
    async def waiting(self, source: str, webhook_id: str) -> StoredWebhook[E] | None:
        """One that waits to be applied, for who asks its source before that."""

    @abstractmethod
    async def close(
        self, uow: UnitOfWork, source: str, webhook_id: str, state: WebhookState, note: str | None = None
    ) -> StoredWebhook[E] | None:
        """One that waited and from this unit on does not; None: there is none that waits, and nothing was done."""

    @abstractmethod
    async def delete_ended(self, uow: UnitOfWork, before: datetime, limit: int) -> int:
        """Delete those that came before and do not wait, the oldest first. Gives how many; costs no more than those."""

    async def keep(self, uow: UnitOfWork, webhook: StoredWebhook[E], tell: Event | None = None) -> WebhookAnswer:
        """Store it, and what to answer once the unit has committed. ``tell`` leaves with it where it is new and waits."""
        if not await self.insert(uow, webhook):
            return WebhookAnswer("duplicate")
        if webhook.state == "waiting" and tell is not None:
            uow.emit(tell)
        return WebhookAnswer("ignored" if webhook.state == "ignored" else "accepted")

    async def purge(self, units: Units, age: timedelta) -> None:
        """A schedule's work: delete those that came longer ago than ``age`` and do not wait, some at a time."""
        while await units.run(lambda uow: self.delete_ended(uow, uow.now - age, PURGE_BATCH)) >= PURGE_BATCH:
            pass
