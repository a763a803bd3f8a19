"""The rules that the store keeps by itself: the contract of every store of carts."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from marketplace_cart.config import CartConfig
from marketplace_cart.store import CartStore, Change, Claim, Contents, Earlier, Fact, Line, Place, Refusal
from marketplace_cart.stores.redis import RedisCartStore
from redis.asyncio import Redis

from marketplace_core.adapters.redis.server import connect
from marketplace_core.adapters.redis.units import RedisUnits
from marketplace_core.capabilities.catalog import LineRequest
from marketplace_core.errors import Unavailable
from marketplace_core.values import SystemClock, new_id

LIFE, COUNTING = 1000, 5000
GUEST = Place("guest", "fresh", False, LIFE, COUNTING)
ACCOUNT = Place("account", "", False, LIFE, 0)
CONFIG = CartConfig(line_limit=3, quantity_limit=10)


def units(redis: Redis) -> RedisUnits:
    return RedisUnits(redis, SystemClock(), "cart")


@pytest.fixture
def store(redis_lasting: Redis) -> CartStore:
    return RedisCartStore(units(redis_lasting), CONFIG)


def _claim(key: str | None = None, digest: str = "d") -> Claim:
    return Claim(key or new_id(), digest, key is not None)


def _change(variant_id: str, quantity: int = 1, **values: Any) -> Change:
    defaults: dict[str, Any] = {"op": "add", "snapshot": b"\x00 1 2", "currency": "EUR", "facts": {}, "snapshots": {}}
    return Change(variant_id=variant_id, quantity=quantity, **{**defaults, **values})


async def _add(store: CartStore, place: Place, variant_id: str, quantity: int = 1, **values: Any) -> Contents:
    found = await store.change(place, _claim(), _change(variant_id, quantity, **values))
    assert isinstance(found, Contents)
    return found


async def _quantities(store: CartStore, place: Place) -> dict[str, int]:
    found = await store.read(place)
    assert isinstance(found, Contents)
    return {variant_id: line.quantity for variant_id, line in found.lines.items()}


async def test_a_cart_takes_no_room_until_it_has_lines(store: CartStore, redis_lasting: Redis) -> None:
    assert await store.read(GUEST) == Contents("guest", {}, None, 0)
    assert await redis_lasting.keys("*") == []
    await _add(store, GUEST, "a")
    assert b"cart:guest" in await redis_lasting.keys("*")
    found = await store.change(GUEST, _claim(), _change("a", 0, op="set"))
    assert found == Contents("guest", {}, None, 0)
    assert await redis_lasting.exists("cart:guest") == 0


async def test_lines_keep_their_order_and_any_bytes(store: CartStore) -> None:
    for variant_id in ("b", "a", "c", "a"):
        await _add(store, GUEST, variant_id, snapshot=bytes(range(256)))
    found = await store.read(GUEST)
    assert isinstance(found, Contents)
    assert [(variant, line.quantity) for variant, line in found.lines.items()] == [("b", 1), ("a", 2), ("c", 1)]
    assert {line.snapshot for line in found.lines.values()} == {bytes(range(256))}
    assert (found.currency, found.version) == ("EUR", 4)


@pytest.mark.behaviour("cart-1")
async def test_refusals_change_nothing(store: CartStore) -> None:
    for variant_id in ("a", "b", "c"):
        await _add(store, GUEST, variant_id, 9)
    before = await store.read(GUEST)
    for change, code in (
        (_change("d"), "cart.line_limit"),
        (_change("a", 2), "cart.quantity_limit"),
        (_change("a", 11, op="set"), "cart.quantity_limit"),
        (_change("a", currency="USD"), "cart.currency_mismatch"),
        (_change("d", op="set"), "http.not_found"),
        (_change("@version", op="set"), "http.not_found"),
        (_change("a", version=2), "http.precondition_failed"),
        (_change("a", refusal="validation"), "validation"),
    ):
        assert await store.change(GUEST, _claim(), change) == Refusal(code)
    assert await store.read(GUEST) == before
    assert isinstance(await store.change(GUEST, _claim(), _change("a", version=3)), Contents)


@pytest.mark.behaviour("all-1")
async def test_a_claim_is_used_once_and_tells_what_came_of_it(store: CartStore, redis_lasting: Redis) -> None:
    facts = {"a": Fact(7, True, 3)}
    first = await store.change(GUEST, _claim("key"), _change("a", 2, facts=facts))
    await _add(store, GUEST, "b")
    for answer in (
        await store.change(GUEST, _claim("key", "other"), _change("a", 2)),
        await store.read(GUEST, _claim("key")),
    ):
        assert answer == Earlier("d", None, first, facts)
    assert await _quantities(store, GUEST) == {"a": 2, "b": 1}
    assert await redis_lasting.ttl("cart:claim:key") > 24 * 3600
    assert await store.change(GUEST, _claim("no"), _change("z", op="set")) == Refusal("http.not_found")
    again = await store.read(GUEST, _claim("no"))
    assert isinstance(again, Earlier) and again.refusal == "http.not_found"


async def test_a_connection_that_breaks_after_the_change_does_not_repeat_it(store: CartStore) -> None:
    claim = _claim()
    await store.change(GUEST, claim, _change("a", 2))
    assert isinstance(await store.change(GUEST, claim, _change("a", 2)), Earlier)
    assert await _quantities(store, GUEST) == {"a": 2}


async def test_what_was_shown_is_remembered_of_lines_that_are_there(store: CartStore) -> None:
    await _add(store, GUEST, "a", 2)
    await store.remember("guest", {"a": b"new", "z": b"new", "@version": b"new"})
    found = await store.read(GUEST)
    assert isinstance(found, Contents)
    assert found.lines == {"a": Line(2, b"new")}
    found = await _add(store, GUEST, "b", snapshots={"a": b"newer", "z": b"newer"})
    assert {variant: line.snapshot for variant, line in found.lines.items()} == {"a": b"newer", "b": b"\x00 1 2"}
    await store.remember("nobody", {"a": b"new"})
    assert await _quantities(store, Place("nobody", "", False, LIFE, 0)) == {}


@pytest.mark.behaviour("cart-2")
async def test_merging(store: CartStore, redis_lasting: Redis) -> None:
    await _add(store, ACCOUNT, "a", 8)
    for variant_id, quantity in (("d", 1), ("c", 2), ("a", 5), ("b", 3)):
        if variant_id == "b":
            await store.change(GUEST, _claim(), _change("d", 0, op="set"))
        await _add(store, GUEST, variant_id, quantity)
    await asyncio.gather(*(store.merge("guest", "account") for _ in range(5)))
    assert list((await _quantities(store, ACCOUNT)).items()) == [("a", 10), ("c", 2), ("b", 3)]
    assert await redis_lasting.exists("cart:guest") == 0
    await store.merge("guest", "thief")
    assert await _quantities(store, Place("thief", "", False, LIFE, 0)) == {}
    found = await store.read(GUEST)
    assert isinstance(found, Contents) and (found.id, found.lines) == ("fresh", {})
    await _add(store, Place("thief", "", False, LIFE, 0), "b")
    await store.remove_bought("guest", "order", [LineRequest("b", 3)])
    assert await _quantities(store, Place("thief", "", False, LIFE, 0)) == {"b": 1}, "the first account has what the guest had"
    assert await _quantities(store, ACCOUNT) == {"a": 10, "c": 2}


async def test_merging_keeps_the_order_of_large_carts(redis_lasting: Redis) -> None:
    generous = RedisCartStore(units(redis_lasting), CartConfig())
    variants = [f"{number * 37 % 60:02}" for number in range(60)]
    for variant_id in variants:
        await _add(generous, GUEST, variant_id, snapshot=b"more than Redis keeps in the order of its writing".ljust(200))
    assert list(await _quantities(generous, GUEST)) == variants
    await generous.merge("guest", "account")
    assert list(await _quantities(generous, ACCOUNT)) == variants


@pytest.mark.behaviour("cart-2")
async def test_merging_keeps_the_limits_and_never_takes_away(redis_lasting: Redis) -> None:
    generous = RedisCartStore(units(redis_lasting), CartConfig(line_limit=9, quantity_limit=100))
    for variant_id in ("a", "b", "c", "d"):
        await _add(generous, ACCOUNT, variant_id, 50)
        await _add(generous, GUEST, variant_id.upper(), 50)
    await _add(generous, GUEST, "a", 1)
    await RedisCartStore(units(redis_lasting), CONFIG).merge("guest", "account")
    assert await _quantities(generous, ACCOUNT) == {"a": 50, "b": 50, "c": 50, "d": 50}


async def test_a_cart_lives_from_its_last_use(store: CartStore, redis_lasting: Redis) -> None:
    await _add(store, GUEST, "a")
    assert await redis_lasting.ttl("cart:guest") == LIFE
    await redis_lasting.expire("cart:guest", 950)
    await store.read(GUEST)
    assert await redis_lasting.ttl("cart:guest") in (949, 950), "a read that changes little does not write"
    await redis_lasting.expire("cart:guest", 10)
    await store.read(GUEST)
    assert await redis_lasting.ttl("cart:guest") == LIFE
    await store.merge("guest", "account")
    assert await redis_lasting.ttl("cart:account") == CONFIG.account_days * 86400
    assert await redis_lasting.ttl("cart:moved:guest") == CONFIG.guest_days * 86400


async def test_bought_units_leave_once(store: CartStore, redis_lasting: Redis) -> None:
    await _add(store, GUEST, "a", 5)
    await _add(store, GUEST, "b", 2)
    bought = [LineRequest("a", 1), LineRequest("b", 2), LineRequest("a", 2), LineRequest("z", 1), LineRequest("@version", 1)]
    await asyncio.gather(*(store.remove_bought("guest", "order", bought) for _ in range(5)))
    assert await _quantities(store, GUEST) == {"a": 2}
    await store.remove_bought("guest", "order-2", [LineRequest("a", 2), LineRequest("a", 2)])
    await store.remove_bought("guest", "order-3", [LineRequest("a", 2)])
    assert await redis_lasting.exists("cart:guest") == 0
    assert await redis_lasting.ttl("cart:bought:order") > 29 * 86400


async def test_bought_units_come_back_once_and_where_they_stood(store: CartStore, redis_lasting: Redis) -> None:
    for variant_id, quantity in (("a", 5), ("b", 2), ("c", 1)):
        await _add(store, GUEST, variant_id, quantity, snapshot=variant_id.encode())
    before = await store.read(GUEST)
    assert isinstance(before, Contents)
    await store.remove_bought("guest", "order", [LineRequest("a", 2), LineRequest("b", 9), LineRequest("a", 1)])
    assert await _quantities(store, GUEST) == {"a": 2, "c": 1}
    await asyncio.gather(*(store.put_back("guest", "order") for _ in range(5)))
    after = await store.read(GUEST)
    assert isinstance(after, Contents)
    assert list(after.lines.items()) == list(before.lines.items())
    assert after.version > before.version + 1, "it is another state of the cart than the one before it"
    await store.remove_bought("guest", "order", [LineRequest("a", 2)])
    assert await _quantities(store, GUEST) == {"a": 5, "b": 2, "c": 1}


async def test_what_comes_back_to_an_empty_cart(store: CartStore, redis_lasting: Redis) -> None:
    await _add(store, GUEST, "a", 5)
    await store.remove_bought("guest", "order", [LineRequest("a", 5)])
    await store.put_back("guest", "order")
    assert await _quantities(store, GUEST) == {"a": 5}
    assert 0 < await redis_lasting.ttl("cart:guest") <= LIFE
    await _add(store, GUEST, "b")
    assert list(await _quantities(store, GUEST)) == ["a", "b"]
    for order in ("never bought", "of nothing"):
        if order == "of nothing":
            await store.remove_bought("guest", order, [LineRequest("z", 1)])
        await store.put_back("guest", order)
        assert await _quantities(store, GUEST) == {"a": 5, "b": 1}
    await store.remove_bought("guest", "never bought", [LineRequest("a", 5)])
    assert await _quantities(store, GUEST) == {"a": 5, "b": 1}, "it was given up before"
    await store.put_back("nobody", "order")
    assert await redis_lasting.exists("cart:nobody") == 0


async def test_what_comes_back_keeps_to_the_limits(store: CartStore) -> None:
    for variant_id in ("a", "b"):
        await _add(store, GUEST, variant_id, 6)
    await store.remove_bought("guest", "order", [LineRequest("a", 6), LineRequest("b", 6)])
    await _add(store, GUEST, "b", 8)
    await _add(store, GUEST, "c")
    await _add(store, GUEST, "d")
    await store.put_back("guest", "order")
    assert await _quantities(store, GUEST) == {"b": 10, "c": 1, "d": 1}
    await store.remove_bought("guest", "order-2", [LineRequest(id_, 10) for id_ in "bcd"])
    await _add(store, GUEST, "u", currency="USD")
    await store.put_back("guest", "order-2")
    assert await _quantities(store, GUEST) == {"u": 1}


async def test_what_a_guest_bought_comes_back_to_the_account(store: CartStore) -> None:
    await _add(store, GUEST, "a", 2)
    await store.remove_bought("guest", "order", [LineRequest("a", 2)])
    await _add(store, GUEST, "b")
    await store.merge("guest", "account")
    await store.put_back("guest", "order")
    assert await _quantities(store, ACCOUNT) == {"a": 2, "b": 1}
    assert await _quantities(store, GUEST) == {}


async def test_a_server_that_lost_its_scripts_is_given_them_again(store: CartStore, redis_lasting: Redis) -> None:
    await _add(store, GUEST, "a")
    await redis_lasting.script_flush()
    assert (await _add(store, GUEST, "a")).lines["a"].quantity == 2


async def test_a_server_that_is_away_is_unavailable() -> None:
    client = connect("unix:///nowhere/redis.sock")
    with pytest.raises(Unavailable):
        await RedisCartStore(units(client), CONFIG).read(GUEST)
    await client.aclose()
