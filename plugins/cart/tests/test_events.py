"""What carts tell of their changes: in the step of the change, numbered, and nothing that opens a cart or names a person."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from marketplace_cart.config import CartConfig
from marketplace_cart.store import Change, Claim, Contents, Place
from marketplace_cart.stores.redis import RedisCartStore
from redis.asyncio import Redis

from marketplace_core import calls
from marketplace_core.adapters.redis.outbox import RedisOutbox
from marketplace_core.adapters.redis.units import RedisUnits
from marketplace_core.calls import Call
from marketplace_core.capabilities.cart import (
    CartItemAdded,
    CartItemRemoved,
    CartMerged,
    CartOrdered,
    CartOwner,
)
from marketplace_core.capabilities.catalog import LineRequest
from marketplace_core.events import Event, decode_envelope
from marketplace_core.values import SystemClock, new_id

CONFIG = CartConfig(line_limit=4, quantity_limit=10)
DAY = 86400


class Told:
    """A store, and what it told so far."""

    def __init__(self, redis: Redis) -> None:
        self.redis = redis
        self.store = RedisCartStore(RedisUnits(redis, SystemClock(), "cart"), CONFIG)
        self._outbox = RedisOutbox(redis, "cart")

    async def events(self) -> list[Event]:
        async with self._outbox.lanes() as lanes:
            rows = await lanes.pending(100_000)
        numbers: dict[str, int] = {}
        for row in rows:
            numbers[row.key] = numbers.get(row.key, 0) + 1
            assert row.sequence == numbers[row.key]
            assert (row.topic, row.key) == ("cart", decode_envelope(row.payload, 1).decode().key)
        assert len({row.event_id for row in rows}) == len(rows)
        return [decode_envelope(row.payload, row.sequence or 0).decode() for row in rows]

    async def set(self, place: Place, variant_id: str, quantity: int, op: Any = "add", key: str | None = None) -> Any:
        change = Change(op=op, variant_id=variant_id, quantity=quantity, snapshot=b"s", currency="EUR", facts={}, snapshots={})
        return await self.store.change(place, Claim(key or new_id(), "d", key is not None), change)


@pytest.fixture
def told(redis_lasting: Redis) -> Told:
    return Told(redis_lasting)


def guest(id_: str = "guest") -> Place:
    return Place(id_, f"{id_}-fresh", False, 30 * DAY, 60 * DAY)


ACCOUNT = Place("account", "", False, 180 * DAY, 0)


async def test_a_change_of_a_line_is_told_as_the_difference(told: Told) -> None:
    await told.set(guest(), "a", 2)
    await told.set(guest(), "a", 3)
    await told.set(guest(), "a", 4, "set")
    await told.set(guest(), "a", 4, "set")
    await told.set(guest(), "a", 0, "set")
    assert await told.events() == [
        CartItemAdded(cart_id="guest", variant_id="a", quantity=2, total=2),
        CartItemAdded(cart_id="guest", variant_id="a", quantity=3, total=5),
        CartItemRemoved(cart_id="guest", variant_id="a", quantity=1, total=4),
        CartItemRemoved(cart_id="guest", variant_id="a", quantity=4, total=0),
    ]


async def test_a_repeat_and_a_refusal_tell_nothing(told: Told) -> None:
    for _ in range(3):
        await told.set(guest(), "a", 2, key="one")
    await told.set(guest(), "a", 99)
    await told.set(guest(), "z", 1, "set")
    assert await told.events() == [CartItemAdded(cart_id="guest", variant_id="a", quantity=2, total=2)]


async def test_merging_tells_what_the_account_has_more(told: Told) -> None:
    await told.set(ACCOUNT, "a", 8)
    await told.set(guest(), "a", 5)
    await told.set(guest(), "b", 1)
    await told.store.merge("nobody", "account")
    for _ in range(3):
        await told.store.merge("guest", "account")
    lines = (LineRequest("a", 2), LineRequest("b", 1))
    assert (await told.events())[3:] == [CartMerged(cart_id="account", guest_cart_id="guest", lines=lines)]


async def test_a_guests_cart_of_another_currency_ends_and_that_is_told(told: Told) -> None:
    await told.set(ACCOUNT, "a", 8)
    dollars = Change(op="add", variant_id="u", quantity=1, snapshot=b"s", currency="USD", facts={}, snapshots={})
    await told.store.change(guest(), Claim(new_id(), "d", False), dollars)
    await told.store.merge("guest", "account")
    assert (await told.events())[-1] == CartMerged(cart_id="account", guest_cart_id="guest")


async def test_what_is_ordered_and_what_comes_back(told: Told) -> None:
    await told.set(guest(), "a", 5)
    wanted = [LineRequest("a", 2), LineRequest("z", 1)]
    for _ in range(3):
        await told.store.remove_bought("guest", "order", wanted)
    await told.store.remove_bought("guest", "other", [LineRequest("z", 1)])
    for _ in range(3):
        await told.store.put_back("guest", "order")
    assert (await told.events())[1:] == [
        CartOrdered(cart_id="guest", order_id="order", lines=(LineRequest("a", 2),)),
        CartItemAdded(cart_id="guest", variant_id="a", quantity=2, total=5),
    ]


@pytest.mark.parametrize("seed", range(4))
async def test_who_follows_the_events_has_the_carts(told: Told, seed: int) -> None:
    chance = random.Random(seed)
    places = {"account": ACCOUNT, "one": guest("one"), "two": guest("two")}
    merged: set[str] = set()
    for number in range(120):
        place, variant = places[chance.choice(list(places))], chance.choice("abcde")
        act = chance.randrange(10)
        if act < 5:
            await told.set(place, variant, chance.randrange(1, 8))
        elif act < 7:
            await told.set(place, variant, chance.randrange(0, 5), "set")
        elif act == 7:
            lines = [LineRequest(v, chance.randrange(1, 6)) for v in chance.sample("abcde", 2)]
            await told.store.remove_bought(place.id, f"order-{number}", lines)
        elif act == 8:
            await told.store.put_back(place.id, f"order-{chance.randrange(number + 1)}")
        elif place.id != "account" and number > 60:
            await told.store.merge(place.id, "account")
            merged.add(place.id)
    carts = _followed(await told.events())
    for id_ in ("account", "one", "two", "one-fresh", "two-fresh"):
        found = await told.store.read(Place(id_, "", False, DAY, 0))
        assert isinstance(found, Contents)
        assert carts.get(id_, {}) == {variant: line.quantity for variant, line in found.lines.items()}, id_


def _followed(events: list[Event]) -> dict[str, dict[str, int]]:
    carts: dict[str, dict[str, int]] = {}
    for event in events:
        cart = carts.setdefault(event.key, {})
        if isinstance(event, CartItemAdded | CartItemRemoved):
            cart[event.variant_id] = event.total
        elif isinstance(event, CartMerged | CartOrdered):
            more = 1 if isinstance(event, CartMerged) else -1
            for line in event.lines:
                cart[line.variant_id] = cart.get(line.variant_id, 0) + more * line.quantity
            if isinstance(event, CartMerged):
                carts[event.guest_cart_id] = {}
        carts[event.key] = {variant: total for variant, total in cart.items() if total}
    return carts


async def test_numbers_never_begin_again_under_an_id_that_is_in_use(told: Told) -> None:
    await told.set(guest(), "a", 1)
    sequence = "cart:sequence:cart:guest"
    assert await told.redis.ttl(sequence) == 60 * DAY > await told.redis.ttl("cart:guest")
    await told.redis.expire("cart:guest", DAY)
    await told.redis.expire(sequence, 2 * DAY)
    await told.store.read(guest())
    assert await told.redis.ttl(sequence) == 60 * DAY, "who only looks keeps both"
    await told.set(ACCOUNT, "a", 1)
    assert await told.redis.ttl("cart:sequence:cart:account") == -1
    aged = guest()._replace(aged=True)
    found = await told.store.read(aged)
    assert isinstance(found, Contents) and found.id == "guest", "it is old, and in use"
    await told.redis.delete("cart:guest", sequence)
    found = await told.store.read(aged)
    assert isinstance(found, Contents) and found.id == "guest-fresh", "nobody counts its events any more"
    await told.set(aged, "a", 1)
    assert await told.redis.exists("cart:guest") == 0 and await told.redis.exists("cart:guest-fresh") == 1


async def test_what_is_told_of_a_guest_opens_nothing(shop: Callable[..., Awaitable[Any]]) -> None:
    bench = await shop()
    (pot,) = await bench.stock()
    with calls.scope(Call(key="cart.add_item:a secret of a browser's")):
        view = await bench.add(CartOwner(), pot)
    assert view.token
    rows = await bench.redis.xrange("cart:outbox")
    assert rows
    text = repr(rows)
    assert view.token not in text and "secret" not in text
    [envelope] = await bench.market.outgoing("cart")
    assert (envelope.actor, envelope.origin, envelope.key) == ("system", "api", view.id)
