"""Many documents in one request, of which each has its own outcome: what the server had no room for is sent again by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

from elasticsearch import AsyncElasticsearch
from msgspec import Struct

from marketplace_core.adapters.elasticsearch.server import BUSY
from marketplace_core.errors import Unavailable

__all__ = ["Item", "Refused", "send"]

_FIRST_PAUSE, _LAST_PAUSE = 0.05, 1.0


class Item(Struct, frozen=True):
    """A document that is to be written. ``version``: what it replaces; empty: there must be none; None: whatever is there."""

    id: str
    document: Mapping[str, Any]
    version: Mapping[str, int] | None = None


class Refused(Exception):
    """A document that Elasticsearch does not take: ``status`` and its reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"Elasticsearch refuses a document ({status}): {reason}")
        self.status = status


async def send(
    client: AsyncElasticsearch, alias: str, items: Sequence[Item], *, refresh: bool, patience: float
) -> dict[str, Refused]:
    """Write them; gives those that were not taken, by their ids.

    :raises Unavailable: the server had no room for one for ``patience`` seconds.
    """
    refused: dict[str, Refused] = {}
    left, pause, until = list(items), _FIRST_PAUSE, time.monotonic() + patience
    while left:
        answer = await client.bulk(operations=_operations(alias, left), refresh=refresh, source=False)
        busy: list[Item] = []
        for item, told in zip(left, answer["items"], strict=True):
            (outcome,) = told.values()
            if outcome["status"] in BUSY:
                busy.append(item)
            elif "error" in outcome:
                refused[item.id] = Refused(outcome["status"], outcome["error"].get("reason", ""))
        left = busy
        if left:
            if time.monotonic() + pause > until:
                raise Unavailable("Elasticsearch has no room for what is written.")
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE)
    return refused


def _operations(alias: str, items: Sequence[Item]) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = []
    for item in items:
        act = "create" if item.version is not None and not item.version else "index"
        found.append({act: {"_index": alias, "_id": item.id, "require_alias": True, **(item.version or {})}})
        found.append(item.document)
    return found
