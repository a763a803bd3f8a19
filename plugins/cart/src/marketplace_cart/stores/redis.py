"""Carts in Redis. A method is one Lua script, so claim, effect and events are one step, in one round trip; see ``lua/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import msgspec

from marketplace_cart.config import CartConfig
from marketplace_cart.store import CartStore, Change, Claim, Contents, Earlier, Fact, Line, Place, Refusal
from marketplace_core.adapters.redis.units import RedisUnits
from marketplace_core.capabilities.cart import CartItemAdded, CartItemRemoved, CartMerged, CartOrdered
from marketplace_core.capabilities.catalog import LineRequest
from marketplace_core.context import PluginContext

__all__ = ["RedisCartStore"]

DAY = 86400
CLAIM_SECONDS = 25 * 3600
BROKEN_CONNECTION_SECONDS = 120
BOUGHT_SECONDS = 30 * DAY
EMITS = (CartItemAdded, CartItemRemoved, CartMerged, CartOrdered)

_encode = msgspec.msgpack.Encoder().encode
_decode_facts = msgspec.msgpack.Decoder(dict[str, Fact]).decode


class RedisCartStore(CartStore):
    """Needs all of its keys on one server, which loses nothing that it has acknowledged."""

    def __init__(self, units: RedisUnits, config: CartConfig) -> None:
        self._config = config
        lua = files(__package__).joinpath("lua")
        common = lua.joinpath("common.lua").read_text()
        self._scripts = {
            name: units.script(common + lua.joinpath(f"{name}.lua").read_text(), EMITS)
            for name in ("read", "change", "remember", "merge", "remove_bought", "put_back")
        }

    async def read(self, place: Place, claim: Claim | None = None) -> Contents | Earlier:
        found = _answer(await self._scripts["read"]((*_place(place), "" if claim is None else _claim_name(claim))))
        if isinstance(found, Refusal):
            raise TypeError("reading a cart is never refused")
        return found

    async def change(self, place: Place, claim: Claim, change: Change) -> Contents | Earlier | Refusal:
        args: list[str | bytes | int] = [
            *_place(place),
            _claim_name(claim),
            claim.digest,
            CLAIM_SECONDS if claim.lasting else BROKEN_CONNECTION_SECONDS,
            _encode(change.facts) if claim.lasting else b"",
            change.op,
            change.variant_id,
            change.quantity,
            change.snapshot,
            change.currency,
            "" if change.version is None else change.version,
            change.refusal,
            self._config.line_limit,
            self._config.quantity_limit,
        ]
        for variant_id, snapshot in change.snapshots.items():
            args += (variant_id, snapshot)
        return _answer(await self._scripts["change"](args))

    async def remember(self, cart_id: str, snapshots: Mapping[str, bytes]) -> None:
        args: list[str | bytes] = [cart_id]
        for variant_id, snapshot in snapshots.items():
            args += (variant_id, snapshot)
        await self._scripts["remember"](args)

    async def merge(self, guest_id: str, account_id: str) -> None:
        config = self._config
        lives = (config.guest_days * DAY, config.account_days * DAY)
        await self._scripts["merge"]((guest_id, account_id, *lives, config.line_limit, config.quantity_limit))

    async def remove_bought(self, cart_id: str, order_id: str, lines: Sequence[LineRequest]) -> None:
        args: list[str | int] = [cart_id, order_id, BOUGHT_SECONDS]
        for line in lines:
            args += (line.variant_id, line.quantity)
        await self._scripts["remove_bought"](args)

    async def put_back(self, cart_id: str, order_id: str) -> None:
        limits = (self._config.line_limit, self._config.quantity_limit)
        await self._scripts["put_back"]((cart_id, order_id, BOUGHT_SECONDS, *limits))


def _place(place: Place) -> tuple[str | int, ...]:
    return place.id, place.fresh, "aged" if place.aged else "", place.life, place.counting


def _claim_name(claim: Claim) -> str:
    return f"cart:claim:{claim.key}"


def _answer(answer: list[Any]) -> Contents | Earlier | Refusal:
    kind, subject, flat = answer
    if kind == b"refused":
        return Refusal(subject.decode())
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    if kind == b"cart":
        return _contents(subject.decode(), fields)
    refusal = fields.pop(b"@refusal", None)
    facts = fields.pop(b"@facts", None)
    return Earlier(
        digest=fields.pop(b"@digest").decode(),
        refusal=None if refusal is None else refusal.decode(),
        contents=_contents(fields.pop(b"@id", b"").decode(), fields),
        facts={} if facts is None else _decode_facts(facts),
    )


def _contents(id_: str, fields: dict[bytes, bytes]) -> Contents:
    currency = fields.pop(b"@currency", None)
    version = int(fields.pop(b"@version", 0))
    found = []
    for variant, raw in fields.items():
        quantity, sequence, snapshot = raw.split(b" ", 2)
        found.append((int(sequence), variant.decode(), Line(int(quantity), snapshot)))
    found.sort()
    lines = {variant: line for _, variant, line in found}
    return Contents(id_, lines, None if currency is None else currency.decode(), version)


def make(context: PluginContext) -> RedisCartStore:
    """On the Redis that the deployment gives the plugin, in whose units its scripts emit."""
    units = context.units
    if not isinstance(units, RedisUnits):
        raise TypeError(f"{type(units).__name__} are no units of Redis")
    return RedisCartStore(units, context.config(CartConfig))
