"""Filters of a search and counts of its facets, as queries and aggregations of Elasticsearch's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product as every
from typing import Any

from marketplace_core.capabilities.search import FacetValue
from marketplace_search.domain import combined
from marketplace_search.store import Counts, Wanted
from marketplace_search.stores import records as kept
from marketplace_search.stores.elasticsearch.planning import Query

__all__ = ["Filters", "Tokens", "counts_of", "exact_options", "facet_aggs", "together", "tokens_of"]

#: Different values of facets that one search counts.
TOKENS = 600
_COUNTED = {"tokens": {"terms": {"field": "facets", "size": TOKENS}}}
Tokens = Mapping[str, int]


class Filters:
    """The filters of a search, by group. Those of one group are any of its values, those of several all of them."""

    def __init__(self, wanted: Wanted) -> None:
        self.groups: dict[str, Query] = {}
        self._always: list[Query] = []
        if wanted.categories is not None:
            self.groups["categories"] = {"terms": {"category_id": sorted(wanted.categories)}}
        if wanted.sellers:
            self.groups["sellers"] = {"terms": {"seller_id": list(wanted.sellers)}}
        if wanted.min_price is not None or wanted.max_price is not None:
            bounds = {"gte": wanted.min_price or 0, "lte": wanted.max_price}
            self.groups["price"] = {"range": {"price": {name: value for name, value in bounds.items() if value is not None}}}
        for name, values in wanted.attributes.items():
            tokens = [f"{kept.ATTRIBUTE}{kept.APART}{name}{kept.APART}{value}" for value in values]
            self.groups[f"{kept.ATTRIBUTE}{name}"] = {"terms": {"facets": tokens}}
        if wanted.options:
            self.groups["options"] = together(wanted.options, in_stock=wanted.in_stock)
        if wanted.in_stock:
            self._always.append({"term": {"flags": "stock"}})

    def __bool__(self) -> bool:
        return bool(self.groups or self._always)

    def but(self, group: str | None = None) -> Query:
        """All of them, or all but one group."""
        return {"bool": {"filter": [query for name, query in self.groups.items() if name != group] + self._always}}


def together(options: Mapping[str, Sequence[str]], *, in_stock: bool) -> Query:
    """One variant has a value of each option, and can be bought where that is asked for."""
    pairs = [[(name, value) for value in values] for name, values in sorted(options.items())]
    mark = "+" if in_stock else ""
    return {"terms": {"combined": [mark + combined(chosen) for chosen in every(*pairs)]}}


def facet_aggs(filters: Filters) -> dict[str, Any]:
    """Each facet as if it were not selected: once for all that are not, and once for each that is. See :func:`tokens_of`."""
    found: dict[str, Any] = {"": {"filter": filters.but(), "aggs": _COUNTED}}
    found |= {group: {"filter": filters.but(group), "aggs": _COUNTED} for group in filters.groups}
    return {f"facets:{n}": agg for n, agg in enumerate(found.values())}


def tokens_of(filters: Filters, told: Mapping[str, Any]) -> dict[str, Tokens]:
    """By group, ``""`` for those that are not selected."""
    return {
        group: {bucket["key"]: bucket["doc_count"] for bucket in told[f"facets:{n}"]["tokens"]["buckets"]}
        for n, group in enumerate(["", *filters.groups])
    }


def exact_options(wanted: Wanted, filters: Filters, tokens: Mapping[str, Tokens]) -> dict[str, dict[str, Query]]:
    """Where others are selected, or what is in stock, a value counts with them on one variant: what is to be counted then, by
    name and value."""
    if not wanted.options and not wanted.in_stock:
        return {}
    found: dict[str, dict[str, Query]] = {}
    rest = filters.but("options")
    for name, values in _named(kept.OPTION, tokens.get("options", tokens[""])).items():
        others = {other: chosen for other, chosen in wanted.options.items() if other != name}
        if others or wanted.in_stock:
            found[name] = {
                value: {"bool": {"filter": [rest, together({**others, name: (value,)}, in_stock=wanted.in_stock)]}}
                for value in values
            }
    return found


def counts_of(
    wanted: Wanted,
    tokens: Mapping[str, Tokens],
    exact: Mapping[str, Tokens],
    names: Mapping[str, str],
    most: int,
) -> Counts:
    """``exact``: counts of :func:`exact_options`. ``names``: of sellers. ``most``: values of each facet."""

    def of(group: str, prefix: str) -> dict[str, int]:
        start = f"{prefix}{kept.APART}"
        found = tokens.get(group, tokens[""])
        return {token[len(start) :]: count for token, count in found.items() if token.startswith(start)}

    def values(counts: Mapping[str, int], selected: Iterable[str], labels: Mapping[str, str] | None = None) -> list[FacetValue]:
        return _values(counts, selected, most, labels or {})

    attributes = _named(kept.ATTRIBUTE, tokens[""])
    for name in wanted.attributes:
        attributes[name] = _named(kept.ATTRIBUTE, tokens[f"{kept.ATTRIBUTE}{name}"]).get(name, {})
    options = {**_named(kept.OPTION, tokens.get("options", tokens[""])), **exact}
    for name in wanted.options:
        options.setdefault(name, {})
    return Counts(
        categories=of("categories", kept.CATEGORY),
        sellers=values(of("sellers", kept.SELLER), wanted.sellers, names),
        prices={int(low): count for low, count in of("price", kept.PRICE).items()},
        options={name: values(counts, wanted.options.get(name, ())) for name, counts in options.items()},
        attributes={name: values(counts, wanted.attributes.get(name, ())) for name, counts in attributes.items()},
    )


def _named(prefix: str, tokens: Tokens) -> dict[str, dict[str, int]]:
    """Of facets with names: the values of each."""
    found: dict[str, dict[str, int]] = {}
    for token, count in tokens.items():
        if token.startswith(f"{prefix}{kept.APART}"):
            _, name, value = token.split(kept.APART, 2)
            found.setdefault(name, {})[value] = count
    return found


def _values(counts: Mapping[str, int], selected: Iterable[str], most: int, labels: Mapping[str, str]) -> list[FacetValue]:
    """The most frequent ones, and all that are selected."""
    chosen = set(selected)
    ordered = sorted({**dict.fromkeys(chosen, 0), **counts}.items(), key=lambda entry: (-entry[1], entry[0]))
    shown = [entry for entry in ordered if entry[1] or entry[0] in chosen]
    few = shown[:most] + [entry for entry in shown[most:] if entry[0] in chosen]
    return [FacetValue(value, labels.get(value, value), count, value in chosen) for value, count in few]
