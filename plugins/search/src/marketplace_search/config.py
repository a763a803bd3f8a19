"""Settings of ``[plugins.search]``."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

__all__ = ["Language", "SearchConfig", "Weights"]

Language = Literal[
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "italian", "norwegian",
    "portuguese", "romanian", "russian", "spanish", "swedish", "tamil", "turkish",
]  # fmt: skip
Weight = Annotated[float, Meta(ge=0, le=100)]


class Weights(Struct, frozen=True, forbid_unknown_fields=True):
    """How much a word counts, by where it stands. ``stem``: of another form of it; ``typo``: of each letter that differs;
    ``synonym``: of one that means the same; ``title_match``: how much a title counts that is just what was asked for."""

    title: Weight = 4.0
    attributes: Weight = 2.0
    category: Weight = 1.5
    seller: Weight = 1.5
    description: Weight = 0.5
    sku: Weight = 4.0
    stem: Weight = 0.8
    typo: Weight = 0.5
    synonym: Weight = 0.7
    title_match: Weight = 1.0


class SearchConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``languages``: whose stems and stop words are known; another list makes the worker build the index anew. ``synonyms``: a
    path of a file, read when the index is built. ``depth``: how many hits can be paged through. ``facet_values``: at most, of
    each facet. ``ranking_seconds``: what plugins that rank may take. ``signal_seconds``: how long searches are gathered before
    they are counted. ``people``: how many must have searched by some words before these are suggested to others.
    ``signal_days``: how long they are kept. ``threads``: how many searches a process works on at once (0: one for each core).
    """

    languages: Annotated[tuple[Language, ...], Meta(max_length=8)] = ("english", "german", "portuguese", "russian")
    synonyms: str | None = None
    weights: Weights = Weights()
    depth: Annotated[int, Meta(ge=100, le=2000)] = 1000
    facet_values: Annotated[int, Meta(ge=1, le=200)] = 30
    ranking_seconds: Annotated[float, Meta(gt=0, le=1)] = 0.02
    signal_seconds: Annotated[float, Meta(ge=0.01, le=60)] = 2.0
    people: Annotated[int, Meta(ge=1, le=100)] = 3
    signal_days: Annotated[int, Meta(ge=1, le=3650)] = 365
    threads: Annotated[int, Meta(ge=0, le=64)] = 0
