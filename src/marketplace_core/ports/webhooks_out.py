"""Webhooks that go out: who wants which, what is still to be sent, and what became of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from marketplace_core.ports.units import UnitOfWork, Units
from marketplace_core.values import utc_text

__all__ = ["Attempt", "Due", "Endpoint", "Wake", "WebhookDelivery", "WebhookMessage", "WebhookOutbox"]

#: How long what was claimed is left to whoever did, who gives up well before; then it is due again.
LEASE = timedelta(seconds=30)
#: At most so many of one endpoint are claimed together.
EACH = 4
PURGE_BATCH = 1000


class WebhookMessage(Struct, frozen=True, kw_only=True):
    """What is told: an event by its id and type, when it happened, and its data as JSON."""

    id: str
    type: str
    at: datetime
    data: msgspec.Raw

    @property
    def body(self) -> bytes:
        told = {"type": self.type, "id": self.id, "timestamp": utc_text(self.at), "data": self.data}
        return msgspec.json.encode(told)


class Endpoint(Struct, frozen=True, kw_only=True):
    """Where one ``owner`` wants to be told of ``events``: types, or ``orders.*`` for all of a topic.

    ``generation`` counts its secrets from 1, of which this one is in use since ``secret_at``. One that is ``off`` is told
    nothing; ``note`` says why, and ``off_at`` since when.
    """

    id: str
    owner: str
    url: str
    events: tuple[str, ...]
    state: Literal["on", "off"]
    generation: int
    secret_at: datetime
    created_at: datetime
    off_at: datetime | None = None
    note: str | None = None


class WebhookDelivery(Struct, frozen=True, kw_only=True):
    """One message to one endpoint. ``due_at``: when it is tried next while it is ``waiting``, and was due last afterwards.

    ``status`` is that of the last answer, None where none came; ``note`` says why not.
    """

    id: str
    endpoint_id: str
    message_id: str
    type: str
    state: Literal["waiting", "delivered", "failed"]
    tries: int
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None = None
    status: int | None = None
    note: str | None = None


class Due(Struct, frozen=True, kw_only=True):
    """A delivery to be tried now, for the ``tries``-th time. ``endpoint`` None: it is off or gone, and nobody is to be told."""

    id: str
    endpoint_id: str
    endpoint: Endpoint | None
    message_id: str
    body: bytes
    tries: int
    trace: str = ""


class Attempt(Struct, frozen=True, kw_only=True):
    """What became of one. ``again_at`` None and not ``delivered``: it is not tried any more.

    ``switch_off``: and its endpoint is told nothing from now on.
    """

    delivered: bool = False
    status: int | None = None
    note: str | None = None
    again_at: datetime | None = None
    switch_off: bool = False


class Wake(Protocol):
    async def wait(self, seconds: float) -> bool:
        """Until something may have become due by a commit of anybody, at most ``seconds``. False: nothing was heard."""


class WebhookOutbox(ABC):
    """The endpoints and deliveries of one plugin, in its own store. What is due is so by the deployment's clock."""

    # ── who wants which ──────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def add_endpoint(self, uow: UnitOfWork, endpoint_id: str, owner: str, url: str, events: Sequence[str]) -> Endpoint:
        """On, with its first secret. ``url`` was checked by :meth:`marketplace_core.http.egress.Egress.check`."""

    @abstractmethod
    async def endpoints(self, owner: str) -> list[Endpoint]:
        """In the order in which they were added."""

    @abstractmethod
    async def remove_endpoint(self, uow: UnitOfWork, owner: str, endpoint_id: str) -> bool:
        """False: the owner has none of this id."""

    @abstractmethod
    async def renew_secret(self, uow: UnitOfWork, owner: str, endpoint_id: str) -> Endpoint | None:
        """Begin its next secret; None: the owner has none of this id."""

    @abstractmethod
    async def switch_on(self, uow: UnitOfWork, owner: str, endpoint_id: str) -> Endpoint | None:
        """Tell it again what happens from now on; None: the owner has none of this id."""

    # ── what is to be sent ───────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def send(self, uow: UnitOfWork, owner: str, message: WebhookMessage) -> int:
        """To each endpoint of ``owner`` that is on and wants it, once this unit has committed; at most once each by its id.

        Gives to how many.
        """

    @abstractmethod
    async def deliveries(self, owner: str, endpoint_id: str, size: int, before: str | None = None) -> list[WebhookDelivery]:
        """At most ``size``, the newest first; ``before``: only those that are older than the one of this id."""

    @abstractmethod
    async def redeliver(self, uow: UnitOfWork, owner: str, endpoint_id: str, delivery_id: str) -> bool:
        """Send one again that has ended, under the same message's id, with all its tries. False: there is none such."""

    # ── for who sends ────────────────────────────────────────────────────────────────────────────────────────

    @abstractmethod
    async def claim(self, limit: int, busy: Collection[str] = ()) -> list[Due]:
        """At most ``limit`` of what is due, longest due first, with at most :data:`EACH` of one endpoint and none of those that
        are ``busy``: so one that is slow holds up nobody else. Nobody else gets them within :data:`LEASE`."""

    @abstractmethod
    async def finish(self, uow: UnitOfWork, due: Due, attempt: Attempt) -> Endpoint | None:
        """Write down what became of it, unless somebody has claimed it since. Gives the endpoint that this switched off."""

    @abstractmethod
    async def next_due(self, busy: Collection[str] = ()) -> datetime | None:
        """When something of others than the ``busy`` ones is due; None: nothing waits."""

    @abstractmethod
    def waking(self) -> AbstractAsyncContextManager[Wake]:
        """To hear of what is sent from now on."""

    @abstractmethod
    async def delete_ended(self, uow: UnitOfWork, before: datetime, limit: int) -> int:
        """Delete deliveries that ended before, the oldest first. Gives how many; costs no more than those."""

    async def purge(self, units: Units, age: timedelta) -> None:
        """A schedule's work: delete deliveries that ended longer ago than ``age``, some at a time."""
        while await units.run(lambda uow: self.delete_ended(uow, uow.now - age, PURGE_BATCH)) >= PURGE_BATCH:
            pass
