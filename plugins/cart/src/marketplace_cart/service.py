"""Use cases of carts. The store makes each change once and in one step; prices and stock are asked of the catalogue."""

from __future__ import annotations

import hashlib
import itertools
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from marketplace_cart.config import CartConfig
from marketplace_cart.domain import CartTokens, born, is_secret
from marketplace_cart.store import CartStore, Change, Claim, Contents, Earlier, Fact, Place, Refusal
from marketplace_cart.views import Seen, cart_view, observe, snapshot
from marketplace_core import calls
from marketplace_core.capabilities.cart import AddItem, Cart, CartLines, CartOwner, CartView
from marketplace_core.capabilities.catalog import Catalog, LineRequest, VariantView
from marketplace_core.errors import Invalid, MarketplaceError, NotFound, PreconditionFailed, Problem, Refused
from marketplace_core.ports import digest
from marketplace_core.values import etag, new_id

__all__ = ["CartService"]

DAY = 86400
#: How much longer than a guest's cart the count of its events is kept: whoever listens must not hear the same number twice.
COUNTING_DAYS = 400


class CartService(Cart):
    """An account's cart has the account's id; a guest's has one that only its token tells."""

    def __init__(
        self,
        store: CartStore,
        catalog: Catalog,
        config: CartConfig,
        url: Callable[[str], str],
        *,
        currency: str,
        token_keys: Sequence[bytes],
    ) -> None:
        """``url``: where a picture is shown. ``currency``: that of an empty cart's zero."""
        self._url = url
        self._store = store
        self._catalog = catalog
        self._config = config
        self._currency = currency
        self._tokens = CartTokens(token_keys)
        self._process = os.urandom(12).hex()
        self._numbers = itertools.count()

    async def get_cart(self, owner: CartOwner) -> CartView:
        return await self._show(owner, await self._read(self._place(owner)))

    async def add_item(self, owner: CartOwner, item: AddItem) -> CartView:
        return await self._change(owner, "add", item.variant_id, item.quantity)

    async def set_quantity(self, owner: CartOwner, variant_id: str, quantity: int, if_match: str | None = None) -> CartView:
        return await self._change(owner, "set", variant_id, quantity, if_match)

    async def merge(self, token: str, account_id: str) -> None:
        guest_id = self._tokens.read(token)
        if guest_id is not None:
            await self._store.merge(guest_id, account_id)

    async def get_lines(self, owner: CartOwner) -> CartLines | None:
        found = await self._read(self._place(owner))
        if not found.lines:
            return None
        return CartLines(found.id, [LineRequest(variant_id, line.quantity) for variant_id, line in found.lines.items()])

    async def remove_bought(self, cart_id: str, order_id: str, lines: list[LineRequest]) -> None:
        await self._store.remove_bought(cart_id, order_id, lines)

    async def put_back(self, cart_id: str, order_id: str, lines: list[LineRequest]) -> None:
        await self._store.put_back(cart_id, order_id)

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _change(
        self, owner: CartOwner, op: Literal["add", "set"], variant_id: str, quantity: int, if_match: str | None = None
    ) -> CartView:
        """Two round trips to the store and one question to the catalogue, however many lines there are."""
        place = self._place(owner)
        claim = self._claim(owner, place, op, [variant_id, quantity, if_match])
        before = await self._store.read(place, claim if claim.lasting else None)
        if isinstance(before, Earlier):
            return await self._repeat(owner, place, claim, before)
        views = await self._views([*before.lines, variant_id] if op == "add" else before.lines)
        seen = observe(before.lines, before.currency, views)
        change = Change(op=op, variant_id=variant_id, quantity=quantity, facts=seen.facts, snapshots=seen.snapshots)
        if op == "add":
            change = _adding(change, views.get(variant_id))
        if if_match not in {None, "*"}:
            change = self._if_matching(owner, change, before, seen, if_match)
        if change.refusal and not claim.lasting:
            raise self._refused(change.refusal)
        after = await self._store.change(place, claim, change)
        if isinstance(after, Refusal):
            raise self._refused(after.code)
        if isinstance(after, Earlier):
            return await self._repeat(owner, place, claim, after)
        return await self._answer(owner, after, change.facts)

    def _if_matching(self, owner: CartOwner, change: Change, before: Contents, seen: Seen, if_match: str | None) -> Change:
        """The tag is that of the whole cart, which is what every request answers."""
        if etag(self._view(owner, _as_seen(before, seen), seen.facts)) != if_match:
            return replace(change, refusal="http.precondition_failed")
        return replace(change, version=before.version)

    async def _repeat(self, owner: CartOwner, place: Place, claim: Claim, earlier: Earlier) -> CartView:
        if not claim.lasting:  # a connection broke after the change: the caller does not know that we asked twice
            return await self._show(owner, await self._read(place))
        if earlier.digest != claim.digest:
            raise Refused("idempotency_key_reused", "This Idempotency-Key was used for another request.")
        calls.mark_replayed()
        if earlier.refusal is not None:
            raise self._refused(earlier.refusal)
        return await self._answer(owner, earlier.contents, earlier.facts)

    def _claim(self, owner: CartOwner, place: Place, op: str, arguments: list[object]) -> Claim:
        """A key belongs to the account, else to the guest's cart. Without either it has to be a secret by itself."""
        key = calls.current().key
        known = owner.account_id is not None or place.fresh != ""  # which only a token of ours has
        if key is None or not (known or is_secret(key.partition(":")[2] or key)):
            return Claim(f"{self._process}:{next(self._numbers)}", "", False)
        name = msgspec.msgpack.encode([place.id if known else None, op, key])
        return Claim(hashlib.blake2b(name, digest_size=20).hexdigest(), digest(arguments).hex(), True)

    def _refused(self, code: str) -> MarketplaceError:
        if code == "validation":
            return Invalid([Problem("/variant_id", "not_found", "There is nothing for sale by that id.")])
        if code == "http.not_found":
            return NotFound("The cart has no such item.")
        if code == "http.precondition_failed":
            return PreconditionFailed()
        return Refused(
            code,
            {
                "cart.currency_mismatch": "A cart has one currency; order or remove what is in it first.",
                "cart.line_limit": f"A cart has at most {self._config.line_limit} different items.",
                "cart.quantity_limit": f"A cart has at most {self._config.quantity_limit} units of an item.",
            }[code],
        )

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    def _place(self, owner: CartOwner) -> Place:
        if owner.account_id is not None:
            return Place(owner.account_id, "", False, self._config.account_days * DAY, 0)
        known = None if owner.token is None else self._tokens.read(owner.token)
        life = self._config.guest_days * DAY
        counting = life + COUNTING_DAYS * DAY
        if known is None:
            return Place(new_id(), "", False, life, counting)
        return Place(known, new_id(), born(known) < time.time() - counting, life, counting)

    async def _read(self, place: Place) -> Contents:
        found = await self._store.read(place)
        if isinstance(found, Earlier):
            raise TypeError("nothing was claimed")
        return found

    async def _views(self, ids: Iterable[str]) -> dict[str, VariantView]:
        wanted = list(dict.fromkeys(ids))
        return {view.id: view for view in await self._catalog.get_variants(wanted)} if wanted else {}

    async def _show(self, owner: CartOwner, contents: Contents) -> CartView:
        """The cart with prices of now; what is another than before is told this once."""
        seen = observe(contents.lines, contents.currency, await self._views(contents.lines))
        if seen.snapshots:
            await self._store.remember(contents.id, seen.snapshots)
        return self._view(owner, _as_seen(contents, seen), seen.facts)

    async def _answer(self, owner: CartOwner, contents: Contents, facts: Mapping[str, Fact]) -> CartView:
        """``facts`` lack a line that somebody else has added meanwhile."""
        if late := {variant_id: line for variant_id, line in contents.lines.items() if variant_id not in facts}:
            facts = {**facts, **observe(late, contents.currency, await self._views(late)).facts}
        return self._view(owner, contents, facts)

    def _view(self, owner: CartOwner, contents: Contents, facts: Mapping[str, Fact]) -> CartView:
        token = None if owner.account_id is not None else self._tokens.issue(contents.id)
        return cart_view(contents, facts, token, self._currency, self._url)


def _as_seen(contents: Contents, seen: Seen) -> Contents:
    lines = {
        variant_id: line._replace(snapshot=seen.snapshots.get(variant_id, line.snapshot))
        for variant_id, line in contents.lines.items()
    }
    return Contents(contents.id, lines, contents.currency, contents.version)


def _adding(change: Change, view: VariantView | None) -> Change:
    """With what the line is to show of the variant."""
    if view is None or not view.buyable or view.price is None:
        return replace(change, refusal="validation")
    facts = dict(change.facts)
    facts.setdefault(view.id, Fact(max(view.available, 0), True))
    return replace(change, facts=facts, snapshot=snapshot(view, view.price), currency=view.price.currency)
