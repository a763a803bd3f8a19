"""What reads the index: one state of it, in which a search finds its hits and counts its facets. All of it blocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from tantivy import DocAddress, Occur, Order, Query, Searcher

from marketplace_core.capabilities.catalog import ProductPage, SellerRef
from marketplace_core.capabilities.search import FacetValue
from marketplace_search.config import SearchConfig
from marketplace_search.domain import words_of
from marketplace_search.store import Counts, Found, Hit, Record, Wanted
from marketplace_search.stores import records as kept
from marketplace_search.stores.filters import Filters, any_of, together
from marketplace_search.stores.marking import Marker
from marketplace_search.stores.planning import Plan, Planner, Word
from marketplace_search.stores.ranking import corrected, nearness
from marketplace_search.stores.schema import count_of, record_bytes
from marketplace_search.stores.writing import Generation

__all__ = ["State"]

#: As many of the best are looked at more closely.
WINDOW = 60
#: Different values of facets that one search counts.
TOKENS = 600
_SORTS = {"newest": ("created", Order.Desc), "price": ("price", Order.Asc), "-price": ("price", Order.Desc),
          "rating": ("rating", Order.Desc)}  # fmt: skip
_decode_record = msgspec.json.Decoder(Record).decode


_Hits = tuple[int, list[tuple[float, DocAddress]], bool]


class Titled(Struct):
    title: str = ""


class Glance(Struct):
    """As much of a record as ranking needs."""

    page: Titled | None = None
    name: str = ""


_glance = msgspec.json.Decoder(Glance).decode


class State:
    """The index as it was at a commit. Several threads may search in it."""

    def __init__(self, generation: Generation, config: SearchConfig) -> None:
        self._schema, self._config = generation.schema, config
        self._stemmer = generation.stemmer
        self._searcher: Searcher = generation.index.searcher()
        self.planner = Planner(
            self._schema,
            self._stemmer,
            generation.made.synonyms,
            config.weights,
            self._searcher,
            generation.words.searcher(),
        )
        gone = Query.term_query(self._schema, "flags", "inactive", "basic")
        inactive = [record.id for record in generation.records(self._searcher, gone)]
        self._inactive = any_of(self._schema, "seller_id", inactive) if inactive else None
        self._names: dict[str, str | None] = {}
        self._record = generation.record

    # ── a search ─────────────────────────────────────────────────────────────────────────────────────────────

    def search(self, wanted: Wanted) -> Found:
        filters = Filters(self._schema, wanted)
        plan, (total, hits, more) = self._found(wanted, filters)
        base = self._base(wanted.kind, plan)
        counts = self._counts(base, filters, wanted) if wanted.facets and wanted.kind == "products" else Counts()
        return Found(
            hits=[self._hit(address, score, plan) for score, address in hits],
            total=total,
            more=more,
            counts=counts,
            corrected=self._corrected(plan, hits),
            dropped=plan.dropped if plan else (),
        )

    def _found(self, wanted: Wanted, filters: Filters) -> tuple[Plan | None, _Hits]:
        """What finds something: all words, else mended ones, else fewer. Facets do not matter to that; but what finds something
        under them need not be asked without."""
        words = self.planner.words(wanted.words)
        kind = wanted.kind

        def hits(plan: Plan | None) -> _Hits:
            return self._hits(filters.applied(self._base(kind, plan)), wanted, plan)

        if not words:
            return None, hits(None)
        plan = self.planner.plan(words)
        found = hits(plan)
        if found[0] or (filters and self._count(kind, plan)):
            return plan, found
        mended = [self.planner.mended(word, beginning=word is words[-1]) if not word.mended else word for word in words]
        plan = self.planner.plan(mended)
        if not self._count(kind, plan):
            plan = self._fewer(kind, mended)
        return plan, hits(plan)

    def _fewer(self, kind: str, words: list[Word]) -> Plan:
        """Without one of the words, the most frequent first to go; else as many as can be had, the rarest first."""
        known = [word for word in words if word.query is not None]
        lost = [word for word in words if word.query is None]
        if len(known) < 2 and not lost:
            return self.planner.plan(words)
        if lost and known and self._count(kind, plan := self.planner.plan(known, [word.text for word in lost])):
            return plan
        for without in sorted(known, key=lambda word: -word.frequency) if len(known) > 1 else ():
            left = [word for word in known if word is not without]
            plan = self.planner.plan(left, [word.text for word in words if not any(word is each for each in left)])
            if self._count(kind, plan):
                return plan
        chosen: list[Word] = []
        for word in sorted(known, key=lambda word: word.frequency):
            if self._count(kind, self.planner.plan([*chosen, word])):
                chosen.append(word)
        kept_words = [word for word in words if any(word is each for each in chosen)]
        dropped = [word.text for word in words if not any(word is each for each in chosen)]
        return self.planner.plan(kept_words, dropped) if kept_words else self.planner.plan(words)

    def _count(self, kind: str, plan: Plan) -> int:
        return count_of(self._searcher, self._base(kind, plan))

    def _base(self, kind: str, plan: Plan | None) -> Query:
        parts = [(Occur.Must, Query.const_score_query(Query.term_query(self._schema, "shown", kind, "basic"), 0.0))]
        if plan is not None:
            parts.append((Occur.Must, plan.query))
        if self._inactive is not None and kind == "products":
            parts.append((Occur.MustNot, self._inactive))
        return Query.boolean_query(parts)

    def _hits(self, query: Query, wanted: Wanted, plan: Plan | None) -> _Hits:
        """How many there are, the best of them with their scores, and whether there are more."""
        total: int | None = None
        found: Any
        if wanted.shown:
            total = count_of(self._searcher, query)
            shown = Query.term_set_query(self._schema, "mark", sorted(wanted.shown))
            query = Query.boolean_query([(Occur.Must, query), (Occur.MustNot, shown)])
        sort = wanted.sort
        if sort == "relevance" and plan is None:
            sort = "newest"
        size = wanted.size + 1
        if sort == "relevance":
            found = self._searcher.search(query, max(size, WINDOW))
            ranked = self._ranked(found.hits, plan)
        else:
            field, order = _SORTS[sort]
            found = self._searcher.search(query, size, order_by_field=field, order=order)
            ranked = [(0.0, address) for _, address in found.hits]
        total = int(found.count or 0) if total is None else int(total)
        return total, ranked[: wanted.size], len(ranked) > wanted.size

    def _ranked(self, hits: Sequence[tuple[Any, DocAddress]], plan: Plan | None) -> list[tuple[float, DocAddress]]:
        """Best first: by how rare and heavy the words are that were found, and by how much a title is just these."""
        if not hits or plan is None:
            return [(float(score), address) for score, address in hits]
        best = max(float(score) for score, _ in hits) or 1.0
        scored = []
        for score, address in hits:
            near = nearness(plan.words, words_of(self._title(address)), self._stemmer)
            scored.append((float(score) / best + self._config.weights.title_match * near, address))
        return sorted(scored, key=lambda entry: -entry[0])

    def _title(self, address: DocAddress) -> str:
        glance = _glance(record_bytes(self._searcher, address))
        return glance.page.title if glance.page else glance.name

    def _corrected(self, plan: Plan | None, hits: Sequence[tuple[float, DocAddress]]) -> str | None:
        """By what stands in the best hit."""
        if plan is None:
            return None
        return corrected(plan.words, words_of(self._title(hits[0][1])) if hits else ())

    # ── hits ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _hit(self, address: DocAddress, score: float, plan: Plan | None) -> Hit:
        record = _decode_record(record_bytes(self._searcher, address))
        page = record.page
        if page is not None:
            record = msgspec.structs.replace(record, page=self._now(record, page))
        title, description = (page.title, page.description) if page is not None else (record.name, "")
        highlight = Marker(plan.words, self._stemmer).highlight(title, description) if plan else None
        return Hit(record=record, mark=kept.mark_of(record.id), score=score, highlight=highlight)

    def _now(self, record: Record, page: ProductPage) -> ProductPage:
        """With the stock, the rating and the seller's name that were told since."""
        variants = [
            msgspec.structs.replace(variant, available=record.available.get(variant.id, 0)) for variant in page.variants
        ]
        name = self.name(page.seller.id) or page.seller.name
        seller = SellerRef(page.seller.id, name)
        return msgspec.structs.replace(page, variants=variants, seller=seller, rating=record.rating or page.rating)

    def name(self, seller_id: str) -> str | None:
        """Of a seller that is known."""
        if seller_id not in self._names:
            query = Query.term_query(self._schema, "id", seller_id, "basic")
            hits = self._searcher.search(query, 1, count=False).hits
            self._names[seller_id] = self._title(hits[0][1]) if hits else self._told_by_a_product(seller_id)
        return self._names[seller_id]

    def _told_by_a_product(self, seller_id: str) -> str | None:
        """Where no event has told of the seller itself."""
        query = self._both(("shown", "products"), ("seller_id", seller_id))
        hits = self._searcher.search(query, 1, count=False).hits
        page = _decode_record(record_bytes(self._searcher, hits[0][1])).page if hits else None
        return page.seller.name if page is not None else None

    def _both(self, *terms: tuple[str, str]) -> Query:
        return Query.boolean_query([(Occur.Must, Query.term_query(self._schema, *term, "basic")) for term in terms])

    # ── facets ───────────────────────────────────────────────────────────────────────────────────────────────

    def _counts(self, base: Query, filters: Filters, wanted: Wanted) -> Counts:
        """Each facet as if it were not selected: once for all that are not, and once for each that is."""
        common = self._tokens(filters.applied(base))
        own = {group: self._tokens(filters.applied(base, group)) for group in filters.groups}

        def of(group: str, prefix: str) -> dict[str, int]:
            found = own.get(group, common)
            return {token[len(prefix) :]: count for token, count in found.items() if token.startswith(prefix)}

        sellers = of("sellers", f"{kept.SELLER}{kept.APART}")
        attributes = self._named(kept.ATTRIBUTE, common, own, wanted.attributes)
        return Counts(
            categories=of("categories", f"{kept.CATEGORY}{kept.APART}"),
            sellers=self._values(sellers, wanted.sellers, lambda id_: self.name(id_) or id_),
            prices={int(low): count for low, count in of("price", f"{kept.PRICE}{kept.APART}").items()},
            options=self._options(base, filters, wanted, own.get("options", common)),
            attributes=attributes,
        )

    def _named(
        self,
        prefix: str,
        common: Mapping[str, int],
        own: Mapping[str, Mapping[str, int]],
        selected: Mapping[str, Sequence[str]],
    ) -> dict[str, list[FacetValue]]:
        """Facets with names: those that are selected as if they were not."""
        found: dict[str, dict[str, int]] = {}
        for token, count in common.items():
            if token.startswith(f"{prefix}{kept.APART}"):
                _, name, value = token.split(kept.APART, 2)
                found.setdefault(name, {})[value] = count
        for name in selected:
            start = f"{prefix}{kept.APART}{name}{kept.APART}"
            counted = own[f"{prefix}{name}"]
            found[name] = {token[len(start) :]: count for token, count in counted.items() if token.startswith(start)}
        return {name: self._values(values, selected.get(name, ())) for name, values in found.items()}

    def _options(self, base: Query, filters: Filters, wanted: Wanted, tokens: Mapping[str, int]) -> dict[str, list[FacetValue]]:
        """Where others are selected, or what is in stock, a value counts with them on one variant."""
        found = self._named(kept.OPTION, tokens, {}, {})
        if not wanted.options and not wanted.in_stock:
            return found
        rest = filters.applied(base, "options")
        for name, values in found.items():
            others = {other: chosen for other, chosen in wanted.options.items() if other != name}
            if not others and not wanted.in_stock:
                continue
            exact = {}
            for value in values:
                both = together(self._schema, {**others, name: (value.value,)}, in_stock=wanted.in_stock)
                query = Query.boolean_query([(Occur.Must, rest), (Occur.Must, both)])
                exact[value.value] = count_of(self._searcher, query)
            found[name] = self._values(exact, wanted.options.get(name, ()))
        for name, chosen in wanted.options.items():
            counted = {value.value: value.count for value in found.get(name, ())}
            found[name] = self._values(counted, chosen)
        return found

    def _tokens(self, query: Query) -> dict[str, int]:
        asked = {"tokens": {"terms": {"field": "facets", "size": TOKENS}}}
        buckets = self._searcher.aggregate(query, asked)["tokens"]["buckets"]
        return {bucket["key"]: int(bucket["doc_count"]) for bucket in buckets}

    def _values(self, counts: Mapping[str, int], selected: Iterable[str], label: Any = str) -> list[FacetValue]:
        """The most frequent ones, and all that are selected."""
        chosen = set(selected)
        ordered = sorted({**dict.fromkeys(chosen, 0), **counts}.items(), key=lambda entry: (-entry[1], entry[0]))
        shown = [entry for entry in ordered if entry[1] or entry[0] in chosen]
        few = shown[: self._config.facet_values]
        few += [entry for entry in shown[self._config.facet_values :] if entry[0] in chosen]
        return [FacetValue(value, label(value), count, value in chosen) for value, count in few]

    # ── suggestions ──────────────────────────────────────────────────────────────────────────────────────────

    def suggest(self, words: str, kind: str, size: int) -> list[tuple[str, str]]:
        asked = words_of(words)
        if not asked:
            return []
        for mend in (False, True):
            parts = [self._in_title(word, mend=mend, beginning=place == len(asked) - 1) for place, word in enumerate(asked)]
            plan = Plan([], Query.boolean_query([(Occur.Must, part) for part in parts]))
            hits = self._searcher.search(self._base(kind, plan), size, count=False).hits
            if hits:
                records = [_decode_record(record_bytes(self._searcher, address)) for _, address in hits]
                return [(record.id, record.page.title if record.page else record.name) for record in records]
        return []

    def _in_title(self, word: str, *, mend: bool, beginning: bool) -> Query:
        terms = {word: 1.0}
        if beginning:
            terms |= dict.fromkeys((other for other in self.planner.beginnings(word)), 0.5)
        if mend:
            terms |= {other: 0.5**letters for other, letters in self.planner.near(word)}
        parts = [Query.boost_query(Query.term_query(self._schema, "title", term, "freq"), by) for term, by in terms.items()]
        if mend and beginning and len(word) > 3:
            near = Query.fuzzy_term_query(self._schema, "title", word, 1, True, prefix=True)
            parts.append(Query.boost_query(near, 0.1))
        return Query.disjunction_max_query(parts)

    def pending(self, seller_id: str) -> list[str]:
        """Ids of the products of a seller that are published though their pages are not known."""
        query = self._both(("flags", "pending"), ("seller_id", seller_id))
        hits = self._searcher.search(query, max(1, self._searcher.num_docs), count=False).hits
        return [_decode_record(record_bytes(self._searcher, address)).id for _, address in hits]
