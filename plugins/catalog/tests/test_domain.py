from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marketplace_catalog.domain import (
    CategoryNode,
    StockLine,
    add_up,
    can_publish,
    category_slug,
    depth_below,
    is_below,
    product_slug,
    shortages,
    slugify,
    unpublishable,
)
from marketplace_catalog.views import category_of, category_tree

from marketplace_core.values import new_id


@pytest.mark.parametrize(
    ("title", "slug"),
    [
        ("Tea Pot", "tea-pot"),
        ("  Cafetière — 8 cups! ", "cafetiere-8-cups"),
        ("Straße №5", "strae-no5"),
        ("茶壺", "product"),
        ("", "product"),
        ("a" * 100, "a" * 20),
        ("a" * 19 + " b", "a" * 19),
    ],
)
def test_addresses(title: str, slug: str) -> None:
    assert slugify(title, 20) == slug


@given(st.text(max_size=300), st.integers(10, 200))
def test_an_address_is_plain_and_its_own(title: str, length: int) -> None:
    one, other = new_id(), new_id()
    slug = product_slug(title, length, one)
    assert slug.replace("-", "").isalnum()
    assert slug.isascii()
    assert slug == slug.lower()
    assert len(slug) <= length + 11
    assert slug != product_slug(title, length, other)
    assert category_slug(title, one) != category_slug(title, other)


def test_no_address_is_somebody_elses_id() -> None:
    id_ = new_id()
    assert product_slug(id_[:23], 80, id_) != id_


def _node(id_: str, parent: str | None, products: int, level: int) -> CategoryNode:
    return CategoryNode(id_, parent, f"{id_}-slug", id_, products, level)


def test_a_tree_by_name_with_the_counts_of_what_is_below() -> None:
    nodes = [_node("tea", "pots", 4, 2), _node("pots", "home", 2, 1), _node("home", None, 1, 0), _node("art", None, 0, 0)]
    nodes.append(_node("jugs", "home", 3, 1))
    art, home = category_tree(nodes)
    assert (art.id, art.count, home.id, home.count) == ("art", 0, "home", 10)
    assert [(node.id, node.count) for node in home.items] == [("jugs", 3), ("pots", 6)]
    assert [node.id for node in home.items[1].items] == ["tea"]
    assert [(node.id, node.count, node.items) for node in category_tree(nodes, 1)] == [("art", 0, []), ("home", 10, [])]
    assert category_of("pots", nodes).count == 6


def test_a_tree_of_any_depth_is_walked() -> None:
    """One from before there was a bound: what is too deep is counted, and shown by none."""
    [top] = category_tree(_node(str(n), str(n - 1) if n else None, 1, n) for n in range(5000))
    assert top.count == 5000
    levels = 1
    while top.items:
        [top] = top.items
        levels += 1
    assert levels == 30
    assert depth_below({str(n): str(n - 1) if n else None for n in range(5000)}, None, "0") == 5000


def test_what_is_below_what() -> None:
    parents = {"home": None, "pots": "home", "tea": "pots", "art": None}
    below = [id_ for id_ in (*parents, None) if is_below(parents, id_, "pots")]
    assert below == ["pots", "tea"]


def test_who_publishes() -> None:
    statuses = ["draft", "in_review", "published", "rejected", "archived"]
    assert [status for status in statuses if can_publish(status)] == ["draft", "archived"]


def test_what_keeps_a_product_from_being_published() -> None:
    assert unpublishable([True, True], ["/a", "/b"]) == []
    assert [pointer for pointer, _ in unpublishable([False, True, False], ["/a", "/b", "/c"])] == ["/a/price", "/c/price"]
    assert [pointer for pointer, _ in unpublishable([], [])] == ["/variants"]


LINES = st.lists(st.builds(StockLine, st.sampled_from("cab"), st.integers(1, 5)), max_size=6)


@given(LINES, st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)))
def test_lines_and_what_is_short(lines: list[StockLine], available: dict[str, int]) -> None:
    wanted = add_up(lines)
    assert list(wanted) == sorted(wanted)
    assert sum(wanted.values()) == sum(line.quantity for line in lines)
    short = shortages(lines, available)
    assert (short == []) == all(units <= available.get(id_, 0) for id_, units in wanted.items())
    for index, units in short:
        assert 0 <= units < lines[index].quantity
    # Those that are not short can all be had together.
    had = add_up(line for index, line in enumerate(lines) if index not in {at for at, _ in short})
    assert all(units <= available.get(id_, 0) for id_, units in had.items())
