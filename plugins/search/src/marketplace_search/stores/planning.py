"""From the words of a search to a query of tantivy's: each word by all of its forms, misspellings mended where need be."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence

from msgspec import Struct
from tantivy import Occur, Query, Schema, Searcher

from marketplace_search.config import Weights
from marketplace_search.domain import allowed_typos, distance, spelt
from marketplace_search.stores.records import TEXT_STEMS, TEXTS, TITLE_STEMS, title_key
from marketplace_search.stores.schema import WORDS, Stemmer

__all__ = ["Plan", "Planner", "Word"]

#: Searches are not made of more words than these.
WORDS_AT_MOST = 24
CANDIDATES = 60
MENDED = 6
BEGINNINGS = 12
#: A beginning is looked for from this many letters on.
BEGINNING = 2
_TIE = 0.1
_EXACT_TITLE = 3.0


class Word(Struct):
    """A word of a search: ``forms`` that count as it in a title, ``query`` for all of them, in how many documents they are.

    ``light``: a stop word in some language, which need not be found. ``mended``: what it may have been meant to be.
    """

    text: str
    forms: set[str]
    stems: tuple[str, ...]
    query: Query | None
    frequency: int
    light: bool
    mended: list[str] = []


class Plan(Struct):
    words: list[Word]
    query: Query
    dropped: list[str] = []


class Planner:
    """Plans on one state of the index."""

    def __init__(
        self,
        schema: Schema,
        stemmer: Stemmer,
        synonyms: dict[str, list[list[str]]],
        weights: Weights,
        searcher: Searcher,
        known: Searcher,
    ) -> None:
        self._schema, self._stemmer, self._synonyms, self._weights = schema, stemmer, synonyms, weights
        self._searcher, self._known = searcher, known

    def words(self, text: str) -> list[Word]:
        """Each as it is, or, where nothing has it, mended; the last may be the beginning of one."""
        pairs = spelt(text)[:WORDS_AT_MOST]
        found = []
        for place, (folded, written) in enumerate(pairs):
            word = self._word(folded, written)
            if word.query is None:
                word = self.mended(word, beginning=place == len(pairs) - 1)
            found.append(word)
        return found

    def plan(self, words: Sequence[Word], dropped: Iterable[str] = ()) -> Plan:
        """All words must be found, but for stop words beside others."""
        heavy = [word for word in words if not word.light]
        must = heavy or list(words)
        parts: list[tuple[Occur, Query]] = []
        for word in words:
            part = word.query or Query.empty_query()
            parts.append((Occur.Must if any(word is each for each in must) else Occur.Should, part))
        exact = Query.term_query(self._schema, "title_key", title_key(word.text for word in words), "basic")
        parts.append((Occur.Should, Query.const_score_query(exact, _EXACT_TITLE)))
        return Plan(list(words), Query.boolean_query(parts), list(dropped))

    # ── one word ─────────────────────────────────────────────────────────────────────────────────────────────

    def _word(self, folded: str, written: str) -> Word:
        stems, light = self._stemmer.of(written)
        terms = self._terms(folded, stems, 1.0)
        for others in self._synonyms.get(folded, ()):
            if len(others) == 1:
                terms += self._terms(others[0], self._stems(others[0]), self._weights.synonym)
        parts = [self._boosted(*term) for term in terms]
        for others in self._synonyms.get(folded, ()):
            if len(others) > 1:
                each = [(Occur.Must, self._any(self._terms(other, self._stems(other), 1.0))) for other in others]
                parts.append(Query.boost_query(Query.boolean_query(each), self._weights.synonym))
        query = Query.disjunction_max_query(parts, _TIE) if parts else None
        frequency = max((count for *_, count in terms), default=0)
        forms = {folded, *(others[0] for others in self._synonyms.get(folded, ()) if len(others) == 1)}
        return Word(folded, forms, stems, query, frequency, light)

    def _stems(self, word: str) -> tuple[str, ...]:
        return self._stemmer.of(word)[0]

    def _terms(self, word: str, stems: Sequence[str], weight: float) -> list[tuple[str, str, float, int]]:
        """Field, term, weight and frequency of what the index has."""
        found = []
        for field in TEXTS:
            if (own := getattr(self._weights, field)) and (count := self._searcher.doc_freq(field, word)):
                found.append((field, word, weight * own, count))
        for stem in stems:
            for field, own in ((TITLE_STEMS, self._weights.title), (TEXT_STEMS, self._weights.description)):
                if own and (count := self._searcher.doc_freq(field, stem)):
                    found.append((field, stem, weight * own * self._weights.stem, count))
        return found

    def _boosted(self, field: str, term: str, weight: float, _: int = 0) -> Query:
        return Query.boost_query(Query.term_query(self._schema, field, term, "freq"), weight)

    def _any(self, terms: list[tuple[str, str, float, int]]) -> Query:
        parts = [self._boosted(*term) for term in terms]
        return Query.disjunction_max_query(parts, _TIE) if parts else Query.empty_query()

    # ── misspellings ─────────────────────────────────────────────────────────────────────────────────────────

    def mended(self, word: Word, *, beginning: bool = False) -> Word:
        """The word with what it may have been meant to be, beside what it is."""
        near = self.near(word.text)
        ends = self.beginnings(word.text) if beginning else []
        if not near and not ends:
            return word
        terms = [term for other in ends for term in self._terms(other, (), self._weights.typo)]
        for other, letters in near:
            terms += self._terms(other, self._stems(other), self._weights.typo**letters)
        parts = [self._boosted(*term) for term in terms]
        if word.query is not None:
            parts.append(word.query)
        if not parts:
            return word
        forms = {*word.forms, *ends, *(other for other, _ in near)}
        frequency = max(word.frequency, *(term[3] for term in terms), 0)
        mended = [other for other, _ in near] if word.query is None and not ends else []
        query = Query.disjunction_max_query(parts, _TIE)
        return Word(word.text, forms, word.stems, query, frequency, word.light and not mended, mended)

    def near(self, word: str) -> list[tuple[str, int]]:
        """Known words that differ by few letters, the nearest first, with how many."""
        most = allowed_typos(word)
        if not most:
            return []
        query = Query.fuzzy_term_query(WORDS, "word", word, most, True)
        found = []
        for _, address in self._known.search(query, CANDIDATES * 4, count=False).hits:
            other = str(self._known.doc(address).get_first("word"))
            letters = distance(word, other, most)
            count = self._searcher.doc_freq("title", other) or self._searcher.doc_freq("attributes", other)
            if 0 < letters <= most:
                found.append((letters, other[0] != word[0], -count, other))
        return [(other, letters) for letters, _, _, other in heapq.nsmallest(MENDED, found)]

    def beginnings(self, word: str) -> list[str]:
        if len(word) < BEGINNING:
            return []
        return [other for other, _ in self._searcher.terms_with_prefix("title", word, limit=BEGINNINGS) if other != word]
