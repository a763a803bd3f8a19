"""From what the index found to what leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct
from msgspec.structs import asdict

from marketplace_core.capabilities.catalog import Category, Rating, SellerRef
from marketplace_core.capabilities.search import Facets, FacetValue, Fallback, PriceRange, RankedHit, SearchHit
from marketplace_search.domain import price_ranges
from marketplace_search.store import Counts, Found, Hit
from marketplace_search.stores.records import created_at

__all__ = ["Tree", "facets", "fallback", "hit", "ranked"]


class Node(Struct, frozen=True):
    """A category with its parents, the root first, and all that is below it, itself included."""

    category: Category
    above: tuple[str, ...]
    below: frozenset[str]


class Tree:
    """The categories by id, and by slug."""

    def __init__(self, items: Iterable[Category]) -> None:
        self.nodes: dict[str, Node] = {}
        self._ids: dict[str, str] = {}
        for item in items:
            self._add(item, ())

    def _add(self, category: Category, above: tuple[str, ...]) -> frozenset[str]:
        below = frozenset({category.id}).union(*(self._add(item, (*above, category.id)) for item in category.items))
        self.nodes[category.id] = Node(category, above, below)
        self._ids[category.slug] = category.id
        return below

    def find(self, id_or_slug: str) -> Node | None:
        return self.nodes.get(id_or_slug) or self.nodes.get(self._ids.get(id_or_slug, ""))

    def named(self, prefix: str, fold: Callable[[str], str], size: int) -> list[Category]:
        """Those of which a word begins so."""
        found = [
            node.category
            for node in self.nodes.values()
            if any(word.startswith(prefix) for word in (fold(node.category.name), *fold(node.category.name).split()))
        ]
        return sorted(found, key=lambda category: (-category.count, category.name))[:size]


def hit(found: Hit, url: Callable[[str], str]) -> SearchHit:
    record = found.record
    if record.page is None:
        return SearchHit(
            id=record.id,
            slug=None,
            title=record.name,
            seller=SellerRef(record.id, record.name),
            price=None,
            compare_at=None,
            image=None,
            rating=record.rating or Rating(),
            in_stock=False,
            highlight=found.highlight,
        )
    card = record.page.card()
    image = card.image.at(url) if card.image else None
    return SearchHit(**{**asdict(card), "image": image}, highlight=found.highlight)


def ranked(found: Hit, best: float) -> RankedHit | None:
    page = found.record.page
    if page is None:
        return None
    card = page.card()
    return RankedHit(
        id=page.id,
        seller_id=page.seller.id,
        price=card.price.amount,
        rating=page.rating,
        in_stock=card.in_stock,
        created_at=created_at(page.id),
        score=found.score / best if best else 0.0,
    )


def facets(counts: Counts, tree: Tree, selected: frozenset[str], values: int) -> Facets:
    return Facets(
        category=_categories(counts.categories, tree, selected)[:values],
        seller=list(counts.sellers),
        price=[PriceRange(low, high, count) for low, high, count in price_ranges(counts.prices)],
        options={name: list(values) for name, values in counts.options.items()},
        attributes={name: list(values) for name, values in counts.attributes.items()},
    )


def _categories(counts: Mapping[str, int], tree: Tree, selected: frozenset[str]) -> list[FacetValue]:
    """A product is in one category, so what is in those above it is the sum."""
    summed = dict.fromkeys(selected, 0)
    for id_, count in counts.items():
        node = tree.nodes.get(id_)
        for each in (*(node.above if node else ()), id_):
            summed[each] = summed.get(each, 0) + count

    def label(id_: str) -> str:
        return tree.nodes[id_].category.name if id_ in tree.nodes else id_

    found = [FacetValue(id_, label(id_), count, id_ in selected) for id_, count in summed.items()]
    return sorted(found, key=lambda value: (-value.count, value.label))


def fallback(found: Found) -> Fallback | None:
    return Fallback(list(found.dropped)) if found.dropped else None
