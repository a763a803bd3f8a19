"""The whole of the Olist data set is read, and comes to what is known of it. Its import: ``tests/scenarios/test_olist.py``."""

from __future__ import annotations

from pathlib import Path

import pytest
from marketplace_olist.facts import OlistCount, read_facts
from marketplace_olist.history import reconcile

from marketplace_core.values import Money

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "olist"
#: read, and of that skipped
FIGURES = {
    "sellers": (3095, 0),
    "products": (32951, 0),
    "customers": (9920, 0),
    "orders": (10000, 0),
    "items": (11252, 0),
    "payments": (103886, 93371),
    "reviews": (6123, 5518),
}


@pytest.mark.skipif(not DATA.exists(), reason=f"{DATA} is not here: the data is not part of the project")
def test_the_whole_data_set_joins_as_it_is_known_to() -> None:
    facts = read_facts(DATA)
    for name, figures in FIGURES.items():
        found: OlistCount = getattr(facts.counts, name)
        assert (found.read, found.skipped) == figures, name
    assert [(row.file, row.code) for row in facts.rejected] == [("olist_order_reviews_dataset.csv", "duplicate")]
    assert (len(facts.items), len(facts.products.keys() - facts.sold.keys())) == (9889, 26828)
    assert sum(map(len, facts.reviews.values())) == 604
    # Of the 612 that join 7 are of orders without items, and one is the second of an order of one item.
    found_ = reconcile(facts)
    assert (found_.orders, found_.equal, found_.different, found_.over_0_05) == (9889, 9830, 59, 25)
    assert found_.largest == Money(3809, "BRL")
    assert len(found_.items) == 59
    assert max(abs(one.difference.amount) for one in found_.items) == 3809
    assert all(one.paid - one.items == one.difference for one in found_.items)
