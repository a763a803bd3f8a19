"""The index in tantivy, in a folder of this machine. See :mod:`marketplace_search.stores.folder` for who may write."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from marketplace_core.capabilities.catalog import ProductPage
from marketplace_core.capabilities.search import SearchKind
from marketplace_core.context import PluginContext
from marketplace_core.errors import Unavailable
from marketplace_core.ports import Pool
from marketplace_search.config import SearchConfig
from marketplace_search.domain import read_synonyms
from marketplace_search.store import Building, Change, Found, SearchStore, Seller, Wanted
from marketplace_search.stores.folder import FORMAT, Folder, Made
from marketplace_search.stores.reading import State
from marketplace_search.stores.writing import LOCK_SECONDS, Generation, Rebuilding, put

__all__ = ["TantivyStore", "make"]

T = TypeVar("T")
PENDING_BATCH = 500


class TantivyStore(SearchStore):
    def __init__(self, root: Path, config: SearchConfig, reading: Pool, writing: Pool, synonyms: Path | None = None) -> None:
        """``writing`` does one thing at a time: who comes meanwhile shares the next commit. ``synonyms``: a file of them."""
        self._folder, self._config, self._synonyms = Folder(root), config, synonyms
        self._reading, self._writing = reading, writing
        self._guard = threading.Lock()
        self._seen: tuple[int, int, str] | None = None
        self._state: State | None = None
        self._read: Generation | None = None
        self._written: Generation | None = None
        self._waiting: list[tuple[Sequence[Change], asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────

    async def put(self, changes: Sequence[Change]) -> None:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((changes, done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await done

    async def _flush(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            try:
                await self._writing.run(self._put, [change for changes, _ in taken for change in changes])
            except Exception as error:
                await self._one_by_one(taken, error)
            else:
                _tell(taken)

    async def _one_by_one(self, taken: list[tuple[Sequence[Change], asyncio.Future[None]]], error: Exception) -> None:
        """One that cannot be written must not keep the others out."""
        for entry in taken:
            if len(taken) > 1:
                try:
                    await self._writing.run(self._put, entry[0])
                except Exception as own:
                    _tell([entry], own)
                else:
                    _tell([entry])
            else:
                _tell([entry], error)

    def _put(self, changes: Sequence[Change]) -> None:
        with self._folder.lock("write", LOCK_SECONDS):
            live = self._folder.live()
            if live is None:
                live = self._folder.new(msgspec.structs.replace(self._made(), built=False))
                self._folder.publish(live)
            if self._written is None or self._written.path != live:
                try:
                    self._written = Generation(self._folder, live)
                except ValueError:
                    raise Unavailable("The index of the search is built anew.") from None
            put(self._written, changes)

    def _made(self) -> Made:
        synonyms = read_synonyms(self._synonyms.read_text(encoding="utf-8")) if self._synonyms else {}
        return Made(self._config.languages, synonyms)

    @contextlib.asynccontextmanager
    async def building(self) -> AsyncIterator[Building]:
        with contextlib.ExitStack() as stack:
            await self._writing.run(stack.enter_context, self._folder.lock("build", 0.0))
            building = await self._writing.run(Rebuilding, self._folder, self._made())
            made = _TantivyBuilding(building, self._writing)
            try:
                yield made
            finally:
                if not made.published:
                    await self._writing.run(building.abandon)

    async def stale(self) -> bool:
        return await self._writing.run(self._is_stale)

    def _is_stale(self) -> bool:
        live = self._folder.live()
        if live is None:
            return True
        try:
            made = self._folder.made(live)
        except (OSError, msgspec.DecodeError):
            return True
        return not made.built or (made.format, made.languages) != (FORMAT, self._config.languages)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    async def search(self, wanted: Wanted) -> Found:
        return await self._on_state(lambda state: state.search(wanted), Found(hits=[], total=0, more=False))

    async def suggest(self, words: str, kind: SearchKind, size: int) -> list[tuple[str, str]]:
        return await self._on_state(lambda state: state.suggest(words, kind, size), [])

    async def hidden(self, seller_id: str) -> AsyncIterator[list[str]]:
        nothing: list[str] = []
        ids = await self._on_state(lambda state: state.pending(seller_id), nothing)
        for start in range(0, len(ids), PENDING_BATCH):
            yield ids[start : start + PENDING_BATCH]

    async def _on_state(self, ask: Callable[[State], T], nothing: T) -> T:
        def run() -> T:
            state = self._current()
            return nothing if state is None else ask(state)

        return await self._reading.run(run)

    def _current(self) -> State | None:
        """What was committed last, by whichever process: to see that nothing was costs a look at one file."""
        seen = self._folder.state()
        if seen == self._seen:
            return self._state
        with self._guard:
            for last in (False, True):
                seen = self._folder.state()
                if seen == self._seen:
                    break
                try:
                    self._open(seen)
                except (OSError, ValueError):
                    if last:
                        raise Unavailable("The index of the search cannot be read.") from None
                    # another generation was published and this one deleted between two lines
        return self._state

    def _open(self, seen: tuple[int, int, str] | None) -> None:
        if seen is None:
            self._state, self._read, self._seen = None, None, None
            return
        path = self._folder.root / seen[2]
        if self._read is None or self._read.path != path:
            self._read = Generation(self._folder, path)
        self._read.words.reload()
        self._read.index.reload()
        self._state = State(self._read, self._config)
        self._seen = seen

    async def close(self) -> None:
        if self._flushing is not None:
            await self._flushing
        self._state = self._read = self._written = None


class _TantivyBuilding(Building):
    def __init__(self, building: Rebuilding, pool: Pool) -> None:
        self._building, self._pool, self.published = building, pool, False

    async def add(self, records: Sequence[ProductPage | Seller]) -> None:
        await self._pool.run(self._building.add, records)

    async def publish(self) -> int:
        caught_up = await self._pool.run(self._building.publish)
        self.published = True
        return caught_up


def _tell(taken: Sequence[tuple[Sequence[Change], asyncio.Future[None]]], error: Exception | None = None) -> None:
    for _, done in taken:
        if not done.done():
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)


def make(context: PluginContext) -> TantivyStore:
    config = context.config(SearchConfig)
    reading = context.pool("read", size=config.threads)
    synonyms = context.file(config.synonyms) if config.synonyms else None
    store = TantivyStore(context.connection(), config, reading, context.pool("write", size=1), synonyms)
    context.closing(store.close)
    return store
