"""Search: how known products are found in real titles, and how fast beside tantivy called directly."""

from __future__ import annotations

import asyncio
import collections
import csv
import gc
import json
import lzma
import os
import random
import string
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from figures import Bench, Line, figure
from marketplace_search.config import SearchConfig
from marketplace_search.domain import words_of
from marketplace_search.store import Wanted
from marketplace_search.stores.records import rebuilt
from marketplace_search.stores.schema import document, open_index, stemmer, texts_of
from marketplace_search.stores.tantivy import TantivyStore
from marketplace_search.stores.writing import BULK_HEAP, BULK_THREADS

from marketplace_core._runtime.pools import ThreadPool
from marketplace_core.capabilities.catalog import CategoryRef, ProductPage, Rating, SellerRef, Variant
from marketplace_core.values import Money, new_id

#: Where the titles are, which are no part of the project: three folders, as `MARKETPLACE_BENCH_DATA` says.
DATA = Path(os.environ.get("MARKETPLACE_BENCH_DATA", Path(__file__).parents[3] / "shared" / "data"))
QUERIES = 500
MANY = 100_000
ADDED = 500
COLOURS, MAKES, SHOPS, CATEGORIES = 12, 60, 40, 50
ARRIVALS = 100.0
AT_ONCE = 32
Asking = Callable[[str], Awaitable[object]]
Change = Callable[[random.Random, list[str]], list[str] | None]


# ── how well ─────────────────────────────────────────────────────────────────────────────────────────────────


def titles_of(name: str) -> list[str]:
    """The titles of one of the data sets; none where it is not there."""
    if not (folder := DATA / name).exists():
        return []
    if name == "online_retail":
        told: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
        with lzma.open(folder / "online_retail.csv.xz", "rt", encoding="utf-8-sig") as file:
            for row in csv.DictReader(file):
                if (title := (row["Description"] or "").strip()).isupper():
                    told[row["StockCode"]][title] += 1
        return [counted.most_common(1)[0][0] for counted in told.values()]
    file_name, key = {"eshop": ("catalog.json", "Name"), "dummyjson": ("products.json", "title")}[name]
    rows = json.loads((folder / file_name).read_text(encoding="utf-8-sig"))
    return [row[key] for row in (rows["products"] if isinstance(rows, dict) else rows)]


def misspelt(rng: random.Random, words: list[str]) -> list[str] | None:
    places = [place for place, word in enumerate(words) if len(word) >= 4 and word.isalpha()]
    if not places:
        return None
    place = rng.choice(places)
    word, at, letter = words[place], rng.randrange(len(words[place]) - 1), rng.choice(string.ascii_lowercase)
    wrong = rng.choice(
        (
            word[:at] + word[at + 1 :],
            word[:at] + letter + word[at + 1 :],
            word[:at] + letter + word[at:],
            word[:at] + word[at + 1] + word[at] + word[at + 2 :],
        )
    )
    return [*words[:place], wrong, *words[place + 1 :]]


def swapped(rng: random.Random, words: list[str]) -> list[str] | None:
    if len(words) < 2:
        return None
    one, other = rng.sample(range(len(words)), 2)
    words = list(words)
    words[one], words[other] = words[other], words[one]
    return words


def without_one(rng: random.Random, words: list[str]) -> list[str] | None:
    if len(words) < 2:
        return None
    place = rng.randrange(len(words))
    return words[:place] + words[place + 1 :]


def in_another_form(titles: Sequence[str]) -> Change:
    """One word is another of the same stem, which stands in some title."""
    forms: Mapping[str, set[str]] = collections.defaultdict(set)
    for word in {word for title in titles for word in words_of(title)}:
        forms[_stem(word)].add(word)

    def change(rng: random.Random, words: list[str]) -> list[str] | None:
        found = [(place, form) for place, word in enumerate(words) for form in sorted(forms[_stem(word)]) if form != word]
        if not found:
            return None
        place, form = rng.choice(found)
        return [*words[:place], form, *words[place + 1 :]]

    return change


def _stem(word: str) -> str:
    return (stemmer(("english",)).of(word)[0] or (word,))[0]


def attainable(titles: Sequence[str], asked: Sequence[str], title: str) -> float:
    """1 / (the mean place among titles that differ from what is asked by as much): more is luck."""
    wanted = collections.Counter(asked)
    equal = {
        each for each in titles if not wanted - collections.Counter(words_of(each)) and len(words_of(each)) == len(asked) + 1
    }
    return 1.0 if len(equal) < 2 or title not in equal else sum(1 / n for n in range(1, len(equal) + 1)) / len(equal)


@figure("search_quality")
async def search_quality(bench: Bench) -> list[Line]:
    """Known items by their titles, as they are and changed: the mean of 1 / place."""
    lines = []
    for name in ("online_retail", "eshop", "dummyjson"):
        titles = titles_of(name)
        if not titles:
            bench.say(f"{DATA / name} is not there")
            continue
        async with indexed(bench.folder / name, [page_of(title) for title in titles]) as (store, _):
            changes: dict[str, tuple[Change, float]] = {
                "as is": (lambda rng, words: words, 0.99),
                "one typo": (misspelt, 0.97),
                "two swapped": (swapped, 0.99),
                "one missing": (without_one, 0.92),
                "another form": (in_another_form(titles), 0.90),
            }
            for what, (change, goal) in changes.items():
                lines.append(await _quality(store, f"search, {name}, {what}", titles, change, goal))
    return lines


async def _quality(store: TantivyStore, name: str, titles: list[str], change: Change, goal: float) -> Line:
    rng, found, best = random.Random(14), 0.0, 0.0
    for _ in range(QUERIES):
        asked = None
        while asked is None:
            title = rng.choice(titles)
            asked = change(rng, words_of(title)) if words_of(title) else None
        hits = (await store.search(Wanted(words=" ".join(asked), size=50, facets=False))).hits
        shown = [hit.record.page.title for hit in hits if hit.record.page is not None]
        found += 1 / (shown.index(title) + 1) if title in shown else 0.0
        best += attainable(titles, asked, title) if change is without_one else 1.0
    note = f"{QUERIES} queries, at best {best / QUERIES:.3f}"
    return Line(name=name, unit="MRR", ours=[found / QUERIES], at_least=min(goal, best / QUERIES), note=note)


# ── how fast ─────────────────────────────────────────────────────────────────────────────────────────────────


def page_of(title: str, rng: random.Random | None = None, number: int = 0) -> ProductPage:
    id_ = new_id()
    if rng is None:
        variants = [Variant(new_id(), id_, "", {}, Money(1000, "EUR"), None, 1)]
        return ProductPage(id_, id_, title, "", None, {}, [], SellerRef("s", "-"), Rating(), variants)
    category, shop = rng.randrange(CATEGORIES), rng.randrange(SHOPS)
    variants = [
        Variant(new_id(), f"AB-{number:06}-{size}", "", {"colour": f"colour {rng.randrange(COLOURS)}", "size": size},
                Money(rng.randrange(100, 50_000), "EUR"), None, rng.randrange(4))
        for size in ("S", "M")
    ]  # fmt: skip
    return ProductPage(
        id_,
        id_,
        title,
        " ".join(rng.choices(title.split(), k=12)),
        CategoryRef(f"c{category}", f"c{category}", f"Category {category}", []),
        {"make": f"make {rng.randrange(MAKES)}"},
        [],
        SellerRef(f"s{shop}", f"Shop {shop}"),
        Rating(),
        variants,
    )


class Built(NamedTuple):
    """Documents a second, and milliseconds of processor's time for 1,000, of all threads."""

    rate: float
    cpu: float

    @staticmethod
    def clock() -> Callable[[int], Built]:
        began, used = time.perf_counter(), time.process_time()
        return lambda count: Built(count / (time.perf_counter() - began), 1e6 * (time.process_time() - used) / count)


def tantivy_alone(folder: Path, pages: Sequence[ProductPage]) -> Built:
    """The same documents, which were made before, into an index that nobody else uses."""
    languages = stemmer(SearchConfig().languages)
    records = [rebuilt(page, None) for page in pages]
    documents = [document(record, texts_of(record, languages), 1) for record in records]
    (folder / "index").mkdir(parents=True)
    clock = Built.clock()
    writer = open_index(folder).writer(BULK_HEAP, BULK_THREADS)
    for each in documents:
        writer.add_document(each)
    writer.commit()
    writer.wait_merging_threads()
    return clock(len(pages))


@asynccontextmanager
async def indexed(folder: Path, pages: Sequence[ProductPage]) -> AsyncIterator[tuple[TantivyStore, Built]]:
    """The store, and what it took to build."""
    pools = ThreadPool("read", 2), ThreadPool("write", 1)
    store, clock = TantivyStore(folder, SearchConfig(), *pools), Built.clock()
    async with store.building() as building:
        for start in range(0, len(pages), ADDED):
            await building.add(pages[start : start + ADDED])
        await building.publish()
    try:
        yield store, clock(len(pages))
    finally:
        await store.close()
        for pool in pools:
            await pool.close()


def vocabulary(rng: random.Random, size: int = 20_000) -> tuple[list[str], list[float]]:
    """Words, and the sums of how often each is used: the n-th 1 / n times as often as the first."""
    words = ["".join(rng.choices("aeioubcdfglmnprst", k=rng.randint(3, 9))) for _ in range(size)]
    sums, total = [], 0.0
    for place in range(size):
        total += 1 / (place + 10)
        sums.append(total)
    return words, sums


@figure("search_speed")
async def search_speed(bench: Bench) -> list[Line]:
    """100,000 products: one or two words and two facets, all facets counted; the floor is tantivy with the same words."""
    rng = random.Random(14)
    words, sums = vocabulary(rng)
    titles = [" ".join(rng.choices(words, cum_weights=sums, k=5)) for _ in range(MANY)]
    pages = [page_of(title, rng, number) for number, title in enumerate(titles)]
    asked = [" ".join(rng.choices(words, cum_weights=sums, k=rng.randint(1, 2))) for _ in range(2000)]
    gc.collect()
    gc.freeze()  # a shop does not hold its whole catalogue in memory while it builds the index
    folder = bench.folder / "many"
    alone = tantivy_alone(bench.folder / "alone", pages)
    async with indexed(folder, pages) as (store, built):
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        text = sum(len(page.title) + len(page.description) for page in pages)
        direct, pool = _directly(folder), ThreadPool("direct", 2)

        async def ours(q: str) -> object:
            facets = {"attributes": {"make": (f"make {len(q) % MAKES}", "make 1")}, "sellers": ("s1", "s2", "s3", "s4")}
            return await store.search(Wanted(words=q, **facets))  # type: ignore[arg-type]

        async def floor(q: str) -> object:
            return await pool.run(direct, q)

        async def suggestion(q: str) -> object:
            return await store.suggest(q[: max(2, len(q) - 2)], "products", 5)

        for ask in (ours, floor, suggestion):
            await _arriving(ask, asked[:200])
        lines = [
            Line(name="search, 100,000 products, p99 at 100/s", unit="ms", ours=[await _arriving(ours, asked)], at_most=20),
            Line(name="tantivy called directly, p99 at 100/s", unit="ms", ours=[await _arriving(floor, asked)]),
            Line(name="search, 32 at once", unit="1/s", ours=[await _at_once(ours, asked)], at_least=400),
            Line(name="tantivy called directly, 32 at once", unit="1/s", ours=[await _at_once(floor, asked)]),
            Line(name="suggestions, p99 at 100/s", unit="ms", ours=[await _arriving(suggestion, asked)], at_most=10),
            Line(name="index, built", unit="products/s", ours=[built.rate], at_least=20_000),
            Line(name="… tantivy alone, the same documents", unit="products/s", ours=[built.rate], floor=[alone.rate]),
            Line(name="… processor's time of 1,000 products", unit="ms", ours=[built.cpu], floor=[alone.cpu]),
            Line(name="index, bytes a product beyond its text", unit="B", ours=[(size - text) / MANY], at_most=1024),
        ]
        await pool.close()
    return lines


def _directly(folder: Path) -> Callable[[str], object]:
    """The words in the titles, in tantivy's own syntax, and one count of the facets."""
    index = open_index(folder / os.readlink(folder / "live"))
    index.reload()
    searcher = index.searcher()
    tokens = {"tokens": {"terms": {"field": "facets", "size": 600}}}

    def ask(q: str) -> object:
        query = index.parse_query(q, ["title", "attributes", "category", "seller", "description"], conjunction_by_default=True)
        return searcher.search(query, 20), searcher.aggregate(query, tokens)

    return ask


async def _arriving(ask: Asking, asked: Sequence[str]) -> float:
    """The 99th percentile in ms, from when each was due, whether those before it have been answered or not."""
    loop, took = asyncio.get_running_loop(), []
    begin = loop.time()

    async def one(number: int, q: str) -> None:
        due = begin + number / ARRIVALS
        await asyncio.sleep(max(0.0, due - loop.time()))
        await ask(q)
        took.append(loop.time() - due)

    await asyncio.gather(*(one(number, q) for number, q in enumerate(asked)))
    return 1000 * sorted(took)[int(len(took) * 0.99)]


async def _at_once(ask: Asking, asked: Sequence[str]) -> float:
    left, began = iter(asked), time.perf_counter()

    async def some() -> None:
        for q in left:
            await ask(q)

    await asyncio.gather(*(some() for _ in range(AT_ONCE)))
    return len(asked) / (time.perf_counter() - began)
