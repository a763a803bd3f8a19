"""Where nothing has all words of a search: misspelt ones are mended, else some are left out; two questions for all of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from elasticsearch import AsyncElasticsearch

from marketplace_search.stores.elasticsearch.planning import (
    BEGINNINGS,
    Near,
    Plan,
    Planner,
    Query,
    Word,
    near_of,
    prefixed,
    suggested,
)

__all__ = ["looked_up", "replanned"]

Many = Callable[[Sequence[Query]], Awaitable[list[Mapping[str, Any]]]]


async def looked_up(many: Many, texts: Sequence[str], more: Sequence[Query] = ()) -> tuple[list[Near], list[Mapping[str, Any]]]:
    """What each word may have been meant to be, and the last one begin; and the answers to what ``more`` is asked."""
    asked = suggested(texts)
    beginning = prefixed(texts[-1])
    searches: list[Query] = [{"size": 0, "query": {"match_none": {}}, **({"suggest": asked} if asked else {})}]
    searches += [beginning] if beginning is not None else []
    told = await many([*searches, *more])
    options = {n: answer[0]["options"] for n, answer in told[0].get("suggest", {}).items()}
    near = [near_of(word, options.get(str(n), ())) for n, word in enumerate(texts)]
    if beginning is not None:
        buckets = [each for each in told[1]["aggregations"]["ends"]["buckets"] if each["key"] != texts[-1]][:BEGINNINGS]
        near[-1].ends = [each["key"] for each in buckets]
        near[-1].frequency = max([near[-1].frequency, *(each["doc_count"] for each in buckets)])
    return near, told[len(searches) :]


async def replanned(
    planner: Planner, client: AsyncElasticsearch, many: Many, base: Callable[[Plan], Query], words: Sequence[Word]
) -> Plan:
    """The best plan that finds something; else all words. ``base``: what a plan finds of what shoppers see."""
    counts = [{"size": 0, "query": word.query, "track_total_hits": True} for word in words]
    near, told = await looked_up(many, [word.text for word in words], counts)
    for word, answer in zip(words, told, strict=True):
        word.frequency = answer["hits"]["total"]["value"]
    mended = await planner.mended(client, words, near)
    plans = _plans(planner, words, mended)
    pool = _ordered(mended)
    answers = await many([*(_exists(base(plan)) for plan in plans), *([_greedy(base, pool)] if pool else [])])
    for plan, answer in zip(plans, answers, strict=False):
        if answer["hits"]["total"]["value"]:
            return plan
    hits = answers[-1]["hits"]["hits"] if pool else []
    chosen = _chosen(pool, int(hits[0]["_score"])) if hits else []
    if not chosen:
        return planner.plan(mended)
    light = [word for word in mended if word.light and word.frequency]
    left = [word for word in mended if any(word is each for each in (*chosen, *light))]
    return planner.plan(left, _texts(mended, left))


def _plans(planner: Planner, words: Sequence[Word], mended: Sequence[Word]) -> list[Plan]:
    """The first that finds something is taken: unknown words mended, all of them mended, without those that are lost, without
    one of the others, the most frequent first."""
    unknown = [other if not word.frequency else word for word, other in zip(words, mended, strict=True)]
    plans = [planner.plan(unknown), planner.plan(mended)]
    known = [word for word in mended if word.frequency]
    if len(known) < len(mended) and known:
        plans.append(planner.plan(known, _texts(mended, known)))
    for without in sorted(known, key=lambda word: -word.frequency) if len(known) > 1 else ():
        left = [word for word in known if word is not without]
        plans.append(planner.plan(left, _texts(mended, left)))
    return plans


def _texts(words: Sequence[Word], left: Sequence[Word]) -> list[str]:
    """Of those that are not left."""
    return [word.text for word in words if not any(word is each for each in left)]


def _exists(query: Query) -> Query:
    return {"size": 0, "query": query, "terminate_after": 1, "track_total_hits": True}


def _ordered(words: Sequence[Word]) -> list[Word]:
    """Those that are known and needed, the rarest first."""
    known = [word for word in words if word.frequency]
    return sorted([word for word in known if not word.light] or known, key=lambda word: word.frequency)


def _greedy(base: Callable[[Plan], Query], pool: Sequence[Word]) -> Query:
    """Which document has the rarest word, of these which the next, and so on: each word is a bit of the score, the rarest the
    highest. A score has 24 bits, and a search no more words."""
    bits = [{"constant_score": {"filter": word.query, "boost": float(1 << len(pool) - 1 - n)}} for n, word in enumerate(pool)]
    return {"size": 1, "query": base(Plan([], {"bool": {"should": bits, "minimum_should_match": 1}})), "_source": False}


def _chosen(pool: Sequence[Word], score: int) -> list[Word]:
    return [word for n, word in enumerate(pool) if score >> (len(pool) - 1 - n) & 1]
