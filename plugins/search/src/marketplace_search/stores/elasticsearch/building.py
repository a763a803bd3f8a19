"""A generation that is built beside the one that is read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from elasticsearch import AsyncElasticsearch

from marketplace_core.adapters.elasticsearch import Elasticsearch
from marketplace_core.capabilities.catalog import ProductPage
from marketplace_core.errors import Unavailable
from marketplace_search.store import Building, Record, Seller
from marketplace_search.stores.elasticsearch.bulk import Item, send
from marketplace_search.stores.elasticsearch.documents import INACTIVE, document
from marketplace_search.stores.elasticsearch.generations import ORDER_SECONDS, Generation, Generations, Lease, Made
from marketplace_search.stores.elasticsearch.writing import PATIENCE, decode_record
from marketplace_search.stores.records import Known, rebuilt

__all__ = ["Rebuilding", "scanned"]

_BATCH = 500
_NOT_FOUND = 404
_decode_known = msgspec.json.Decoder(Known).decode


class Rebuilding(Building):
    """Writers go on with the former generation; what they have changed since is found by its sequence numbers. For the last of
    it they are held up a moment."""

    def __init__(self, generations: Generations, lease: Lease, former: Generation, new: Generation, since: int) -> None:
        self._generations, self._lease = generations, lease
        self._server: Elasticsearch = generations.server
        self._former, self._new, self._since = former, new, since
        self._added: set[str] = set()
        self._blocked = self.published = False

    @classmethod
    async def begin(cls, generations: Generations, lease: Lease, made: Made) -> Rebuilding:
        former = await generations.begun(made)
        since = await _done(generations.server, former)
        return cls(generations, lease, former, await generations.new(made), since)

    async def add(self, records: Sequence[ProductPage | Seller]) -> None:
        new = {each.id: each for each in records if each.id not in self._added}
        if not new:
            return
        async with self._server.asking() as client:
            known = await self._known(client, list(new))
            items = [Item(each.id, document(rebuilt(each, known.get(each.id)))) for each in new.values()]
            await self._write(client, items)
        self._added.update(new)

    async def _known(self, client: AsyncElasticsearch, ids: list[str]) -> dict[str, Known]:
        """What the former one has of them. What has changed since the building began will be taken over as a whole."""
        told = await client.mget(index=self._former.index, ids=ids, source_includes=["record"])
        return {each["_id"]: _decode_known(each["_source"]["record"]) for each in told["docs"] if each.get("found")}

    async def _write(self, client: AsyncElasticsearch, items: Sequence[Item]) -> None:
        for start in range(0, len(items), _BATCH):
            some = items[start : start + _BATCH]
            refused = await send(client, self._new.writes, some, refresh=False, patience=PATIENCE)
            for error in refused.values():
                if error.status == _NOT_FOUND:  # who thought us killed has deleted it
                    raise Unavailable("Another process has begun to build the index.") from error
                raise error

    async def publish(self) -> int:
        await self._lease.hold()
        until = await _done(self._server, self._former)
        changed = await self._take_over(self._since)
        async with self._server.asking() as client:
            self._blocked = True
            await client.options(request_timeout=ORDER_SECONDS).indices.add_block(index=self._former.index, block="write")
        changed |= await self._take_over(until)
        await self._take_over_gone()
        await self._list_inactive()
        await self._lease.hold()
        await self._generations.publish(self._new, self._former)
        self.published = True
        return len(changed)

    async def _take_over(self, since: int) -> set[str]:
        """What was written after that."""
        changed = {"range": {"_seq_no": {"gt": since}}}
        taken: set[str] = set()
        async for records in scanned(self._server, self._former.index, changed):
            async with self._server.asking() as client:
                await self._write(client, [Item(each.id, document(each)) for each in records])
            taken |= {each.id for each in records}
        self._added |= taken
        return taken

    async def _take_over_gone(self) -> None:
        """Late events must be told that something is gone."""
        async for records in scanned(self._server, self._former.index, {"term": {"flags": "gone"}}):
            async with self._server.asking() as client:
                await self._write(client, [Item(each.id, document(each)) for each in records if each.id not in self._added])

    async def _list_inactive(self) -> None:
        sellers = [
            record.id
            async for records in scanned(self._server, self._new.index, {"term": {"flags": "inactive"}})
            for record in records
        ]
        async with self._server.asking() as client:
            await self._write(client, [Item(INACTIVE, {"sellers": sorted(sellers)})])

    async def abandon(self) -> None:
        """What is not there any more was taken by another, who has begun to build."""
        async with self._server.asking() as client:
            await client.indices.delete(index=self._new.index, ignore_unavailable=True)
            if self._blocked:
                unblocked = {"index.blocks.write": None}
                await client.indices.put_settings(index=self._former.index, settings=unblocked, ignore_unavailable=True)


async def scanned(server: Elasticsearch, index: str, query: Any) -> AsyncIterator[list[Record]]:
    """The records that a query finds, as they are now, in batches."""
    async with server.asking() as client:
        await client.indices.refresh(index=index)
    after: Any = None
    while True:
        async with server.asking() as client:
            told = await client.search(
                index=index,
                query={"bool": {"filter": [query, {"exists": {"field": "id"}}]}},
                size=_BATCH,
                sort=[{"id": "asc"}],
                search_after=after,
                source_includes=["record"],
                track_total_hits=False,
            )
        hits = told["hits"]["hits"]
        if not hits:
            return
        yield [decode_record(hit["_source"]["record"]) for hit in hits]
        after = hits[-1]["sort"]


async def _done(server: Elasticsearch, generation: Generation) -> int:
    """The sequence number up to which every write to it is done: one that is under way has a greater one."""
    async with server.asking() as client:
        told = await client.indices.stats(index=generation.index, level="shards", filter_path="indices.*.shards")
    for found in told.get("indices", {}).values():
        for copy in found["shards"].get("0", ()):
            if copy["routing"]["primary"] and "seq_no" in copy:
                return int(copy["seq_no"]["local_checkpoint"])
    raise Unavailable("The index of the search is not allocated.")
