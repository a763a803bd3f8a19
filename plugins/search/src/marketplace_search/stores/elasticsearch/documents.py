"""What Elasticsearch keeps of a record: the template of an index, its analyzers per language, and the documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketplace_core.capabilities.catalog import ProductPage
from marketplace_search.domain import fold, spelt, words_of
from marketplace_search.store import Record
from marketplace_search.stores.records import (
    SHORTEST,
    STEMMED,
    TEXT_STEMS,
    TEXTS,
    TITLE_STEMS,
    attributes_of,
    created,
    encode_record,
    facets_of,
    mark_of,
    title_key,
    together_of,
)

__all__ = ["BEGINNINGS", "INACTIVE", "KNOWN", "TITLE_WORDS", "document", "template"]

#: Of the document that names the sellers of whom nothing is found: every search looks it up.
INACTIVE = "~inactive"
#: Words that a misspelling may have been meant to be; those of titles, each for itself; how the words of titles begin.
KNOWN, TITLE_WORDS, BEGINNINGS = "known", "title_words", "title_beginnings"
#: Fields whose words are known.
MENDED_BY = ("title", "attributes", "category", "seller")
_LONG_WORD = 60
#: Of what is looked for as a whole: a longer one is not found, where Lucene would refuse the document.
_LONG = 8000
#: Lucene's list of them, where it has one.
_STOPPED = frozenset(
    {
        "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "italian", "norwegian",
        "portuguese", "romanian", "russian", "spanish", "swedish", "turkish",
    }
)  # fmt: skip


def template(languages: Sequence[str], meta: Any) -> dict[str, Any]:
    """Settings and mappings of an index. ``meta`` is kept with it, and says how it was made."""
    return {
        "settings": {
            # Rare words are rare in all of it; copies, and not shards, carry more readers.
            "number_of_shards": 1,
            "auto_expand_replicas": "0-1",
            # Who writes refreshes what it wrote; nothing else does.
            "refresh_interval": -1,
            "analysis": _analysis(languages),
            # All stems of a word count as words of their text.
            "similarity": {"default": {"type": "BM25", "discount_overlaps": False}},
        },
        "mappings": {"dynamic": False, "_meta": meta, "properties": _properties()},
    }


def _analysis(languages: Sequence[str]) -> dict[str, Any]:
    """An analyzer for each language, by its name, and ``stems`` of them all."""
    filters: dict[str, Any] = {}
    chains: dict[str, list[str]] = {}
    for language in languages:
        stop, stem = f"{language}_stop", f"{language}_stem"
        filters[stem] = {"type": "snowball", "language": language.capitalize()}
        if language in _STOPPED:
            filters[stop] = {"type": "stop", "stopwords": f"_{language}_"}
        chains[language] = ["lowercase", *([stop] if language in _STOPPED else []), stem, "asciifolding"]
    filters["all_stems"] = {
        "type": "multiplexer",
        "preserve_original": False,
        "filters": [",".join(chain) for chain in chains.values()],
    }
    filters["beginnings"] = {"type": "edge_ngram", "min_gram": 3, "max_gram": 15}
    analyzers = {name: {"type": "custom", "tokenizer": "whitespace", "filter": chain} for name, chain in chains.items()}
    analyzers["stems"] = {"type": "custom", "tokenizer": "whitespace", "filter": ["all_stems"] if languages else []}
    analyzers["beginnings"] = {"type": "custom", "tokenizer": "whitespace", "filter": ["beginnings"]}
    if not languages:
        del filters["all_stems"]
    return {"filter": filters, "analyzer": analyzers}


def _properties() -> dict[str, Any]:
    token = {"type": "keyword", "ignore_above": _LONG}
    words = {"type": "text", "analyzer": "whitespace", "index_options": "freqs"}
    stems = {**words, "analyzer": "stems", "search_analyzer": "whitespace"}
    found: dict[str, Any] = dict.fromkeys(("id", "shown", "flags", "seller_id", "category_id", "facets", TITLE_WORDS), token)
    # By these is nothing counted.
    found |= {name: {**token, "doc_values": False} for name in ("combined", "title_key")}
    found |= {name: {"type": "long"} for name in ("mark", "price", "created", "rating")}
    found |= dict.fromkeys(TEXTS, words) | dict.fromkeys((TITLE_STEMS, TEXT_STEMS), stems)
    found[KNOWN] = {**words, "norms": False, "index_options": "docs"}
    found[BEGINNINGS] = {**found[KNOWN], "analyzer": "beginnings", "search_analyzer": "whitespace"}
    return found  # of name, record and sellers there is the source


# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────


def document(record: Record) -> dict[str, Any]:
    made: dict[str, Any] = {"id": record.id, "record": encode_record(record).decode()}
    texts = _texts(record)
    if not texts:
        return made | _hidden(record)
    made |= {"shown": record.kind, "mark": mark_of(record.id), "created": created(record.id), "price": 0, "rating": 0}
    if record.page is not None:
        made |= _product(record, record.page)
    made |= {name: _folded(text) for name, text in texts.items()}
    title = words_of(texts["title"])
    made["name"] = texts["title"]
    made["title_key"] = title_key(title)
    made[TITLE_WORDS] = sorted({word for word in title if len(word) <= _LONG_WORD})
    made[BEGINNINGS] = made["title"]
    made[TITLE_STEMS] = _written(texts["title"])
    made[TEXT_STEMS] = " ".join([_written(texts[name]) for name in STEMMED if name in texts])
    known = {word for name in MENDED_BY if name in texts for word in words_of(texts[name])}
    made[KNOWN] = " ".join(sorted(word for word in known if SHORTEST <= len(word) <= _LONG_WORD and not word.isdigit()))
    return made


def _texts(record: Record) -> dict[str, str]:
    """What can be searched in, by field; nothing of what is not shown."""
    page = record.page
    if record.kind == "sellers":
        return {"title": record.name} if record.active else {}
    if page is None or record.status != "published" or not page.variants:
        return {}
    found = {"title": page.title, "seller": page.seller.name, "description": page.description}
    values = [value for _, value in attributes_of(page)]
    values += [value for variant in page.variants for value in variant.options.values()]
    found["attributes"] = " ".join(dict.fromkeys(values))
    if page.category is not None:
        found["category"] = " ".join((*page.category.path, page.category.name))
    return {name: text for name, text in found.items() if text or name == "title"}


def _folded(text: str) -> str:
    return " ".join([word for word in words_of(text) if len(word) <= _LONG_WORD])


def _written(text: str) -> str:
    """Words with their marks: stems need them."""
    return " ".join([word for _, word in spelt(text) if len(word) <= _LONG_WORD])


def _hidden(record: Record) -> dict[str, Any]:
    if record.kind == "sellers":
        return {"flags": ["inactive"]}
    pending = ["pending"] if record.status == "published" else []
    return {"flags": ["gone", *pending], "seller_id": record.seller_id}


def _product(record: Record, page: ProductPage) -> dict[str, Any]:
    price = min([variant.price.amount for variant in page.variants])
    rating = record.rating or page.rating
    made: dict[str, Any] = {
        "price": price,
        "rating": -1 if rating.average is None else round(rating.average * 100),
        "seller_id": page.seller.id,
        "flags": ["stock"] if any(record.available.values()) else [],
        "sku": " ".join([" ".join(words_of(fold(variant.sku))) for variant in page.variants]),
        "facets": facets_of(page, price),
        "combined": list(together_of(record, page)),
    }
    if page.category is not None:
        made["category_id"] = page.category.id
    return made
