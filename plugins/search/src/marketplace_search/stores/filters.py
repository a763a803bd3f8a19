"""The filters of a search, as queries of tantivy's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product as every

from tantivy import FieldType, Occur, Query, Schema

from marketplace_search.domain import combined
from marketplace_search.store import Wanted
from marketplace_search.stores.records import APART, ATTRIBUTE

__all__ = ["Filters", "any_of", "together"]

#: Values of a filter.
ONE_BY_ONE = 64


class Filters:
    """The filters of a search, by group. Those of one group are any of its values, those of several all of them."""

    def __init__(self, schema: Schema, wanted: Wanted) -> None:
        self.groups: dict[str, Query] = {}
        self._always: list[Query] = []
        if wanted.categories is not None:
            self.groups["categories"] = any_of(schema, "category_id", sorted(wanted.categories))
        if wanted.sellers:
            self.groups["sellers"] = any_of(schema, "seller_id", wanted.sellers)
        if wanted.min_price is not None or wanted.max_price is not None:
            low, high = wanted.min_price or 0, wanted.max_price
            self.groups["price"] = Query.range_query(schema, "price", FieldType.Integer, low, high)
        for name, values in wanted.attributes.items():
            tokens = [f"{ATTRIBUTE}{APART}{name}{APART}{value}" for value in values]
            self.groups[f"{ATTRIBUTE}{name}"] = any_of(schema, "facets", tokens)
        if wanted.options:
            self.groups["options"] = together(schema, wanted.options, in_stock=wanted.in_stock)
        if wanted.in_stock:
            self._always.append(Query.term_query(schema, "flags", "stock", "basic"))

    def __bool__(self) -> bool:
        return bool(self.groups or self._always)

    def applied(self, base: Query, but: str | None = None) -> Query:
        chosen = [query for group, query in self.groups.items() if group != but] + self._always
        if not chosen:
            return base
        return Query.boolean_query([(Occur.Must, base), *((Occur.Must, Query.const_score_query(each, 0.0)) for each in chosen)])


def any_of(schema: Schema, field: str, values: Sequence[str]) -> Query:
    """Few are looked up one by one: tantivy's set costs as much as all documents of an index, however few it finds."""
    if len(values) > ONE_BY_ONE:
        return Query.term_set_query(schema, field, list(values))
    terms = [Query.term_query(schema, field, value, "basic") for value in values]
    if len(terms) == 1:
        return terms[0]
    return Query.boolean_query([(Occur.Should, term) for term in terms]) if terms else Query.empty_query()


def together(schema: Schema, options: Mapping[str, Sequence[str]], *, in_stock: bool) -> Query:
    """One variant has a value of each option, and can be bought where that is asked for."""
    pairs = [[(name, value) for value in values] for name, values in sorted(options.items())]
    mark = "+" if in_stock else ""
    return any_of(schema, "combined", [mark + combined(chosen) for chosen in every(*pairs)])
