"""What reads the index: a search, its hits and its facets; suggestions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from elasticsearch import AsyncElasticsearch
from msgspec import Struct

from marketplace_core.adapters.elasticsearch.server import BUSY
from marketplace_core.capabilities.catalog import ProductPage, SellerRef
from marketplace_core.errors import Unavailable
from marketplace_search.config import SearchConfig
from marketplace_search.domain import words_of
from marketplace_search.store import Counts, Found, Hit, Record, Wanted
from marketplace_search.stores import records as kept
from marketplace_search.stores.elasticsearch.analysis import Analysis
from marketplace_search.stores.elasticsearch.documents import BEGINNINGS, INACTIVE
from marketplace_search.stores.elasticsearch.facets import (
    Filters,
    Tokens,
    counts_of,
    exact_options,
    facet_aggs,
    tokens_of,
)
from marketplace_search.stores.elasticsearch.planning import Plan, Planner, Query, Word
from marketplace_search.stores.elasticsearch.replanning import looked_up, replanned
from marketplace_search.stores.elasticsearch.writing import decode_record
from marketplace_search.stores.marking import Marker, Stems
from marketplace_search.stores.ranking import corrected, nearness

__all__ = ["Moved", "Reading"]

T = TypeVar("T")
#: As many of the best are looked at more closely.
WINDOW = 60
_SORTS = {"newest": ("created", "desc"), "price": ("price", "asc"), "-price": ("price", "desc"), "rating": ("rating", "desc")}


class Moved(Exception):
    """Another generation is read than the one that a search was planned for."""


class Scored(Struct):
    """A hit before its record is looked at."""

    id: str
    seller_id: str
    title: list[str]
    score: float


class Learning:
    """Stems that are known; and which are not."""

    def __init__(self, analysis: Analysis) -> None:
        self._analysis = analysis
        self.missed: set[str] = set()

    def of(self, word: str) -> tuple[Sequence[str], bool]:
        if word not in self._analysis:
            self.missed.add(word)
        return self._analysis.of(word)


class Reading:
    """One question to one generation."""

    def __init__(self, client: AsyncElasticsearch, name: str, analysis: Analysis, config: SearchConfig) -> None:
        """``name``: of what is read, whichever generation it is."""
        self._client, self._name, self._analysis, self._config = client, name, analysis, config
        self._planner = Planner(analysis, config.weights)

    # ── a search ─────────────────────────────────────────────────────────────────────────────────────────────

    async def search(self, wanted: Wanted) -> Found:
        """:raises Moved: see there."""
        filters = Filters(wanted)
        words = await self._planner.words(self._client, wanted.words)
        plan = self._planner.plan(words) if words else None
        told = await self._ask(wanted, filters, plan)
        # What finds something but for the filters is left as it is.
        if plan is not None and not told["aggregations"]["any"]["doc_count"]:
            plan = await self._other_plan(wanted.kind, words)
            told = await self._ask(wanted, filters, plan)
        ranked = await self._ranked(wanted, plan, told["hits"]["hits"])
        hits = ranked[: wanted.size]
        tokens = tokens_of(filters, told["aggregations"]) if self._counts_facets(wanted) else {}
        exact = await self._exact_options(wanted, filters, plan, tokens) if tokens else {}
        records, names = await self._records(hits, tokens)
        return Found(
            hits=[hit async for hit in self._hits(hits, records, names, plan)],
            total=told["aggregations"]["found"]["doc_count"],
            more=len(ranked) > wanted.size,
            counts=counts_of(wanted, tokens, exact, names, self._config.facet_values) if tokens else Counts(),
            corrected=corrected(plan.words, hits[0].title if hits else ()) if plan is not None else None,
            dropped=plan.dropped if plan is not None else (),
        )

    def _counts_facets(self, wanted: Wanted) -> bool:
        return wanted.facets and wanted.kind == "products"

    async def _ask(self, wanted: Wanted, filters: Filters, plan: Plan | None) -> Mapping[str, Any]:
        """The best hits that have not been shown, how many there are with those that were, and tokens of facets."""
        shown = [{"terms": {"mark": sorted(wanted.shown)}}] if wanted.shown else []
        aggs: dict[str, Any] = {"any": {"filter": {"match_all": {}}}, "found": {"filter": filters.but()}}
        if self._counts_facets(wanted):
            aggs |= facet_aggs(filters)
        body: dict[str, Any] = {
            "query": self._base(wanted.kind, plan),
            "post_filter": {"bool": {"filter": [filters.but()], "must_not": shown}},
            "aggs": aggs,
            "size": wanted.size + 1,
            "source_includes": ["name", "seller_id"],
            "track_total_hits": False,
        }
        if wanted.sort != "relevance" or plan is None:
            field, order = _SORTS["newest" if wanted.sort == "relevance" else wanted.sort]
            body["sort"] = [{field: order}]
        else:
            body["size"] = max(body["size"], WINDOW)
        told = await self._client.search(index=self._name, **body)
        for hit in told["hits"]["hits"]:
            if hit["_index"] != self._analysis.generation.index:
                raise Moved
        return told.body  # type: ignore[no-any-return]  # it is JSON

    def _base(self, kind: str, plan: Plan | None) -> Query:
        """What a plan finds of what shoppers see. The sellers that are not active are looked up where the search runs."""
        parts: dict[str, Any] = {"filter": [{"term": {"shown": kind}}]}
        if plan is not None:
            parts["must"] = [plan.query]
        if kind == "products":
            inactive = {"index": self._analysis.generation.index, "id": INACTIVE, "path": "sellers"}
            parts["must_not"] = [{"terms": {"seller_id": inactive}}]
        return {"bool": parts}

    async def _other_plan(self, kind: str, words: Sequence[Word]) -> Plan:
        return await replanned(self._planner, self._client, self._many, lambda plan: self._base(kind, plan), words)

    async def _many(self, searches: Sequence[Query]) -> list[Mapping[str, Any]]:
        """Several at once."""
        each = [part for search in searches for part in ({}, search)]
        told = await self._client.msearch(index=self._analysis.generation.index, searches=each)
        for answer in told["responses"]:
            if "error" in answer:
                if answer["status"] == 404:
                    raise Moved
                if answer["status"] in BUSY:
                    raise Unavailable("Elasticsearch cannot do it now.")
                raise RuntimeError(f"Elasticsearch refuses a search: {answer['error']}")
        return list(told["responses"])

    # ── order ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ranked(self, wanted: Wanted, plan: Plan | None, hits: Sequence[Mapping[str, Any]]) -> list[Scored]:
        """Best first: by how rare and heavy the words are that were found, and by how much a title is just these."""
        found = [
            Scored(hit["_id"], hit["_source"].get("seller_id", ""), words_of(hit["_source"]["name"]), hit["_score"] or 0.0)
            for hit in hits
        ]
        if wanted.sort != "relevance" or plan is None:
            return found
        best = max((hit.score for hit in found), default=0.0) or 1.0
        near = await self._with_stems(lambda stems: [nearness(plan.words, hit.title, stems) for hit in found])
        for hit, each in zip(found, near, strict=True):
            hit.score = hit.score / best + self._config.weights.title_match * each
        return sorted(found, key=lambda hit: -hit.score)

    async def _with_stems(self, act: Callable[[Stems], T]) -> T:
        """What needs stems, with all of those that it needs."""
        learning = Learning(self._analysis)
        found = act(learning)
        if learning.missed:
            await self._analysis.learn(self._client, learning.missed)
            found = act(self._analysis)
        return found

    # ── hits ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _records(self, hits: Sequence[Scored], tokens: Mapping[str, Tokens]) -> tuple[dict[str, Record], dict[str, str]]:
        """Of hits, and the names of their sellers and of those that are counted."""
        start = f"{kept.SELLER}{kept.APART}"
        sellers = {hit.seller_id for hit in hits if hit.seller_id}
        sellers |= {token[len(start) :] for counted in tokens.values() for token in counted if token.startswith(start)}
        ids = list(dict.fromkeys([*(hit.id for hit in hits), *sellers]))
        if not ids:
            return {}, {}
        told = await self._client.mget(
            index=self._analysis.generation.index, ids=ids, realtime=False, source_includes=["record"]
        )
        found = {each["_id"]: decode_record(each["_source"]["record"]) for each in told["docs"] if each.get("found")}
        names = {id_: found[id_].name for id_ in sellers if id_ in found}
        names |= await self._told_by_products(sellers - names.keys())
        return found, names

    async def _told_by_products(self, sellers: Collection[str]) -> dict[str, str]:
        """Names of sellers of whom no event has told themselves."""
        if not sellers:
            return {}
        told = await self._client.search(
            index=self._analysis.generation.index,
            query={"bool": {"filter": [{"term": {"shown": "products"}}, {"terms": {"seller_id": sorted(sellers)}}]}},
            collapse={"field": "seller_id"},
            size=len(sellers),
            source_includes=["record"],
            track_total_hits=False,
        )
        pages = [decode_record(hit["_source"]["record"]).page for hit in told["hits"]["hits"]]
        return {page.seller.id: page.seller.name for page in pages if page is not None}

    async def _hits(
        self, hits: Sequence[Scored], records: Mapping[str, Record], names: Mapping[str, str], plan: Plan | None
    ) -> AsyncIterator[Hit]:
        for hit in hits:
            record = records.get(hit.id)
            if record is None or (record.page is None and record.kind == "products"):
                continue  # it went this moment
            page, highlight = record.page, None
            if page is not None:
                record = msgspec.structs.replace(record, page=_now(record, page, names))
            if plan is not None:
                title, description = (page.title, page.description) if page is not None else (record.name, "")
                highlight = await self._with_stems(
                    lambda stems, of=(title, description): Marker(plan.words, stems).highlight(*of)  # type: ignore[misc]
                )
            yield Hit(record=record, mark=kept.mark_of(hit.id), score=hit.score, highlight=highlight)

    # ── facets ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _exact_options(
        self, wanted: Wanted, filters: Filters, plan: Plan | None, tokens: Mapping[str, Tokens]
    ) -> dict[str, dict[str, int]]:
        asked = exact_options(wanted, filters, tokens)
        if not asked:
            return {}
        aggs = {str(n): {"filters": {"filters": list(values.values())}} for n, values in enumerate(asked.values())}
        told = await self._client.search(
            index=self._analysis.generation.index,
            query=self._base(wanted.kind, plan),
            size=0,
            aggs=aggs,
            track_total_hits=False,
        )
        found: dict[str, dict[str, int]] = {}
        for n, (name, values) in enumerate(asked.items()):
            buckets = told["aggregations"][str(n)]["buckets"]
            found[name] = {value: bucket["doc_count"] for value, bucket in zip(values, buckets, strict=True)}
        return found

    # ── suggestions ──────────────────────────────────────────────────────────────────────────────────────────

    async def suggest(self, words: str, kind: str, size: int) -> list[tuple[str, str]]:
        asked = words_of(words)
        if not asked:
            return []
        hits = await self._titled([_begun(word, last=n == len(asked) - 1) for n, word in enumerate(asked)], kind, size)
        if not hits:
            near, _ = await looked_up(self._many, asked)
            parts = [
                [*_begun(word, last=n == len(asked) - 1), *_nearly(word, other.words, last=n == len(asked) - 1)]
                for n, (word, other) in enumerate(zip(asked, near, strict=True))
            ]
            hits = await self._titled(parts, kind, size)
        return [(hit["_id"], hit["_source"]["name"]) for hit in hits]

    async def _titled(self, words: Iterable[list[Query]], kind: str, size: int) -> list[Mapping[str, Any]]:
        plan = Plan([], {"bool": {"must": [{"dis_max": {"queries": parts}} for parts in words]}})
        told = await self._client.search(
            index=self._name, query=self._base(kind, plan), size=size, source_includes=["name"], track_total_hits=False
        )
        return list(told["hits"]["hits"])


def _now(record: Record, page: ProductPage, names: Mapping[str, str]) -> ProductPage:
    """With the stock, the rating and the seller's name that were told since."""
    variants = [msgspec.structs.replace(variant, available=record.available.get(variant.id, 0)) for variant in page.variants]
    seller = SellerRef(page.seller.id, names.get(page.seller.id) or page.seller.name)
    return msgspec.structs.replace(page, variants=variants, seller=seller, rating=record.rating or page.rating)


def _begun(word: str, *, last: bool) -> list[Query]:
    """A word of a title; the last may be the beginning of one."""
    found: list[Query] = [{"term": {"title": {"value": word}}}]
    if last and len(word) > 1:
        found.append({"prefix": {"title": {"value": word, "boost": 0.5, "rewrite": "top_terms_12"}}})
    return found


def _nearly(word: str, others: Sequence[tuple[str, int]], *, last: bool) -> list[Query]:
    found: list[Query] = [{"term": {"title": {"value": other, "boost": 0.5**letters}}} for other, letters in others]
    if last and len(word) > 3:
        found.append({"fuzzy": {BEGINNINGS: {"value": word, "fuzziness": 1, "boost": 0.1}}})
    return found
