"""Webhooks that came in, in a collection of a plugin's own."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Generic, TypeVar

import msgspec

from marketplace_core.adapters.mongo.server import Database, Document
from marketplace_core.ports.units import UnitOfWork
from marketplace_core.ports.webhooks import StoredWebhook, WebhookInbox, WebhookState

__all__ = ["MongoWebhookInbox"]

E = TypeVar("E")


class MongoWebhookInbox(WebhookInbox[E], Generic[E]):
    """A document each, whose ``_id`` is its source and id; ``ended`` is there once it does not wait."""

    def __init__(self, database: Database, name: str, event: type[E]) -> None:
        """``event`` is what adapters read from a webhook."""
        self._database, self._name, self._event = database, name, event

    async def insert(self, uow: UnitOfWork, webhook: StoredWebhook[E]) -> bool:
        row = {
            "subject": webhook.subject,
            "event": None if webhook.event is None else msgspec.to_builtins(webhook.event),
            "body": webhook.body,
            "note": webhook.note,
            "at": uow.now,
            **_state(webhook.state),
        }
        where = {"_id": _id(webhook.source, webhook.id)}
        connection = self._database.on(uow)
        return await connection.change(self._name, where, {"$setOnInsert": row}, upsert=True, before=True) is None

    async def waiting(self, source: str, webhook_id: str) -> StoredWebhook[E] | None:
        return self._webhook(await self._database.find_one(self._name, _waiting(source, webhook_id)))

    async def close(
        self, uow: UnitOfWork, source: str, webhook_id: str, state: WebhookState, note: str | None = None
    ) -> StoredWebhook[E] | None:
        change = {"$set": {"note": note, **_state(state)}}
        return self._webhook(await self._database.on(uow).change(self._name, _waiting(source, webhook_id), change))

    async def delete_ended(self, uow: UnitOfWork, before: datetime, limit: int) -> int:
        connection, old = self._database.on(uow), {"ended": True, "at": {"$lt": before}}
        rows = await connection.find(self._name, old, sort=[("at", 1)], limit=limit, fields={"_id": 1})
        return await connection.delete(self._name, {"_id": {"$in": [row["_id"] for row in rows]}}) if rows else 0

    def _webhook(self, row: Document | None) -> StoredWebhook[E] | None:
        if row is None:
            return None
        state: Any = row["state"]
        return StoredWebhook(
            source=row["_id"]["source"],
            id=row["_id"]["id"],
            body=bytes(row["body"]),
            event=None if row["event"] is None else msgspec.convert(row["event"], self._event),
            state=state,
            subject=row["subject"],
            note=row["note"],
        )


def _id(source: str, webhook_id: str) -> Document:
    return {"source": source, "id": webhook_id}


def _waiting(source: str, webhook_id: str) -> Document:
    return {"_id": _id(source, webhook_id), "state": "waiting"}


def _state(state: WebhookState) -> Document:
    return {"state": state} if state == "waiting" else {"state": state, "ended": True}
