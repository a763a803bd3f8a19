"""What writes to the index as events tell it: each record under its version, with all that its sources have told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec
from elasticsearch import AsyncElasticsearch, NotFoundError
from msgspec import Struct

from marketplace_core.errors import Unavailable
from marketplace_search.store import Change, Record, Seller, merged
from marketplace_search.stores.elasticsearch.bulk import Item, Refused, send
from marketplace_search.stores.elasticsearch.documents import INACTIVE, document
from marketplace_search.stores.elasticsearch.generations import FORMAT, LEASE_SECONDS, Generation, Generations, Made

__all__ = ["PATIENCE", "Writer", "decode_record"]

#: How long a change waits for others, for room, and for a generation that is published just now.
PATIENCE = 20.0
_PAUSE = 0.05
_CONFLICT, _GONE, _BLOCKED = 409, 404, 403
decode_record = msgspec.json.Decoder(Record).decode


class _Kept(Struct, frozen=True):
    """``version``: of the document; empty where there is none."""

    record: Record | None
    version: dict[str, int]


class _Gone(Exception):
    """Another generation is read now, or will be in a moment."""


class Writer:
    def __init__(self, generations: Generations, made: Callable[[], Made]) -> None:
        """``made``: how a generation is begun, where there is none."""
        self._generations, self._made = generations, made
        self._generation: Generation | None = None

    async def put(self, changes: Sequence[Change]) -> dict[str, Exception]:
        """Apply what is later than what is known. Gives what failed, by its id.

        :raises Unavailable: the server is away, or somebody builds for too long.
        """
        until, blocked = time.monotonic() + PATIENCE, 0.0
        failed: dict[str, Exception] = {}
        left = list(changes)
        while left:
            generation = await self._current()
            try:
                refused = await self._try(generation, left)
            except (NotFoundError, _Gone):
                refused = {each.id: Refused(_GONE, "the generation is gone") for each in left}
            again = {id_ for id_, why in refused.items() if why.status in (_CONFLICT, _GONE, _BLOCKED)}
            failed |= {id_: why for id_, why in refused.items() if id_ not in again}
            left = [each for each in left if each.id in again]
            if not left:
                break
            now = time.monotonic()
            if now > until:
                raise Unavailable("The index of the search is being written by others.")
            if any(refused[each.id].status != _CONFLICT for each in left):
                self._generation = None
                blocked = blocked or now
                if now - blocked > LEASE_SECONDS:
                    await self._unblock()
                    blocked = 0.0
                await asyncio.sleep(_PAUSE)
        return failed

    async def _current(self) -> Generation:
        if self._generation is None:
            self._generation = await self._generations.live() or await self._generations.begun(self._made())
        if self._generation.made.format != FORMAT:
            self._generation = None
            raise Unavailable("The index of the search is built anew.")
        return self._generation

    async def _unblock(self) -> None:
        """Of a building that was killed between its last look at the index and its end. Who builds on keeps us waiting."""
        try:
            async with self._generations.building():
                pass
        except Unavailable:
            return

    async def _try(self, generation: Generation, changes: Sequence[Change]) -> dict[str, Refused]:
        async with self._generations.server.asking() as client:
            kept = await _kept(client, generation, {each.id for each in changes})
            records = {id_: each.record for id_, each in kept.items()}
            changed: dict[str, Record] = {}
            for change in changes:
                record = merged(records[change.id], change)
                if record is not None:
                    records[change.id] = changed[change.id] = record
            items = [Item(id_, document(record), kept[id_].version) for id_, record in changed.items()]
            refused = await send(client, generation.writes, items, refresh=True, patience=PATIENCE)
            # Told again it may be known already, but not yet by the list, if we were killed in between.
            sellers = {each.id for each in changes if isinstance(each, Seller) and each.id not in refused}
            if sellers:
                await _list_inactive(client, generation, sellers)
            return refused


async def _kept(client: AsyncElasticsearch, generation: Generation, ids: Iterable[str]) -> dict[str, _Kept]:
    """:raises _Gone: the generation is."""
    told = await client.mget(index=generation.writes, ids=list(ids), source_includes=["record"])
    found: dict[str, _Kept] = {}
    for each in told["docs"]:
        if "error" in each:
            raise _Gone
        if each["found"]:
            version = {"if_seq_no": each["_seq_no"], "if_primary_term": each["_primary_term"]}
            found[each["_id"]] = _Kept(decode_record(each["_source"]["record"]), version)
        else:
            found[each["_id"]] = _Kept(None, {})
    return found


async def _list_inactive(client: AsyncElasticsearch, generation: Generation, sellers: set[str]) -> None:
    """Let the list of those that are not active agree with their records. It is read before them: who changes one later
    changes the list later, too."""
    while True:
        listed: set[str] = set()
        version: dict[str, Any] = {}
        try:
            told = await client.get(index=generation.writes, id=INACTIVE)
            listed = set(told["_source"]["sellers"])
            version = {"if_seq_no": told["_seq_no"], "if_primary_term": told["_primary_term"]}
        except NotFoundError:
            pass
        records = await _kept(client, generation, sellers)
        inactive = {id_ for id_, each in records.items() if each.record is not None and not each.record.active}
        wanted = (listed - sellers) | inactive
        if wanted == listed and version:
            return
        item = Item(INACTIVE, {"sellers": sorted(wanted)}, version)
        refused = await send(client, generation.writes, [item], refresh=False, patience=PATIENCE)
        if not refused:
            return
        if refused[INACTIVE].status != _CONFLICT:
            raise _Gone
