"""From the words of a search to a query of Elasticsearch's: each word by all of its forms, misspellings mended where need be.

The rules are those of :mod:`marketplace_search.stores.planning`; here they ask for all at once, as each question travels.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from elasticsearch import AsyncElasticsearch
from msgspec import Struct

from marketplace_search.config import Weights
from marketplace_search.domain import allowed_typos, distance, fold, spelt
from marketplace_search.stores.elasticsearch.analysis import Analysis
from marketplace_search.stores.elasticsearch.documents import KNOWN, TITLE_WORDS
from marketplace_search.stores.records import TEXT_STEMS, TEXTS, TITLE_STEMS, title_key

__all__ = ["BEGINNINGS", "Near", "Plan", "Planner", "Query", "Word", "any_of", "near_of", "prefixed", "suggested"]

Query = dict[str, Any]
WORDS_AT_MOST = 24
CANDIDATES = 60
MENDED = 6
BEGINNINGS = 12
#: A beginning is looked for from this many letters on.
BEGINNING = 2
_TIE = 0.1
#: Beside scores from which Lucene leaves out a factor that tantivy has (k1 + 1).
_EXACT_TITLE = 3.0 / 2.2
_NEVER = 1_000_000_000


class Word(Struct):
    """A word of a search: ``forms`` that count as it in a title, ``parts`` any of which finds it, ``frequency``: in how many
    documents one does, once that was asked.

    ``light``: a stop word in some language, which need not be found. ``mended``: what it may have been meant to be.
    """

    text: str
    forms: set[str]
    stems: tuple[str, ...]
    parts: list[Query]
    light: bool
    frequency: int = 0
    mended: list[str] = []

    @property
    def query(self) -> Query:
        return any_of(self.parts)


class Plan(Struct):
    words: list[Word]
    query: Query
    dropped: list[str] = []


class Near(Struct):
    """What a word may have been meant to be: known words that differ by few letters, the nearest first, with how many; words of
    titles that begin with it; and in how many documents the most frequent of them is."""

    words: list[tuple[str, int]]
    ends: list[str]
    frequency: int


class Planner:
    def __init__(self, analysis: Analysis, weights: Weights) -> None:
        self._analysis, self._weights = analysis, weights
        self._synonyms = analysis.generation.made.synonyms

    async def words(self, client: AsyncElasticsearch, text: str) -> list[Word]:
        """Each as it is, or as one of its synonyms."""
        pairs = spelt(text)[:WORDS_AT_MOST]
        others = [word for folded, _ in pairs for other in self._synonyms.get(folded, ()) for word in other]
        await self._analysis.learn(client, [*(written for _, written in pairs), *others])
        return [self._word(*pair) for pair in pairs]

    def _word(self, folded: str, written: str) -> Word:
        stems, light = self._analysis.of(written)
        parts = self._terms(folded, stems, 1.0)
        forms = {folded}
        for others in self._synonyms.get(folded, ()):
            if len(others) == 1:
                forms.add(others[0])
                parts += self._terms(others[0], self._stems(others[0]), self._weights.synonym)
            else:
                each = [any_of(self._terms(other, self._stems(other), 1.0)) for other in others]
                parts.append({"bool": {"must": each, "boost": self._weights.synonym}})
        return Word(folded, forms, stems, parts, light)

    def _stems(self, word: str) -> tuple[str, ...]:
        return self._analysis.of(word)[0]

    def _terms(self, word: str, stems: Sequence[str], weight: float) -> list[Query]:
        own = {field: getattr(self._weights, field) for field in TEXTS}
        found = [_term(field, word, weight * own[field]) for field in TEXTS if own[field]]
        for field, heavy in ((TITLE_STEMS, own["title"]), (TEXT_STEMS, own["description"])):
            found += [_term(field, stem, weight * heavy * self._weights.stem) for stem in stems if heavy]
        return found

    def plan(self, words: Sequence[Word], dropped: Iterable[str] = ()) -> Plan:
        """All words must be found, but for stop words beside others."""
        must = [word for word in words if not word.light] or list(words)
        exact = {"term": {"title_key": title_key(word.text for word in words)}}
        parts = {
            "must": [word.query for word in must],
            "should": [word.query for word in words if not any(word is each for each in must)],
        }
        parts["should"].append({"constant_score": {"filter": exact, "boost": _EXACT_TITLE}})
        return Plan(list(words), {"bool": parts}, list(dropped))

    # ── misspellings ─────────────────────────────────────────────────────────────────────────────────────────

    async def mended(self, client: AsyncElasticsearch, words: Sequence[Word], near: Sequence[Near]) -> list[Word]:
        """The words with what they may have been meant to be, beside what they are."""
        await self._analysis.learn(client, [other for each in near for other, _ in each.words])
        return [self._mended(word, each) for word, each in zip(words, near, strict=True)]

    def _mended(self, word: Word, near: Near) -> Word:
        if not near.words and not near.ends:
            return word
        parts = [term for other in near.ends for term in self._terms(other, (), self._weights.typo)]
        for other, letters in near.words:
            parts += self._terms(other, self._stems(other), self._weights.typo**letters)
        forms = {*word.forms, *near.ends, *(other for other, _ in near.words)}
        mended = [other for other, _ in near.words] if not word.frequency and not near.ends else []
        light = word.light and not mended
        return Word(word.text, forms, word.stems, [*parts, *word.parts], light, max(word.frequency, near.frequency), mended)


def any_of(parts: list[Query]) -> Query:
    return {"dis_max": {"queries": parts, "tie_breaker": _TIE}}


def _term(field: str, word: str, boost: float) -> Query:
    return {"term": {field: {"value": word, "boost": boost}}}


def suggested(words: Iterable[str]) -> Query:
    """What asks for known words near to each; :func:`near_of` reads the answers, by the words' places."""
    options = {
        "field": KNOWN,
        "analyzer": "whitespace",
        "suggest_mode": "always",
        "prefix_length": 0,
        "min_word_length": 4,
        "size": CANDIDATES,
        "shard_size": 4 * CANDIDATES,
        "accuracy": 0.3,
        "max_term_freq": _NEVER,
    }
    asked = {str(n): word for n, word in enumerate(words) if allowed_typos(word)}
    return {n: {"text": word, "term": {**options, "max_edits": allowed_typos(word)}} for n, word in asked.items()}


def prefixed(word: str) -> Query | None:
    """A search for words of titles that begin so, if it is long enough."""
    if len(word) < BEGINNING:
        return None
    asked = {"field": TITLE_WORDS, "include": f"{word}.*", "size": BEGINNINGS + 1, "order": {"_key": "asc"}}
    return {
        "size": 0,
        "query": {"prefix": {TITLE_WORDS: word}},
        "aggs": {"ends": {"terms": {**asked, "execution_hint": "map"}}},
    }


def near_of(word: str, options: Iterable[Mapping[str, Any]]) -> Near:
    """The nearest of what :func:`suggested` found."""
    most, found = allowed_typos(word), []
    for option in options:
        other = fold(option["text"])
        letters = distance(word, other, most)
        if 0 < letters <= most:
            found.append((letters, other[0] != word[0], -option["freq"], other))
    best = heapq.nsmallest(MENDED, found)
    return Near([(other, letters) for letters, _, _, other in best], [], max((-count for _, _, count, _ in best), default=0))
