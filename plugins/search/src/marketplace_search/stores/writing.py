"""What writes to the index: changes as events tell them, and whole generations. All of it blocks, and runs in a thread."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from tantivy import Document, FieldType, Index, IndexWriter, Query, Searcher

from marketplace_core.capabilities.catalog import ProductPage
from marketplace_search.store import Change, Record, Seller, merged
from marketplace_search.stores.folder import FORMAT, Folder, Made
from marketplace_search.stores.records import SHORTEST, Known, rebuilt
from marketplace_search.stores.schema import document, open_index, open_words, record_bytes, schema_of, stemmer, texts_of

__all__ = ["BULK_HEAP", "BULK_THREADS", "Generation", "Rebuilding", "Writing", "put"]

LOCK_SECONDS = 30.0
#: tantivy's least for a thread.
SMALL_HEAP = 15_000_000
#: While a generation is built, and no longer: fewer segments, which need less merging.
BULK_HEAP = 128_000_000
BULK_THREADS = 1
#: Whose words are.
MENDED_BY = ("title", "attributes", "category", "seller")
_decode_record = msgspec.json.Decoder(Record).decode


_decode_known = msgspec.json.Decoder(Known).decode


class Generation:
    """One generation, as it is written and looked up in."""

    def __init__(self, folder: Folder, path: Path) -> None:
        """:raises ValueError: it is of another format."""
        self.path, self.made = path, folder.made(path)
        if self.made.format != FORMAT:
            raise ValueError(f"{path} is of format {self.made.format}, and not {FORMAT}")
        self.schema = schema_of()
        self.stemmer = stemmer(self.made.languages)
        self.index: Index = open_index(path)
        self.words: Index = open_words(path)

    def record(self, searcher: Searcher, id_: str) -> Record | None:
        found = searcher.search(Query.term_query(self.schema, "id", id_, "basic"), 1, count=False).hits
        return _decode_record(record_bytes(searcher, found[0][1])) if found else None

    def records(self, searcher: Searcher, query: Query) -> Iterator[Record]:
        for _, address in searcher.search(query, max(1, searcher.num_docs), count=False).hits:
            yield _decode_record(record_bytes(searcher, address))

    def known(self, searcher: Searcher, ids: list[str]) -> dict[str, Known]:
        """Of those that it has."""
        hits = searcher.search(Query.term_set_query(self.schema, "id", ids), max(1, len(ids)), count=False).hits
        found = [_decode_known(record_bytes(searcher, address)) for _, address in hits]
        return {each.id: each for each in found}

    @contextlib.contextmanager
    def writing(self, heap: int = SMALL_HEAP, threads: int = 1) -> Iterator[Writing]:
        """Under the lock. Words first: a word too many harms nobody."""
        writing = Writing(self, heap, threads)
        try:
            yield writing
        finally:
            writing.end()


class Writing:
    """An open writer of a generation: what is added is there once :meth:`commit` has returned."""

    def __init__(self, generation: Generation, heap: int, threads: int) -> None:
        self._generation = generation
        generation.words.reload()
        self._known = generation.words.searcher()
        self._documents = generation.index.writer(heap, threads)
        #: Opened for the first new word: to commit costs waits for the disk, and most products have none.
        self._words: IndexWriter | None = None
        self._added: set[str] = set()
        #: Greater than that of any commit before.
        self.turn = self._documents.commit_opstamp + 1

    def put(self, record: Record, *, fresh: bool = False) -> None:
        """``fresh``: there is none of its id."""
        if not fresh:
            self._documents.delete_documents_by_term("id", record.id)
        texts = texts_of(record, self._generation.stemmer)
        self._documents.add_document(document(record, texts, self.turn))
        for name in MENDED_BY:
            if name in texts:
                self._learn(texts[name].words)

    def _learn(self, words: Iterable[str]) -> None:
        """What a misspelling may have been meant to be."""
        for word in words:
            if word in self._added:
                continue
            self._added.add(word)
            if len(word) >= SHORTEST and not word.isdigit() and not self._known.doc_freq("word", word):
                made = Document()
                made.add_text("word", word)
                self._words = self._words or self._generation.words.writer(SMALL_HEAP, 1)
                self._words.add_document(made)

    def commit(self) -> None:
        if self._words is not None:
            self._words.commit()
        self._documents.commit()

    def end(self) -> None:
        """What was not committed is gone; merging that has begun is waited for."""
        self._documents.wait_merging_threads()
        if self._words is not None:
            self._words.wait_merging_threads()
        del self._documents, self._words


def put(generation: Generation, changes: Sequence[Change]) -> None:
    """Apply what is later than what is known, in one commit. Under the lock."""
    generation.index.reload()
    searcher = generation.index.searcher()
    known: dict[str, Record | None] = {}
    changed: dict[str, Record] = {}
    for change in changes:
        if change.id not in known:
            known[change.id] = generation.record(searcher, change.id)
        record = merged(known[change.id], change)
        if record is not None:
            known[change.id] = changed[change.id] = record
    if not changed:
        return
    with generation.writing() as writing:
        for record in changed.values():
            writing.put(record)
        writing.commit()


class Rebuilding:
    """A generation beside the one that is read."""

    def __init__(self, folder: Folder, made: Made) -> None:
        self._folder = folder
        self._former: Generation | None = None
        self._before: Searcher | None = None
        self._since = 0
        with folder.lock("write", LOCK_SECONDS):
            folder.sweep()
            self._start_from(folder.live())
            self._generation = Generation(folder, folder.new(made))
        self._writing = Writing(self._generation, BULK_HEAP, BULK_THREADS)
        self._added: set[str] = set()

    def _start_from(self, live: Path | None) -> None:
        """Remember what the read index knows now, and where it is. One that cannot be read is as none."""
        if live is None:
            return
        with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):
            former = Generation(self._folder, live)
            former.index.reload()
            self._before = former.index.searcher()
            with former.writing() as writing:
                self._since = writing.turn
            self._former = former

    def add(self, told: Sequence[ProductPage | Seller]) -> None:
        new = {each.id: each for each in told if each.id not in self._added}
        self._added.update(new)
        known = self._former.known(self._before, list(new)) if self._former and self._before else {}
        for each in new.values():
            self._writing.put(rebuilt(each, known.get(each.id)), fresh=True)

    def publish(self) -> int:
        self._writing.commit()
        with self._folder.lock("write", LOCK_SECONDS):
            caught_up = self._catch_up()
            self._writing.commit()
            self._writing.end()
            self._folder.publish(self._generation.path)
            self._folder.sweep()
        return caught_up

    def _catch_up(self) -> int:
        """Of the read index: what was written since, and what tells late events that something is gone."""
        live = self._folder.live()
        if live is not None and self._former is None and self._since == 0:
            with contextlib.suppress(OSError, ValueError, msgspec.DecodeError):  # somebody began one meanwhile
                self._former = Generation(self._folder, live)
        if self._former is None:
            return 0
        former = self._former
        former.index.reload()
        searcher = former.index.searcher()
        since = Query.range_query(former.schema, "turn", FieldType.Unsigned, self._since, None)
        changed = 0
        for record in former.records(searcher, since):
            self._added.add(record.id)
            self._writing.put(record)
            changed += 1
        for record in former.records(searcher, Query.term_query(former.schema, "flags", "gone", "basic")):
            if record.id not in self._added:
                self._writing.put(record)
        return changed

    def abandon(self) -> None:
        self._writing.end()
        with self._folder.lock("write", LOCK_SECONDS):
            self._folder.sweep()
