"""The index in Elasticsearch: see :mod:`.generations` for who builds it, :mod:`.writing` for which event counts."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from elasticsearch import NotFoundError

from marketplace_core.adapters.elasticsearch import Elasticsearch
from marketplace_core.capabilities.search import SearchKind
from marketplace_core.context import PluginContext
from marketplace_core.errors import Unavailable
from marketplace_search.config import SearchConfig
from marketplace_search.domain import read_synonyms
from marketplace_search.store import Building, Change, Found, SearchStore, Wanted
from marketplace_search.stores.elasticsearch.analysis import Analysis
from marketplace_search.stores.elasticsearch.building import Rebuilding, scanned
from marketplace_search.stores.elasticsearch.generations import FORMAT, Generations, Made
from marketplace_search.stores.elasticsearch.reading import Moved, Reading
from marketplace_search.stores.elasticsearch.writing import Writer

__all__ = ["ElasticsearchStore", "make"]

T = TypeVar("T")
#: A generation is published seldom: who meets another one each time meets something else.
_TRIES = 3


class ElasticsearchStore(SearchStore):
    def __init__(self, server: Elasticsearch, config: SearchConfig, synonyms: Path | None = None) -> None:
        """``synonyms``: a file of them."""
        self._server, self._config, self._synonyms = server, config, synonyms
        self._generations = Generations(server)
        self._writer = Writer(self._generations, self._made)
        self._analysis: Analysis | None = None
        self._waiting: list[tuple[Sequence[Change], asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    async def put(self, changes: Sequence[Change]) -> None:
        """Who comes while others are written shares the next request, and its refresh; what cannot be written fails alone."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((changes, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            failed: dict[str, Exception] = {}
            try:
                failed = await self._writer.put([change for changes, _ in taken for change in changes])
            except Exception as error:
                failed = {change.id: error for changes, _ in taken for change in changes}
            for changes, done in taken:
                why = next((failed[change.id] for change in changes if change.id in failed), None)
                if done.done():
                    continue
                if why is None:
                    done.set_result(None)
                else:
                    done.set_exception(why)

    def _made(self) -> Made:
        synonyms = read_synonyms(self._synonyms.read_text(encoding="utf-8")) if self._synonyms else {}
        return Made(self._config.languages, synonyms)

    @contextlib.asynccontextmanager
    async def building(self) -> AsyncIterator[Building]:
        async with self._generations.building() as lease:
            building = await Rebuilding.begin(self._generations, lease, self._made())
            try:
                yield building
            finally:
                if not building.published:
                    await building.abandon()

    async def stale(self) -> bool:
        live = await self._generations.live()
        if live is None or not live.built:
            return True
        return (live.made.format, live.made.languages) != (FORMAT, self._config.languages)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    async def search(self, wanted: Wanted) -> Found:
        return await self._read(lambda reading: reading.search(wanted), Found(hits=[], total=0, more=False))

    async def suggest(self, words: str, kind: SearchKind, size: int) -> list[tuple[str, str]]:
        return await self._read(lambda reading: reading.suggest(words, kind, size), [])

    async def _read(self, ask: Callable[[Reading], Awaitable[T]], nothing: T) -> T:
        """On the generation that is read; where that is another one since, again."""
        for _ in range(_TRIES):
            analysis = await self._current()
            if analysis is None:
                return nothing
            with contextlib.suppress(Moved, NotFoundError):
                async with self._server.asking() as client:
                    return await ask(Reading(client, self._generations.name, analysis, self._config))
            self._analysis = None
        raise Unavailable("The index of the search cannot be read.")

    async def _current(self) -> Analysis | None:
        if self._analysis is None:
            live = await self._generations.live()
            if live is None:
                return None
            if live.made.format != FORMAT:
                raise Unavailable("The index of the search is built anew.")
            self._analysis = Analysis(live)
        return self._analysis

    async def hidden(self, seller_id: str) -> AsyncIterator[list[str]]:
        live = await self._generations.live()
        if live is not None:
            pending = {"bool": {"filter": [{"term": {"flags": "pending"}}, {"term": {"seller_id": seller_id}}]}}
            async for records in scanned(self._server, live.index, pending):
                yield [record.id for record in records]

    async def close(self) -> None:
        """The connection is the deployment's."""
        if self._flushing is not None:
            await self._flushing


def make(context: PluginContext) -> ElasticsearchStore:
    config = context.config(SearchConfig)
    synonyms = context.file(config.synonyms) if config.synonyms else None
    store = ElasticsearchStore(context.connection(), config, synonyms)
    context.closing(store.close)
    return store
