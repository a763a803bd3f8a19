"""The indexes of a search: generations, one of which has the name that is read, and the lease of who builds another.

``<prefix>-search`` is an alias of the generation that is read, ``<prefix>-search-<id>``; to publish another is to move it,
which is done at once for everybody. Who writes does so by an alias of that generation alone, ``…-<id>-writes``: without it a
write is refused, and never begins an index of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from elasticsearch import AsyncElasticsearch, BadRequestError, ConflictError, NotFoundError
from msgspec import Struct

from marketplace_core.adapters.elasticsearch import Elasticsearch
from marketplace_core.errors import Unavailable
from marketplace_core.values import new_id
from marketplace_search.stores.elasticsearch.documents import template

__all__ = ["FORMAT", "LEASE_SECONDS", "ORDER_SECONDS", "Generation", "Generations", "Lease", "Made"]

#: Counts changes of the documents: an index of another number is built anew.
FORMAT = 1
#: Who builds says so each second; one of whom nothing was heard for so long is taken for killed.
LEASE_SECONDS = 4.0
BEAT_SECONDS = 1.0
#: What a change of the cluster's state may take.
ORDER_SECONDS = 30.0


class Made(Struct, frozen=True):
    """How a generation was made: what is read depends on it, and not on the settings of who reads."""

    languages: tuple[str, ...]
    synonyms: dict[str, list[list[str]]]
    format: int = FORMAT


class Generation(Struct, frozen=True):
    """``built``: of the catalogue. One that was begun by an event has only what events told since."""

    index: str
    made: Made
    built: bool

    @property
    def writes(self) -> str:
        """The name by which it is written to."""
        return f"{self.index}-writes"


class Generations:
    """Of one deployment."""

    def __init__(self, server: Elasticsearch) -> None:
        self.server, self.name = server, f"{server.prefix}-search"
        self._unbuilt, self._first = f"{self.name}-unbuilt", f"{self.name}-1"

    @contextlib.asynccontextmanager
    async def _ordering(self) -> AsyncIterator[AsyncElasticsearch]:
        """For what the leader of the cluster does, which takes its time."""
        async with self.server.asking() as client:
            yield client.options(request_timeout=ORDER_SECONDS)

    async def live(self) -> Generation | None:
        """The generation that is read, if there is one."""
        async with self.server.asking() as client:
            with contextlib.suppress(NotFoundError):
                told = await client.indices.get(index=self.name, filter_path="*.aliases,*.mappings._meta")
                ((index, found),) = told.body.items()
                made = _made(found.get("mappings", {}).get("_meta", {}))
                return Generation(index, made, self._unbuilt not in found["aliases"])
        return None

    async def begun(self, made: Made) -> Generation:
        """The one that is read; where there is none, an empty one is begun."""
        while (found := await self.live()) is None:
            async with self._ordering() as client:
                # Whoever comes late with this finds the name in use: it is kept for ever.
                with contextlib.suppress(BadRequestError):
                    await self._create(client, self._first, made, [self.name, self._unbuilt])
        return found

    async def new(self, made: Made) -> Generation:
        """An empty generation that nobody reads yet, whose name nobody had or will have: who was thought killed may still
        delete what it has begun. Under the lease."""
        index = f"{self.name}-{new_id()}"
        async with self._ordering() as client:
            await self._create(client, index, made, [])
        return Generation(index, made, True)

    async def _create(self, client: AsyncElasticsearch, index: str, made: Made, aliases: list[str]) -> None:
        """By the template, which whoever looks after the cluster may find; and whole, should another have changed it since."""
        body = template(made.languages, msgspec.to_builtins(made))
        await client.indices.put_index_template(name=self.name, index_patterns=[f"{self.name}-*"], template=body)
        named: dict[str, Any] = {alias: {} for alias in (*aliases, f"{index}-writes")}
        await client.indices.create(index=index, aliases=named, **body)

    async def _all(self, client: AsyncElasticsearch) -> list[str]:
        told = await client.indices.get(index=f"{self.name}-*", filter_path="*.aliases", expand_wildcards="open")
        return list(told.body)

    async def publish(self, new: Generation, old: Generation) -> None:
        """Let it be read. Under the lease: of one whose lease was taken the new generation is gone, and this fails."""
        actions: list[dict[str, Any]] = [{"add": {"index": new.index, "alias": self.name}}]
        if old.index == self._first:
            gone = [self.name, self._unbuilt, old.writes]
            actions += [{"remove": {"index": old.index, "alias": alias, "must_exist": False}} for alias in gone]
        else:
            actions.append({"remove_index": {"index": old.index}})
        async with self._ordering() as client:
            try:
                await client.indices.update_aliases(actions=actions)
            except NotFoundError as error:
                raise Unavailable("Another process has begun to build the index.") from error

    async def sweep(self) -> None:
        """Delete what a killed building has left, and let the read one be written to. Under the lease."""
        live = await self.live()
        async with self._ordering() as client:
            for index in await self._all(client):
                if index != self._first and (live is None or index != live.index):
                    await client.indices.delete(index=index, ignore_unavailable=True)
            if live is not None:
                await client.indices.put_settings(index=live.index, settings={"index.blocks.write": None})

    @contextlib.asynccontextmanager
    async def building(self) -> AsyncIterator[Lease]:
        """:raises Unavailable: another one builds."""
        lease = Lease(self.server, f"{self.name}.lease")
        await lease.take()
        try:
            await self.sweep()
            yield lease
        finally:
            await lease.give_up()


class Lease:
    """A document that its holder writes to each second: others wait as long by their own clocks, and compare no times."""

    def __init__(self, server: Elasticsearch, index: str) -> None:
        self._server, self._index, self._owner = server, index, new_id()
        self._version: dict[str, Any] = {}
        self._heard = 0.0
        self._beating: asyncio.Task[None] | None = None

    async def take(self) -> None:
        """:raises Unavailable: another holds it."""
        async with self._server.asking() as client:
            with contextlib.suppress(BadRequestError):  # it is there
                settings = {"number_of_shards": 1, "auto_expand_replicas": "0-1"}
                await client.options(request_timeout=ORDER_SECONDS).indices.create(
                    index=self._index, settings=settings, mappings={"dynamic": False}
                )
            try:
                told = await client.create(index=self._index, id="build", document=self._beat())
            except ConflictError:
                former = await self._silent(client)
                try:
                    told = await client.index(index=self._index, id="build", document=self._beat(), **former)
                except ConflictError as error:
                    raise _held() from error
        self._keep(told.body)
        self._beating = asyncio.create_task(self._go_on())

    async def _silent(self, client: AsyncElasticsearch) -> dict[str, Any]:
        """The version of a holder of whom nothing is heard."""
        seen, until = await self._seen(client), time.monotonic() + LEASE_SECONDS
        while time.monotonic() < until:
            await asyncio.sleep(BEAT_SECONDS / 4)
            if await self._seen(client) != seen:
                raise _held()
        return seen

    async def _seen(self, client: AsyncElasticsearch) -> dict[str, Any]:
        try:
            return _version((await client.get(index=self._index, id="build")).body)
        except NotFoundError as error:
            raise _held() from error  # it was given up this moment: who asks again gets it

    def _beat(self) -> dict[str, Any]:
        return {"owner": self._owner}

    def _keep(self, told: Any) -> None:
        self._version, self._heard = _version(told), time.monotonic()

    async def _go_on(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            with contextlib.suppress(Unavailable):
                await self.hold()

    async def hold(self) -> None:
        """:raises Unavailable: another has taken it."""
        async with self._server.asking() as client:
            try:
                told = await client.index(index=self._index, id="build", document=self._beat(), **self._version)
            except ConflictError as error:
                if not await self._is_ours(client):
                    raise _held() from error
            else:
                self._keep(told.body)

    async def _is_ours(self, client: AsyncElasticsearch) -> bool:
        """A beat of ours may have arrived though its answer did not, or beside this one."""
        with contextlib.suppress(NotFoundError):
            found = (await client.get(index=self._index, id="build")).body
            if found["_source"]["owner"] == self._owner:
                self._keep(found)
                return True
        return False

    async def give_up(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])
        with contextlib.suppress(Unavailable, ConflictError, NotFoundError):
            async with self._server.asking() as client:
                if await self._is_ours(client):
                    await client.delete(index=self._index, id="build", **self._version)


def _held() -> Unavailable:
    return Unavailable("Another process works on the index of the search.")


def _version(told: Any) -> dict[str, Any]:
    return {"if_seq_no": told["_seq_no"], "if_primary_term": told["_primary_term"]}


def _made(meta: Any) -> Made:
    try:
        return msgspec.convert(meta, Made)
    except msgspec.ValidationError:
        return Made((), {}, format=0)
