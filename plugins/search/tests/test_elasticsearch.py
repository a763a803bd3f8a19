"""The index in Elasticsearch, on an OpenSearch: the suite of the store port, and what is its own."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from elasticsearch import AsyncElasticsearch
from marketplace_search.config import SearchConfig
from marketplace_search.evaluation import figures
from marketplace_search.service import SearchService
from marketplace_search.store import Stamp, Stars, StockCounts, Wanted
from marketplace_search.stores.elasticsearch import ElasticsearchStore, bulk, generations, writing
from marketplace_search.stores.elasticsearch.building import Rebuilding
from marketplace_search.stores.elasticsearch.bulk import Refused
from marketplace_search.stores.elasticsearch.documents import document
from marketplace_search.stores.tantivy import TantivyStore
from structlog.testing import capture_logs

from marketplace_core._runtime.pools import ThreadPool
from marketplace_core._supervisor.ports import free_port
from marketplace_core.adapters.elasticsearch import Elasticsearch
from marketplace_core.adapters.elasticsearch.kind import ElasticsearchSettings
from marketplace_core.adapters.elasticsearch.native import EmbeddedOpenSearch
from marketplace_core.capabilities.catalog import Catalog, ProductPage, Rating
from marketplace_core.capabilities.search import Search, SearchQuery
from marketplace_core.errors import Unavailable
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id
from plugins.search.tests.store_contract import OTHER, SHOP, SYNONYMS, SearchStoreContract, category, find, page, put, told
from plugins.search.tests.test_index import shelve

pytestmark = pytest.mark.xdist_group("opensearch")

MARKS = ("Copper", "Enamelled", "Folding", "Walnut", "Stackable", "Porcelain", "Miniature", "Waterproof", "Striped", "Antique")
THINGS = ("Kettles", "Teapot", "Wheelbarrow", "Chessboard", "Cushion", "Lantern", "Watering Can", "Bookshelf", "Train Set")
Open = Callable[..., ElasticsearchStore]


@pytest_asyncio.fixture
async def server(opensearch_server: EmbeddedOpenSearch) -> AsyncIterator[Elasticsearch]:
    """Its indexes have a prefix of the test's own."""
    made = Elasticsearch(opensearch_server.url(new_id()), ElasticsearchSettings(flavor="opensearch", seconds=20))
    yield made
    async with made.asking() as client:
        await client.options(ignore_status=404).indices.delete_index_template(name=f"{made.prefix}-search")
        await client.indices.delete(index=f"{made.prefix}-*", ignore_unavailable=True)
    await made.close()


@pytest.fixture
def open_store(server: Elasticsearch, tmp_path: Path) -> Open:
    """``open_store()``: the index as one more process has it."""
    synonyms = tmp_path / "synonyms.txt"
    synonyms.write_text(SYNONYMS)
    return lambda config=None: ElasticsearchStore(server, config or SearchConfig(), synonyms)


@pytest.fixture
def store(open_store: Open) -> ElasticsearchStore:
    return open_store()


@pytest.fixture
def elsewhere(open_store: Open) -> ElasticsearchStore:
    return open_store()


@pytest.fixture
def catalogue() -> list[ProductPage]:
    """150 products of few words, so that many share some."""
    order = random.Random(7)
    kinds = [category(f"c{n}", name) for n, name in enumerate(("Kitchen", "Garden", "Toys"))]
    found = []
    for _ in range(150):
        title = " ".join([*order.sample(MARKS, order.randint(1, 2)), order.choice(THINGS)])
        colours = order.sample(("red", "blue", "green"), 2)
        found.append(
            page(
                title,
                seller=order.choice((SHOP, OTHER)),
                price=order.randint(100, 9000),
                category=order.choice(kinds),
                attributes={"make": order.choice(MARKS)},
                options=[({"colour": colour, "size": order.choice("SML")}, order.randint(0, 2)) for colour in colours],
                description=" ".join(order.choices((*MARKS, *THINGS), k=12)),
            )
        )
    return found


def seeded_searches(catalogue: Sequence[ProductPage]) -> list[tuple[str, str]]:
    """Words and the SKU of the product that they are of."""
    order = random.Random(8)
    found = []
    for each in order.sample(catalogue, 60):
        words = each.title.lower().split()
        order.shuffle(words)
        at = order.randrange(len(words))
        match order.randrange(4):
            case 0:
                letter = order.randrange(1, len(words[at]) - 1)
                words[at] = words[at][:letter] + words[at][letter + 1 :]
            case 1:
                words[-1] = words[-1][:-2]
            case 2:
                words.insert(at, order.choice(("the", "zzyzx")))
        found.append((" ".join(words), each.variants[0].sku))
    return found


class TestElasticsearchStore(SearchStoreContract):
    pass


# ── who writes ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_many_who_write_at_once_lose_nothing(store: ElasticsearchStore, elsewhere: ElasticsearchStore) -> None:
    """Of one product, from several processes and sources: each is applied to what the others have written."""
    pots = [page(f"Pot {n}", options=[({}, 1)]) for n in range(4)]
    acts = []
    for pot in pots:
        acts += [store.put([told(pot, 3)]), elsewhere.put([told(pot, 2)])]
        acts += [elsewhere.put([StockCounts(pot.id, {pot.variants[0].id: 9}, Stamp(5, "w"))])]
        acts += [store.put([Stars(pot.id, Rating(4.5, n), Stamp(n, "r"))]) for n in (1, 2)]
    await asyncio.gather(*acts)
    found = await elsewhere.search(Wanted(words="pot"))
    shown = [hit.record.page for hit in found.hits if hit.record.page is not None]
    assert {each.id for each in shown} == {pot.id for pot in pots}
    assert {(each.variants[0].available, each.rating) for each in shown} == {(9, Rating(4.5, 2))}


async def test_what_cannot_be_written_fails_alone(store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        writing, "document", lambda record: document(record) | ({"mark": "bad"} if record.page.title == "Bad Pot" else {})
    )
    answers = await asyncio.gather(put(store, page("Bad Pot")), put(store, page("Good Pot")), return_exceptions=True)
    assert (type(answers[0]), answers[1]) == (Refused, None)
    assert await find(store) == ["Good Pot"]


async def test_what_there_was_no_room_for_is_sent_again_by_itself(
    store: ElasticsearchStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is asked in earnest; its answer is made to say of every second document that there was no room."""
    sent: list[int] = []
    right = bulk._operations

    def some(alias: str, items: Sequence[bulk.Item]) -> Any:
        sent.append(len(items))
        return right(alias, items)

    async def without_room(self: Any, **asked: Any) -> Any:
        if len(sent) == 1:
            asked["operations"] = [each for n, each in enumerate(asked["operations"]) if n % 4 < 2]
            told = (await asking(self, **asked)).body
            busy = {"index": {"status": 429, "error": {"reason": "full"}}}
            return {"items": [each for one in told["items"] for each in (one, busy)]}
        return await asking(self, **asked)

    asking = AsyncElasticsearch.bulk
    monkeypatch.setattr(bulk, "_operations", some)
    monkeypatch.setattr(AsyncElasticsearch, "bulk", without_room)
    await put(store, *(page(f"Pot {n}") for n in range(6)))
    assert sent == [6, 3]
    assert len(await find(store, size=50)) == 6


# ── who builds ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_do_not_build_at_once(store: ElasticsearchStore, elsewhere: ElasticsearchStore) -> None:
    async with store.building() as building:
        with pytest.raises(Unavailable, match="Another process works on the index"):
            async with elsewhere.building():
                pass
        await building.publish()


@pytest.mark.parametrize("point", ["added", "blocked", "published"])
async def test_a_building_that_is_killed_anywhere_loses_nothing(
    point: str, open_store: Open, server: Elasticsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends without a word, and its lease with it; what came meanwhile waits, and the next one begins anew."""
    monkeypatch.setattr(generations, "LEASE_SECONDS", 1.2)
    monkeypatch.setattr(generations, "BEAT_SECONDS", 0.3)
    monkeypatch.setattr(writing, "LEASE_SECONDS", 0.5)
    killed, store = open_store(), open_store()
    await put(store, page("Copper Pot"))
    assert await store.stale()  # nobody has asked the catalogue yet
    await _build_until(killed, point)
    left = await find(store)
    assert left == (["Iron Pan"] if point == "published" else ["Copper Pot"])
    await put(store, page("Tin Cup"))
    assert sorted(await find(store)) == sorted([*left, "Tin Cup"])
    async with store.building() as building:
        await building.add([page("Brass Pan")])
        await building.publish()
    assert await find(store) == ["Brass Pan"]
    assert not await store.stale()
    async with server.asking() as client:
        open_ones = await client.indices.get(index=f"{server.prefix}-search-*", filter_path="*.aliases")
    assert len(set(open_ones) - {f"{server.prefix}-search-1"}) == 1


async def _build_until(store: ElasticsearchStore, point: str) -> None:
    """Build as far as there, and leave all as it is then: no more beats, nothing given up."""
    lease = generations.Lease(store._server, f"{store._generations.name}.lease")
    await lease.take()
    building = await Rebuilding.begin(store._generations, lease, store._made())
    await building.add([page("Iron Pan")])
    if point == "blocked":
        with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="killed"):
            patch.setattr(generations.Generations, "publish", _never)
            await building.publish()
    if point == "published":
        await building.publish()
    assert lease._beating is not None
    lease._beating.cancel()


async def _never(*_: Any) -> None:
    raise RuntimeError("killed")


async def test_who_was_thought_killed_publishes_nothing(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generations, "LEASE_SECONDS", 0.6)
    monkeypatch.setattr(generations, "BEAT_SECONDS", 0.2)
    asleep, store = open_store(), open_store()
    await put(store, page("Copper Pot"))
    with pytest.raises(Unavailable):
        async with asleep.building() as building:
            await building.add([page("Iron Pan")])
            assert isinstance(building, Rebuilding) and building._lease._beating is not None
            building._lease._beating.cancel()  # it is stopped for a while
            async with store.building() as another:
                await another.add([page("Brass Pan")])
                await another.publish()
            await building.publish()
    assert await find(store) == ["Brass Pan"]


async def test_other_languages_make_it_stale(open_store: Open) -> None:
    store = open_store()
    assert await store.stale()
    async with store.building() as building:
        await building.add([page("Copper Pot")])
        await building.publish()
    assert not await store.stale()
    french = open_store(SearchConfig(languages=("french",)))
    assert await french.stale()
    assert await find(french, "pots") == ["Copper Pot"]  # meanwhile it is read as it is
    async with french.building() as building:
        await building.add([page("Chevaux")])
        await building.publish()
    assert await find(store, "cheval") == await find(french, "cheval") == ["Chevaux"]


# ── as good as tantivy ──────────────────────────────────────────────────────────────────────────────────────


async def test_it_finds_as_well_and_counts_alike(
    store: ElasticsearchStore, tmp_path: Path, catalogue: Sequence[ProductPage]
) -> None:
    """Seeded products, searched by words of their titles: whole, misspelt, cut short and out of order."""
    tantivy = TantivyStore(tmp_path / "index", SearchConfig(), ThreadPool("read", 1), ThreadPool("write", 1))
    for each in (store, tantivy):
        async with each.building() as building:
            await building.add(catalogue)
            await building.publish()
    searches = seeded_searches(catalogue)
    ours, theirs = await figures(store, searches), await figures(tantivy, searches)
    assert theirs.mrr > 0.6
    for name in ("mrr", "hit1", "hit10"):
        assert abs(getattr(ours, name) - getattr(theirs, name)) <= 0.02, (name, ours, theirs)
    for words, _ in searches[::4]:
        one, other = await store.search(Wanted(words=words)), await tantivy.search(Wanted(words=words))
        assert (one.total, one.counts, list(one.dropped)) == (other.total, other.counts, list(other.dropped)), words


# ── a marketplace on it ──────────────────────────────────────────────────────────────────────────────────────


async def test_who_keeps_the_index_waits_for_a_server_that_is_away(marketplace: Callable[..., Awaitable[Marketplace]]) -> None:
    settings = {"search": 'on = { search = "index", signals = "main" }', "index": 'flavor = "opensearch", seconds = 0.5'}
    nobody = f"elasticsearch://127.0.0.1:{free_port()}/none"
    market = await marketplace(["auth", "catalog", "search"], worker=False, settings=settings, resources={"index": nobody})
    service = market.port(Search)
    assert isinstance(service, SearchService)
    with capture_logs() as logs:
        keeping = asyncio.create_task(service.keep_index())

        async def waits() -> bool:
            return keeping.done() or any(line["event"] == "search.not_built" for line in logs)

        await eventually(waits)
    assert not keeping.done()
    keeping.cancel()
    await asyncio.wait({keeping})


async def test_a_marketplace_finds_by_it_and_a_server_that_is_silent_is_named(
    marketplace: Callable[..., Awaitable[Marketplace]], opensearch_server: EmbeddedOpenSearch
) -> None:
    settings = {"search": 'on = { search = "index", signals = "main" }', "index": 'flavor = "opensearch", seconds = 0.5'}
    market = await marketplace(
        ["auth", "catalog", "search"], http=True, settings=settings, resources={"index": opensearch_server.url(new_id())}
    )
    catalog, search = market.port(Catalog), market.port(Search)

    async def is_found(*names: str) -> bool:
        try:
            return sorted(hit.title for hit in (await search.search(SearchQuery())).items) == sorted(names)
        except Unavailable:  # the first index is being made
            return False

    await shelve(catalog, "Copper Pot")
    await eventually(lambda: is_found("Copper Pot"))
    assert opensearch_server.child is not None
    opensearch_server.child.send(signal.SIGSTOP)
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await search.search(SearchQuery(q="pot"))
        assert time.monotonic() - began < 2
        assert (await _ready(market, 503))["index"] == "Unavailable"
        await shelve(catalog, "Iron Pan")
    finally:
        opensearch_server.child.send(signal.SIGCONT)
    await eventually(lambda: is_found("Copper Pot", "Iron Pan"))
    assert (await _ready(market))["index"] == "ok"


async def _ready(market: Marketplace, status: int = 200) -> Any:
    async with aiohttp.ClientSession() as session, session.get(f"{market.url}/readyz") as answer:
        assert answer.status == status
        return await answer.json()
