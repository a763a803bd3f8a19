"""The index beside its suite: where it is, what a SIGKILL leaves, what a command does, how good it is found in."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from marketplace_search.config import SearchConfig
from marketplace_search.evaluation import figures, read
from marketplace_search.service import SearchService
from marketplace_search.store import Wanted
from marketplace_search.stores.tantivy import TantivyStore

from marketplace_core.capabilities.catalog import Catalog, MoneyInput, ProductDraft, SellerRef, VariantDraft
from marketplace_core.capabilities.search import Search, SearchQuery
from marketplace_core.errors import Unavailable
from marketplace_core.testing._forks import command
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import new_id
from plugins.search.tests.store_contract import find, page, put, told

Open = Callable[..., TantivyStore]
KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from marketplace_core._runtime.pools import ThreadPool
from marketplace_search.config import SearchConfig
from marketplace_search.stores import writing
from marketplace_search.stores.folder import Folder
from marketplace_search.stores.tantivy import TantivyStore
from plugins.search.tests.store_contract import page, put

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

async def main(root, point):
    where, name = {"commit": (writing.Writing, "commit"), "end": (writing.Writing, "end"), "publish": (Folder, "publish"),
                   "catch up": (writing.Rebuilding, "_catch_up"), "sweep": (Folder, "sweep")}[point]
    store = TantivyStore(Path(root), SearchConfig(), ThreadPool("r", 1), ThreadPool("w", 1))
    async with store.building() as building:
        setattr(where, name, die)
        await building.add([page("Iron Pan")])
        await building.publish()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest_asyncio.fixture
async def market(marketplace: Callable[..., Awaitable[Marketplace]]) -> Marketplace:
    return await marketplace(["catalog", "search"], worker=False)


async def shelve(catalog: Catalog, *titles: str) -> SellerRef:
    seller = SellerRef(new_id(), "Harbour & Sons")
    await catalog.set_seller(seller, True, 1)
    for title in titles:
        variant = VariantDraft(sku=title.upper(), price=MoneyInput(1000, "EUR"), stock=5)
        product = await catalog.create_product(seller.id, ProductDraft(title=title, variants=(variant,)))
        await catalog.publish_product(seller.id, product.id)
    return seller


def service_of(market: Marketplace) -> SearchService:
    found = market.process.service("search")
    assert isinstance(found, SearchService)
    return found


@pytest.mark.parametrize("point", ["commit", "catch up", "publish", "end", "sweep"])
async def test_a_building_that_is_killed_anywhere_loses_nothing(point: str, open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    await put(store, page("Copper Pot"))
    killed = subprocess.run(  # noqa: ASYNC221 - nothing else runs
        [sys.executable, "-c", KILLED, os.fspath(tmp_path / "index"), point], check=False, cwd=Path(__file__).parents[3]
    )
    assert killed.returncode == -signal.SIGKILL
    left = await find(store)
    assert left in (["Copper Pot"], ["Iron Pan"])
    await put(store, page("Tin Cup"))  # its locks have ended with it
    assert sorted(await find(store)) == sorted([*left, "Tin Cup"])
    async with store.building() as building:
        await building.add([page("Iron Pan")])
        await building.publish()
    assert [path.name for path in (tmp_path / "index").glob("gen-*")] == [os.readlink(tmp_path / "index" / "live")]


async def test_two_do_not_build_at_once(store: TantivyStore, elsewhere: TantivyStore) -> None:
    async with store.building() as building:
        with pytest.raises(Exception, match="Another process works on the index"):
            async with elsewhere.building():
                pass
        await building.publish()


async def test_many_puts_share_a_commit_and_a_bad_one_fails_alone(store: TantivyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    commits: list[int] = []
    right = store._put

    def counted(changes: list[object]) -> None:
        commits.append(len(changes))
        if any(getattr(each, "status", "") == "bad" for each in changes):
            raise ValueError("bad")
        right(changes)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "_put", counted)
    await asyncio.gather(*(put(store, page(f"Pot {n}")) for n in range(20)))
    assert len(commits) <= 3 and sum(commits) == 20
    wrong = told(page("Bad"))
    wrong = type(wrong)(wrong.id, wrong.seller_id, "bad", wrong.page, wrong.stamp)  # type: ignore[arg-type]
    answers = await asyncio.gather(store.put([wrong]), put(store, page("Good")), return_exceptions=True)
    assert isinstance(answers[0], ValueError) and answers[1] is None
    assert len(await find(store, size=50)) == 21


async def test_other_languages_make_it_stale(open_store: Open) -> None:
    store = open_store()
    assert await store.stale()
    async with store.building() as building:
        await building.add([page("Copper Pot")])
        await building.publish()
    assert not await store.stale()
    french = open_store(config=SearchConfig(languages=("french",)))
    assert await french.stale()
    assert await find(french, "pot") == ["Copper Pot"]  # meanwhile it is read as it is


async def test_another_format_is_neither_read_nor_written_before_it_is_built_anew(open_store: Open, tmp_path: Path) -> None:
    await put(open_store(), page("Copper Pot"))
    made = tmp_path / "index" / "live" / "made.json"
    made.write_bytes(made.read_bytes().replace(b'"format":2', b'"format":1'))
    store = open_store()
    assert await store.stale()
    for refused in (store.search(Wanted()), put(store, page("Tin Cup"))):
        with pytest.raises(Unavailable):
            await refused
    async with store.building() as building:
        await building.add([page("Iron Pan")])
        await building.publish()
    await put(store, page("Tin Cup"))
    assert sorted(await find(store)) == ["Iron Pan", "Tin Cup"]


async def test_a_search_looks_at_one_file_while_nothing_changes(store: TantivyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(store, page("Copper Pot"))
    await find(store)
    monkeypatch.setattr(store, "_open", lambda seen: pytest.fail("it was opened again"))
    for _ in range(3):
        assert await find(store) == ["Copper Pot"]


async def test_it_lies_where_the_deployment_says(market: Marketplace) -> None:
    await service_of(market).rebuild()
    assert (market.file.parent / "tantivy" / "live").exists()


async def test_rebuilding_is_from_the_catalogue_alone(market: Marketplace) -> None:
    """No event has come: the worker does not run."""
    titles = [f"Pot {n}" for n in range(7)]
    await shelve(market.port(Catalog), *titles)
    seen: list[tuple[int, int | None]] = []
    found = await service_of(market).rebuild(lambda done, total: seen.append((done, total)))
    assert (found.products, found.caught_up, seen[-1][0]) == (7, 0, 7)
    page_ = await market.port(Search).search(SearchQuery(q="pot"))
    assert sorted(hit.title for hit in page_.items) == titles


async def test_the_worker_builds_what_is_not_there_and_follows(market: Marketplace) -> None:
    catalog, search = market.port(Catalog), market.port(Search)
    await shelve(catalog, "Copper Pot")
    await market.outgoing("catalog")
    await market.start_worker()

    async def found() -> list[str]:
        return sorted(hit.title for hit in (await search.search(SearchQuery())).items)

    async def is_found(*titles: str) -> bool:
        return await found() == sorted(titles)

    await eventually(lambda: is_found("Copper Pot"))
    await shelve(catalog, "Iron Pan")
    await eventually(lambda: is_found("Copper Pot", "Iron Pan"))
    await market.settle()


async def test_evaluation(store: TantivyStore) -> None:
    await put(store, page("Copper Pot"), page("Iron Pan"), page("Iron Pan"))
    skus = {
        hit.record.page.title: hit.record.page.variants[0].sku for hit in (await store.search(Wanted())).hits if hit.record.page
    }
    lines = f"coper pot\t{skus['Copper Pot']}\niron\t{skus['Iron Pan']}\nqqqqqq\t{skus['Iron Pan']}\ncopper\tNO-SUCH\n"
    found = await figures(store, read(lines))
    assert (found.mrr, found.hit1, found.hit10) == (0.5, 0.5, 0.5)
    for bad in ("", "no tab", "\tsku", "words\t"):
        with pytest.raises(ValueError, match=r"line 1|no search"):
            read(bad)


def test_commands_say_what_is_wrong(tmp_path: Path) -> None:
    def run(*words: str) -> tuple[int, str]:
        done = command("search", *words, "--data", tmp_path / "data")
        return done.returncode, done.stdout + done.stderr

    (tmp_path / "bad.tsv").write_text("no tab")
    code, text = run("evaluate", os.fspath(tmp_path / "bad.tsv"))
    assert code == 2 and "line 1" in text
    (tmp_path / "good.tsv").write_text("pot\tPOT\n")
    code, text = run("evaluate", os.fspath(tmp_path / "good.tsv"), "--json")
    assert code == 0 and json.loads(text.splitlines()[-1])["mrr"] == 0.0
