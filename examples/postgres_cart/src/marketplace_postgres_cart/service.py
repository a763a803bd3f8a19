"""Use cases of carts. A change is one transaction, which begins with the cart's row; the catalogue is asked before it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Literal, NamedTuple

from msgspec import Struct

from marketplace_core import calls
from marketplace_core.capabilities.cart import AddItem, Cart, CartLines, CartOwner, CartView
from marketplace_core.capabilities.catalog import Catalog, LineRequest, VariantView
from marketplace_core.errors import Invalid, PreconditionFailed, Problem
from marketplace_core.ports import UnitOfWork, Units, command_after, natural
from marketplace_core.values import etag, new_id
from marketplace_postgres_cart.config import PostgresCartConfig
from marketplace_postgres_cart.domain import CartState, CartTokens, Limits, is_secret
from marketplace_postgres_cart.store import CartStore
from marketplace_postgres_cart.views import Fact, cart_view, observe, shown

__all__ = ["PostgresCartService"]


class Asked(NamedTuple):
    """Variants that the catalogue was asked about, and those that it knows."""

    ids: set[str]
    views: dict[str, VariantView]


class Edit(Struct, frozen=True):
    """``quantity`` is added, or set (0 removes). ``if_match``: only of a cart with this entity tag."""

    op: Literal["add", "set"]
    variant_id: str
    quantity: int
    if_match: str | None = None


class Kept(Struct, frozen=True):
    """A change's answer as it is stored under its key: all but the guest's token, which no table has to know."""

    cart: CartState
    facts: dict[str, Fact]


class PostgresCartService(Cart):
    """An account's cart has the account's id; a guest's has one that only its token tells."""

    def __init__(
        self,
        units: Units,
        store: CartStore,
        catalog: Catalog,
        config: PostgresCartConfig,
        *,
        currency: str,
        token_keys: Sequence[bytes],
    ) -> None:
        """``currency``: that of an empty cart's zero."""
        self.units = units
        self._store = store
        self._catalog = catalog
        self._config = config
        self._limits = Limits(config.line_limit, config.quantity_limit)
        self._currency = currency
        self._tokens = CartTokens(token_keys)

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    async def get_cart(self, owner: CartOwner) -> CartView:
        cart = await self._read(self._id(owner))
        asked = await self._ask(line.variant_id for line in cart.lines)
        facts, changed = observe(cart, asked.views, asked.ids)
        if changed:
            await self._remember(cart.id, asked)
        return self._view(owner, cart, facts)

    async def get_lines(self, owner: CartOwner) -> CartLines | None:
        cart = await self._read(self._id(owner))
        lines = [LineRequest(line.variant_id, line.quantity) for line in cart.lines]
        return CartLines(cart.id, lines) if lines else None

    @natural
    async def _remember(self, uow: UnitOfWork, cart_id: str, asked: Asked) -> None:
        """What the shopper is shown, so that a changed price is told once."""
        [cart] = await self._store.lock(uow, [cart_id])
        observe(cart, asked.views, asked.ids)
        await self._store.save(uow, cart)

    # ── changing ─────────────────────────────────────────────────────────────────────────────────────────────

    async def add_item(self, owner: CartOwner, item: AddItem) -> CartView:
        return await self._edit(owner, Edit("add", item.variant_id, item.quantity))

    async def set_quantity(self, owner: CartOwner, variant_id: str, quantity: int, if_match: str | None = None) -> CartView:
        return await self._edit(owner, Edit("set", variant_id, quantity, None if if_match == "*" else if_match))

    async def _edit(self, owner: CartOwner, edit: Edit) -> CartView:
        with self._claimed(owner):
            return await self._answer(owner, await self._change(owner, edit))

    async def _ask_before(self, owner: CartOwner, edit: Edit) -> Asked:
        cart = await self._read(self._id(owner))
        return await self._ask([*(line.variant_id for line in cart.lines), edit.variant_id])

    @command_after(_ask_before)
    async def _change(self, uow: UnitOfWork, asked: Asked, owner: CartOwner, edit: Edit) -> Kept:
        view = asked.views.get(edit.variant_id)
        if edit.op == "add" and (view is None or not view.buyable or view.price is None):
            raise Invalid([Problem("/variant_id", "not_found", "There is nothing for sale by that id.")])
        cart = await self._lock(uow, self._id(owner))
        facts, _ = observe(cart, asked.views, asked.ids)
        if edit.if_match is not None and edit.if_match != self._tag(owner, cart, facts):
            raise PreconditionFailed
        if edit.op == "set":
            cart.set(edit.variant_id, edit.quantity, self._limits)
        elif view is not None and view.price is not None:
            cart.add(edit.variant_id, edit.quantity, shown(view, view.price), self._limits)
            facts.setdefault(view.id, Fact(max(view.available, 0), True))
        await self._store.save(uow, cart)
        return Kept(cart, facts)

    async def _lock(self, uow: UnitOfWork, cart_id: str | None) -> CartState:
        if cart_id is not None:
            [cart] = await self._store.lock(uow, [cart_id])
            if cart.moved_to is None:
                return cart
        return CartState(new_id(), [])

    def _tag(self, owner: CartOwner, cart: CartState, facts: dict[str, Fact]) -> str | None:
        """That of the whole cart, which is what every request answers; None if somebody has added to it just now."""
        known = all(line.variant_id in facts for line in cart.lines)
        return etag(self._view(owner, cart, facts)) if known else None

    # ── moving and selling ───────────────────────────────────────────────────────────────────────────────────

    async def merge(self, token: str, account_id: str) -> None:
        guest_id = self._tokens.read(token)
        if guest_id is not None:
            await self._merge(guest_id, account_id)

    @natural
    async def _merge(self, uow: UnitOfWork, guest_id: str, account_id: str) -> None:
        guest, own = await self._store.lock(uow, [guest_id, account_id])
        if guest.moved_to is None:
            own.take(guest, self._limits)
            await self._store.save(uow, guest)
            await self._store.save(uow, own)

    @natural
    async def remove_bought(self, uow: UnitOfWork, cart_id: str, order_id: str, lines: list[LineRequest]) -> None:
        if await self._store.claim_order(uow, order_id):
            cart = await self._lock_last(uow, cart_id)
            taken = cart.take_out((line.variant_id, line.quantity) for line in lines)
            await self._store.note_order(uow, order_id, taken)
            await self._store.save(uow, cart)

    @natural
    async def put_back(self, uow: UnitOfWork, cart_id: str, order_id: str, lines: list[LineRequest]) -> None:
        if taken := await self._store.take_order(uow, order_id):
            cart = await self._lock_last(uow, cart_id)
            cart.put_in(taken, self._limits)
            await self._store.save(uow, cart)

    async def _lock_last(self, uow: UnitOfWork, cart_id: str) -> CartState:
        """The cart, or the account's that took it."""
        [cart] = await self._store.lock(uow, [cart_id])
        if cart.moved_to is not None:
            [cart] = await self._store.lock(uow, [cart.moved_to])
        return cart

    @natural
    async def expire(self, uow: UnitOfWork) -> None:
        await self._store.expire(uow, uow.now - timedelta(days=self._config.days))

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    def _id(self, owner: CartOwner) -> str | None:
        """None: a guest whom we do not know."""
        if owner.account_id is not None:
            return owner.account_id
        return None if owner.token is None else self._tokens.read(owner.token)

    def _claimed(self, owner: CartOwner) -> contextlib.AbstractContextManager[object]:
        """The call's key counts for whom we know; of a stranger, only one that is a secret by itself."""
        key = calls.current().key
        if key is None or self._id(owner) is not None or is_secret(key):
            return contextlib.nullcontext()
        return calls.keyless()

    async def _read(self, cart_id: str | None) -> CartState:
        """A new one for a stranger, and for a guest whose cart has gone into an account's."""
        cart = None if cart_id is None else await self._store.get(cart_id)
        return CartState(new_id(), []) if cart is None or cart.moved_to is not None else cart

    async def _ask(self, variant_ids: Iterable[str]) -> Asked:
        ids = list(dict.fromkeys(variant_ids))
        views = await self._catalog.get_variants(ids) if ids else []
        return Asked(set(ids), {view.id: view for view in views})

    async def _answer(self, owner: CartOwner, kept: Kept) -> CartView:
        """The facts lack a line that somebody else has added while we asked."""
        cart, facts = kept.cart, kept.facts
        if late := [line.variant_id for line in cart.lines if line.variant_id not in facts]:
            asked = await self._ask(late)
            facts = {**facts, **observe(cart, asked.views, asked.ids)[0]}
        return self._view(owner, cart, facts)

    def _view(self, owner: CartOwner, cart: CartState, facts: dict[str, Fact]) -> CartView:
        token = None if owner.account_id is not None else self._tokens.issue(cart.id)
        return cart_view(cart, facts, token, self._currency)
