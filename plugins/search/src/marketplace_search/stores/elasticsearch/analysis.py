"""Stems of words as the index's own analyzers make them, kept by the process: a catalogue has few different words."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from elasticsearch import AsyncElasticsearch

from marketplace_search.stores.elasticsearch.generations import Generation

__all__ = ["Analysis"]

_KEPT_WORDS = 50_000
#: Elasticsearch gives no more than 10,000 tokens at once.
_AT_ONCE = 2000


class Analysis:
    """Of one generation."""

    def __init__(self, generation: Generation) -> None:
        self.generation = generation
        self._known: dict[str, tuple[tuple[str, ...], bool]] = {}

    def __contains__(self, word: str) -> bool:
        return word in self._known

    def of(self, word: str) -> tuple[tuple[str, ...], bool]:
        """The stems of a word as it is written, in small letters, and whether it is a stop word in one of the languages.

        Of one that was not learnt there is nothing.
        """
        return self._known.get(word, ((), False))

    async def learn(self, client: AsyncElasticsearch, words: Iterable[str]) -> None:
        """Ask for those that are not known yet."""
        new = list(dict.fromkeys(word for word in words if word not in self._known))
        if len(self._known) + len(new) > _KEPT_WORDS:
            self._known = {}
        for start in range(0, len(new), _AT_ONCE):
            some = new[start : start + _AT_ONCE]
            languages = self.generation.made.languages
            stems = await asyncio.gather(*(self._analyzed(client, language, some) for language in languages))
            for word, *found in zip(some, *stems, strict=True):
                self._known[word] = tuple(dict.fromkeys(stem for stem in found if stem)), not all(found)

    async def _analyzed(self, client: AsyncElasticsearch, language: str, words: Sequence[str]) -> list[str]:
        """The stem of each word; nothing for a stop word."""
        told = await client.indices.analyze(index=self.generation.index, analyzer=language, text=" ".join(words))
        at: dict[int, int] = {}
        offset = 0
        for place, word in enumerate(words):
            at[offset] = place
            offset += len(word.encode("utf-16-le")) // 2 + 1  # as Java counts
        found = [""] * len(words)
        for token in told["tokens"]:
            found[at[token["start_offset"]]] = token["token"]
        return found
