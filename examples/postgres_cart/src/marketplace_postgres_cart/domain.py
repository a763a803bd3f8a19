"""What a cart is, and who may open a guest's. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from marketplace_core.errors import NotFound, Refused
from marketplace_core.values import Money

__all__ = ["CartState", "CartTokens", "Limits", "Line", "Shown", "is_secret"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A variant as the shopper saw it last: what the line says once the variant is gone."""

    product_id: str
    seller_id: str
    sku: str
    title: str
    options: dict[str, str]
    image: str | None
    price: Money


@dataclass
class Line:
    variant_id: str
    quantity: int
    shown: Shown


@dataclass(frozen=True)
class Limits:
    lines: int
    quantity: int


@dataclass
class CartState:
    """``lines`` in the order in which they were added. ``moved_to``: a guest's cart is dead, and this account has its lines."""

    id: str
    lines: list[Line]
    moved_to: str | None = None

    @property
    def currency(self) -> str | None:
        return self.lines[0].shown.price.currency if self.lines else None

    def find(self, variant_id: str) -> Line | None:
        return next((line for line in self.lines if line.variant_id == variant_id), None)

    def add(self, variant_id: str, quantity: int, shown: Shown, limits: Limits) -> None:
        """:raises Refused: ``cart.currency_mismatch``, ``cart.line_limit``, ``cart.quantity_limit``."""
        if self.currency not in {None, shown.price.currency}:
            raise Refused("cart.currency_mismatch", "A cart has one currency; order or remove what is in it first.")
        line = self.find(variant_id)
        if line is None:
            if len(self.lines) >= limits.lines:
                raise Refused("cart.line_limit", f"A cart has at most {limits.lines} different items.")
            line = Line(variant_id, 0, shown)
            self.lines.append(line)
        line.shown = shown
        self._put(line, line.quantity + quantity, limits)

    def set(self, variant_id: str, quantity: int, limits: Limits) -> None:
        """0 removes. :raises NotFound: :raises Refused: ``cart.quantity_limit``."""
        line = self.find(variant_id)
        if line is None:
            raise NotFound("The cart has no such item.")
        self._put(line, quantity, limits)

    def _put(self, line: Line, quantity: int, limits: Limits) -> None:
        if quantity > limits.quantity:
            raise Refused("cart.quantity_limit", f"A cart has at most {limits.quantity} units of an item.")
        line.quantity = quantity
        self._sweep()

    def take(self, guest: CartState, limits: Limits) -> None:
        """A guest's lines; the guest's cart is dead then."""
        self.put_in(guest.lines, limits)
        guest.lines, guest.moved_to = [], self.id

    def put_in(self, lines: list[Line], limits: Limits) -> None:
        """As far as currency and limits allow. What is there never loses a unit."""
        if not lines or self.currency not in {None, lines[0].shown.price.currency}:
            return
        for line in lines:
            own = self.find(line.variant_id)
            if own is not None:
                own.quantity = max(own.quantity, min(own.quantity + line.quantity, limits.quantity))
            elif len(self.lines) < limits.lines:
                self.lines.append(Line(line.variant_id, min(line.quantity, limits.quantity), line.shown))

    def take_out(self, wanted: Iterable[tuple[str, int]]) -> list[Line]:
        """As many units of each variant as there are, and which they were."""
        taken = []
        for variant_id, quantity in wanted:
            if (line := self.find(variant_id)) is not None:
                units = min(quantity, line.quantity)
                line.quantity -= units
                taken.append(Line(variant_id, units, line.shown))
        self._sweep()
        return taken

    def _sweep(self) -> None:
        self.lines = [line for line in self.lines if line.quantity > 0]


class CartTokens:
    """A guest's token is its cart's id, signed: nobody else can make one, and an empty cart needs no row."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """The first makes tokens; each knows its own."""
        self._keys = keys

    def issue(self, cart_id: str) -> str:
        return f"{cart_id}.{self._mac(cart_id, self._keys[0])}"

    def read(self, token: str) -> str | None:
        """The cart's id, or None for what this deployment has not issued."""
        cart_id, _, mac = token.partition(".")
        ours = [hmac.compare_digest(mac.encode(), self._mac(cart_id, key).encode()) for key in self._keys]
        return cart_id if any(ours) else None

    def _mac(self, cart_id: str, key: bytes) -> str:
        return hashlib.blake2b(cart_id.encode(), key=key, digest_size=24).hexdigest()


def is_secret(key: str) -> bool:
    """Whether an idempotency key can be nobody else's by chance.

    A guest without a token has no scope of its own, and the answer to a repeat holds the token of a cart.
    """
    return len(key.partition(":")[2] or key) >= 16  # after the route's name
