"""The store port of carts: what is kept, and what a store guarantees by itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from marketplace_core.capabilities.catalog import LineRequest

__all__ = ["CartStore", "Change", "Claim", "Contents", "Earlier", "Fact", "Line", "Place", "Refusal", "Snapshot"]


class Snapshot(Struct, frozen=True, array_like=True, gc=False):
    """A variant as it was last shown to the shopper; ``price`` in minor units."""

    product_id: str
    seller_id: str
    sku: str
    title: str
    options: dict[str, str]
    image: str | None
    price: int
    currency: str


class Line(NamedTuple):
    """``snapshot`` is an encoded :class:`Snapshot`."""

    quantity: int
    snapshot: bytes


class Fact(Struct, frozen=True, array_like=True, gc=False):
    """What was found out about a line for one answer. ``was``: the price shown before, where it is another now."""

    available: int
    buyable: bool
    was: int | None = None


class Place(NamedTuple):
    """Which cart is meant: ``id``, or ``fresh`` where ``id`` is dead. ``life``: seconds that it is kept after its last use.

    A guest's is dead once it has gone into an account's cart. ``fresh`` is empty for a cart that cannot go anywhere.
    ``counting``: seconds after its last use for which its events are counted on; 0: for ever. An ``aged`` one is older than
    that, and dead if they are not.
    """

    id: str
    fresh: str
    aged: bool
    life: int
    counting: int


class Claim(Struct, frozen=True):
    """One change, which is made once. ``lasting``: its answer is kept for as long as clients repeat; else it only keeps
    a connection that breaks from making the change twice."""

    key: str
    digest: str
    lasting: bool


class Contents(Struct):
    """A cart. ``lines`` by variant, in the order in which they were added; ``currency`` None and ``version`` 0 without any."""

    id: str
    lines: dict[str, Line]
    currency: str | None
    version: int


class Earlier(Struct):
    """A claim that was used: what came of it, as it was then. ``contents`` and ``facts`` only of a lasting one."""

    digest: str
    refusal: str | None
    contents: Contents
    facts: dict[str, Fact]


class Refusal(NamedTuple):
    code: str


class Change(Struct, frozen=True, kw_only=True):
    """``quantity`` is added, or set (0 removes). ``snapshot`` and ``currency`` are those of a variant that is added.

    ``refusal``: the claim's answer is this code and nothing changes. ``version``: only of a cart of this version.
    ``snapshots`` are written over those of lines that are there. ``facts`` are kept with a lasting claim.
    """

    op: Literal["add", "set"]
    variant_id: str
    quantity: int
    facts: Mapping[str, Fact]
    snapshots: Mapping[str, bytes]
    snapshot: bytes = b""
    currency: str = ""
    version: int | None = None
    refusal: str = ""


class CartStore(ABC):
    """Each method is one atomic step. A cart without lines takes no room: it is there when something is added."""

    @abstractmethod
    async def read(self, place: Place, claim: Claim | None = None) -> Contents | Earlier:
        """The cart, or what came of ``claim`` if that was used before."""

    @abstractmethod
    async def change(self, place: Place, claim: Claim, change: Change) -> Contents | Earlier | Refusal:
        """Claim and change. A refusal (a limit, another currency, no such line, another version) is an answer too."""

    @abstractmethod
    async def remember(self, cart_id: str, snapshots: Mapping[str, bytes]) -> None:
        """What the shopper is shown now, of lines that are still there."""

    @abstractmethod
    async def merge(self, guest_id: str, account_id: str) -> None:
        """Move a guest's lines, in their order, as far as currency and limits allow; ``guest_id`` is dead then.

        Lines of the account stay as they are. Once: a dead id does nothing.
        """

    @abstractmethod
    async def remove_bought(self, cart_id: str, order_id: str, lines: Sequence[LineRequest]) -> None:
        """Take these units out, once per order, also of a cart that has gone into an account's meanwhile."""

    @abstractmethod
    async def put_back(self, cart_id: str, order_id: str) -> None:
        """Put what was taken out for the order back, once, as far as currency and limits allow, and where it stood.

        From now on nothing is taken out for it.
        """
