"""Whoever can write into a store runs nothing here: what is read is data, whatever it says that it is."""

from __future__ import annotations

import base64
import contextlib
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from marketplace_core.adapters.dbos.encoding import plain
from marketplace_core.adapters.dbos.rows import EngineRows
from marketplace_core.adapters.postgres import Database
from marketplace_core.adapters.redis.server import connect
from marketplace_core.testing.client import Client
from marketplace_core.testing.shop import Shop

#: Columns of the saga engine that hold what was serialised, whichever decoder the row names.
_SERIALISED = {
    "workflow_input": ("inputs",),
    "workflow_output": ("output", "error"),
    "workflow_status": ("inputs", "output", "error"),
    "operation_outputs": ("output", "error"),
    "notifications": ("message",),
    "workflow_events": ("value",),
}


class Bomb:
    """Unpickled, it leaves a file: so the test sees that somebody did."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self._path,))


@pytest.fixture
def runner() -> str:
    return "wire"


@pytest.fixture
def planted(tmp_path: Path) -> Iterator[bytes]:
    """A pickle in each protocol would run on either; one of them does."""
    path = tmp_path / "ran"
    raw = pickle.dumps(Bomb(path))
    pickle.loads(raw)  # noqa: S301 - that it works, else the test could not fail
    assert path.exists()
    path.unlink()
    yield raw
    assert not path.exists(), "a planted pickle was run"


async def test_a_planted_pickle_is_nowhere_run(shop: Shop, planted: bytes) -> None:
    buyer, seller = await shop.buyer(), await shop.open_seller("Kettle")
    product = await shop.list_product(seller, "Tea Pot", 2495)
    order = await shop.ended(buyer, (await shop.order(buyer, [(product, 1)]))["id"])
    assert order["status"] == "confirmed"
    for path in ("/products", f"/products/{product['id']}", "/categories"):
        await buyer.get(path)
    market = shop.market
    columns = await _into_the_engine(market.process.resources.database("main"), planted)
    assert columns >= 3
    keys = 0
    for role in ("cache", "sessions", "jobs", "bus"):
        async with connect(market.urls["cache" if role == "cache" else "lasting"]) as redis:
            keys += await _into_redis(redis, planted)
    assert keys > 10
    _into_files(Path(market.urls["files"]), planted)
    await _ask(shop, buyer, seller, product["id"], order["id"])


async def _into_the_engine(database: Database, planted: bytes) -> int:
    """Into every serialised column that there is; under every decoder that the library knows."""
    text, found = base64.b64encode(planted).decode(), 0
    there = await database.fetch(
        "SELECT table_name AS t, column_name AS c FROM information_schema.columns WHERE table_schema = 'dbos'"
    )
    columns = {(row["t"], row["c"]) for row in there}
    for table, names in _SERIALISED.items():
        for name in names:
            if (table, name) in columns:
                await database.execute(f"UPDATE dbos.{table} SET {name} = $1", text)  # noqa: S608
                found += 1
        if (table, "serialization") in columns:
            await database.execute(f"UPDATE dbos.{table} SET serialization = 'py_pickle'")  # noqa: S608
    return found


def _into_files(folder: Path, planted: bytes) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_bytes(planted)


async def _into_redis(redis: Redis, planted: bytes) -> int:
    client: Any = redis
    changed = 0
    async for key in client.scan_iter(count=1000):
        kind = (await client.type(key)).decode()
        if kind == "string":
            await client.set(key, planted, keepttl=True)
        elif kind == "hash":
            await client.hset(key, mapping=dict.fromkeys([*(await client.hkeys(key)), b"planted"], planted))
        elif kind == "stream":
            await client.xadd(key, {b"e": planted, b"envelope": planted})
        elif kind == "zset":
            job = f"arq:job:planted-{changed}"
            await client.set(job, planted)
            await client.zadd(key, {job.removeprefix("arq:job:"): 0})
        else:
            continue
        changed += 1
    return changed


async def _ask(shop: Shop, buyer: Client, seller: Client, product: str, order: str) -> None:
    """Whatever reads a store. What is spoilt may be refused, or be a mistake: it runs nothing."""
    asked = [
        (
            buyer,
            (
                "/me",
                "/cart",
                "/orders",
                f"/orders/{order}",
                "/products",
                f"/products/{product}",
                "/categories",
                "/auth/sessions",
            ),
        ),
        (seller, ("/shop", "/products", "/orders", "/balance")),
        (
            shop.admin,
            ("/sagas", f"/sagas/{order}", "/jobs", "/events/dead", "/orders", "/sellers", "/accounts", "/clock", "/quiesce"),
        ),
        (shop.courier, ("/shipments",)),
    ]
    rows = EngineRows(shop.market.process.resources.database("main"))
    for read in (rows.look([order]), rows.segments(order)):
        with contextlib.suppress(pickle.UnpicklingError, msgspec.DecodeError, UnicodeDecodeError):
            await read
    answered = [await client.send("GET", path) for client, paths in asked for path in paths]
    assert sum(answer.status < 500 for answer in answered) > len(answered) / 2
    for act in ("retry", "compensate"):
        await shop.admin.send("POST", f"/sagas/{order}/{act}")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_engine_takes_plain_values_only(protocol: int, tmp_path: Path) -> None:
    """What 0.1.0 wrote into the engine's tables is read by a decoder that makes numbers, texts, lists and tables of them."""
    written = {"args": ("orders.checkout", 1, "{}"), "kwargs": {}}
    text = base64.b64encode(pickle.dumps(written, protocol)).decode()
    assert plain("py_pickle", text) == written
    bomb = base64.b64encode(pickle.dumps(Bomb(tmp_path / "ran"), protocol)).decode()
    with pytest.raises(pickle.UnpicklingError):
        plain("py_pickle", bomb)
    assert not (tmp_path / "ran").exists()
