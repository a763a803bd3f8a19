"""Indexes with one mistake each, made of the right one: what is patched, and which rule notices."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from marketplace_search.config import SearchConfig
from marketplace_search.store import Record, Stamp, merged
from marketplace_search.stores import planning, reading, schema, writing
from marketplace_search.stores.folder import Folder, Made
from marketplace_search.stores.planning import Planner
from marketplace_search.stores.reading import State
from marketplace_search.stores.tantivy import TantivyStore
from marketplace_search.stores.writing import Rebuilding, Writing
from tantivy import Occur, Query

__all__ = ["MISTAKES"]


class Mistake(NamedTuple):
    """``name`` of ``where`` is ``wrong``; ``arguments`` are those of the test's own table."""

    test: str
    where: Any
    name: str
    wrong: Any
    arguments: dict[str, Any] = {}  # noqa: RUF012 - never changed


def _changed(right: Callable[..., Any], change: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda *arguments, **named: change(right(*arguments, **named))


def _of_wanted(**changed: Any) -> Callable[..., Any]:
    right = State.search
    return lambda state, wanted: right(state, msgspec.structs.replace(wanted, **changed))


def _together_anyhow(right: Any, options: Any, *, in_stock: bool) -> Query:
    parts = [_right_together(right, {name: values}, in_stock=in_stock) for name, values in options.items()]
    return Query.boolean_query([(Occur.Must, part) for part in parts])


def _any_is_enough(planner: Any, words: Any, dropped: Any = ()) -> Any:
    plan = _right_plan(planner, words, dropped)
    plan.query = Query.boolean_query([(Occur.Should, word.query) for word in words if word.query is not None])
    return plan


def _page_brings_stock(record: Record | None, change: Any) -> Record | None:
    found = _right_merged(record, change)
    if found is None or getattr(change, "page", None) is None:
        return found
    return msgspec.structs.replace(found, available={each.id: each.available for each in change.page.variants})


def _forgets_what_is_gone(writing_: Writing, record: Record, *, fresh: bool = False) -> None:
    if record.kind == "products" and record.page is None:
        writing_._documents.delete_documents_by_term("id", record.id)
    else:
        _right_put(writing_, record, fresh=fresh)


def _unrated_first(record: Record, *rest: Any) -> Any:
    page = record.page
    if page is not None and page.rating.average is None and record.rating is None:
        record = msgspec.structs.replace(record, rating=msgspec.structs.replace(page.rating, average=9.9))
    return _right_document(record, *rest)


def _without_inactive(state: State, kind: str, plan: Any) -> Query:
    state._inactive = None
    return _right_base(state, kind, plan)


def _publishes_all_the_same(building: Rebuilding) -> None:
    building.publish()


def _forgets_to_commit(writing_: Writing) -> None:
    if writing_._words is not None:
        writing_._words.commit()


_right_together = reading.together
_right_plan = Planner.plan
_right_merged = merged
_right_put = Writing.put
_right_document = schema.document
_right_base = State._base

PAGES = "test_no_page_repeats_while_documents_change"
SUGGESTIONS = "test_suggestions"
SEEN = "test_what_shoppers_do_not_see_is_not_found_and_not_counted"
TYPOS = "test_typos_by_the_length_of_a_word"

_BUILT = Made(SearchConfig().languages, {})

MISTAKES = {
    "what began with an event is all that there is": Mistake(
        "test_what_began_with_an_event_is_not_built", Folder, "made", lambda *_: _BUILT
    ),
    "a commit is forgotten": Mistake("test_what_was_put_is_found_by_everybody", Writing, "commit", _forgets_to_commit),
    "a reader looks once": Mistake(
        "test_what_was_put_is_found_by_everybody",
        TantivyStore,
        "_current",
        lambda store: store._state or _right_current(store),
    ),
    "any word is enough": Mistake("test_all_words_are_needed_in_any_order", Planner, "plan", _any_is_enough),
    "no stems": Mistake(
        "test_another_form_of_a_word_counts_as_it",
        planning,
        "TITLE_STEMS",
        "description",
        {"title": "Running Shoes", "words": "runs"},
    ),
    "stop words are needed": Mistake(
        "test_stop_words_are_not_needed",
        Planner,
        "_word",
        _changed(Planner._word, lambda word: msgspec.structs.replace(word, light=False)),
    ),
    "no typos": Mistake(TYPOS, planning, "allowed_typos", lambda word: 0),
    "typos in short words": Mistake(TYPOS, planning, "allowed_typos", lambda word: 2),
    "no transposition": Mistake(
        TYPOS, planning, "distance", lambda one, other, most: sum(a != b for a, b in zip(one, other, strict=False))
    ),
    "what is right is mended": Mistake(
        "test_a_word_that_is_right_is_not_taken_for_another",
        Planner,
        "words",
        lambda planner, text: [planner.mended(word) for word in _right_words(planner, text)],
    ),
    "no beginnings": Mistake("test_the_last_word_may_be_a_beginning", Planner, "beginnings", lambda planner, word: []),
    "no synonyms": Mistake(
        "test_synonyms",
        Planner,
        "_word",
        lambda planner, *words: _right_word(_with(planner, _synonyms={}), *words),
    ),
    "nothing is dropped": Mistake(
        "test_words_are_dropped_before_nothing_is_found_and_it_says_so",
        State,
        "_fewer",
        lambda state, kind, words: state.planner.plan(words),
    ),
    "what was dropped is not said": Mistake(
        "test_words_are_dropped_before_nothing_is_found_and_it_says_so",
        State,
        "search",
        _changed(State.search, lambda found: msgspec.structs.replace(found, dropped=())),
    ),
    "corrections are not said": Mistake(TYPOS, State, "_corrected", lambda *_: None),
    "all places are equal": Mistake(
        "test_heavy_places_come_first", State, "_ranked", lambda state, hits, plan: [(0.0, a) for _, a in hits][::-1]
    ),
    "html comes through": Mistake("test_what_was_found_is_marked_and_all_else_is_escaped", html, "escape", lambda text: text),
    "suggestions are whole words": Mistake(SUGGESTIONS, Planner, "beginnings", lambda planner, word: []),
    "counts are conjunctive": Mistake(
        "test_counts_are_disjunctive",
        reading.Filters,
        "applied",
        lambda filters, base, but=None: _right_applied(filters, base),
    ),
    "options of two variants": Mistake("test_options_hold_on_one_variant", reading, "together", _together_anyhow),
    "some variant is in stock": Mistake(
        "test_what_is_asked_for_in_stock_is_in_stock_as_asked",
        reading,
        "together",
        lambda schema_, options, *, in_stock: _right_together(schema_, options, in_stock=False),
    ),
    "the price is not looked at": Mistake(
        "test_prices_and_categories_filter", State, "search", _of_wanted(min_price=None, max_price=None)
    ),
    "no category is any": Mistake("test_prices_and_categories_filter", State, "search", _of_wanted(categories=None)),
    "a hidden product is counted": Mistake(SEEN, State, "_base", _without_inactive),
    "the unrated come first": Mistake("test_sorts", writing, "document", _unrated_first),
    "a page repeats": Mistake(PAGES, State, "search", _of_wanted(shown=frozenset()), {"sort": "price"}),
    "the total shrinks": Mistake(
        PAGES,
        State,
        "search",
        lambda state, wanted: msgspec.structs.replace(
            _right_search(state, wanted), total=_right_search(state, wanted).total - len(wanted.shown)
        ),
        {"sort": "relevance"},
    ),
    "every event counts": Mistake("test_the_later_event_of_a_source_wins", Stamp, "replaces", lambda stamp, other: True),
    "sources are compared": Mistake(
        "test_the_later_event_of_a_source_wins",
        Stamp,
        "replaces",
        lambda stamp, other: other is None or stamp.sequence > other.sequence,
    ),
    "a late page brings stock back": Mistake(
        "test_a_page_that_comes_late_does_not_bring_back_an_old_number", writing, "merged", _page_brings_stock
    ),
    "what is gone is forgotten": Mistake("test_what_is_gone_stays_gone", Writing, "put", _forgets_what_is_gone),
    "only the first of a batch": Mistake(
        "test_a_batch_is_applied_in_order",
        writing,
        "merged",
        lambda record, change: None if record is not None else _right_merged(record, change),
    ),
    "nothing is pending": Mistake("test_what_was_told_without_a_page_is_known", State, "pending", lambda state, seller_id: []),
    "what came meanwhile is lost": Mistake(
        "test_building_misses_nothing_and_takes_over_what_came_meanwhile", Rebuilding, "_catch_up", lambda building: 2
    ),
    "what was given up is read": Mistake(
        "test_a_building_that_is_given_up_changes_nothing", Rebuilding, "abandon", _publishes_all_the_same
    ),
}

_right_current = TantivyStore._current
_right_words = Planner.words
_right_word = Planner._word
_right_search = State.search
_right_applied = reading.Filters.applied


def _with(planner: Planner, **changed: Any) -> Planner:
    for name, value in changed.items():
        setattr(planner, name, value)
    return planner
