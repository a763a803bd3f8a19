"""Values that every capability speaks in: money, ids, pages, callers and the clock.

Only the standard library, msgspec and the lists of ISO are used here, so that a plugin's ``domain.py`` can import this module.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import math
import re
import threading
import time
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from marketplace_core._runtime.entropy import random_bytes
from marketplace_core.codes import PLACES, WITHOUT_POSTAL_CODES, Country, CountryText, Currency, CurrencyText
from marketplace_core.errors import BadCursor, Invalid, Problem

__all__ = [
    "LARGEST_AMOUNT",
    "NOT_BLANK",
    "Address",
    "AddressInput",
    "Audience",
    "Caller",
    "Clock",
    "Country",
    "CountryText",
    "Currency",
    "CurrencyText",
    "Id",
    "Imported",
    "Money",
    "Page",
    "PageQuery",
    "SystemClock",
    "derived_id",
    "etag",
    "has_postal_code",
    "minor_units",
    "new_id",
    "seconds_of",
    "split_money",
    "tidy",
    "tidy_fields",
    "utc_text",
]

T = TypeVar("T")

Audience = Literal["buyer", "seller", "logistics", "admin"]
AUDIENCES: tuple[Audience, ...] = ("buyer", "seller", "logistics", "admin")

Id = Annotated[str, Meta(min_length=1, max_length=64)]

#: Of a text that says something, whatever stands around it.
NOT_BLANK = r"^\s*\S[\s\S]*\Z"


def tidy(text: str) -> str:
    """What is written alike is the same: in Unicode's form C, and without blanks around it."""
    return unicodedata.normalize("NFC", text).strip()


def tidy_fields(struct: Struct, *names: str) -> None:
    """For a struct's ``__post_init__``: these of its texts are :func:`tidy`, whoever made it."""
    for name in names:
        given = getattr(struct, name)
        if isinstance(given, str) and (tidied := tidy(given)) != given:
            msgspec.structs.force_setattr(struct, name, tidied)


#: The largest amount of money, in minor units: what JSON's readers can hold exactly. A sum may be larger by what is added to
#: goods, such as shipping.
LARGEST_AMOUNT = 2**53 - 1

# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────


class Money(Struct, frozen=True, order=False):
    """An amount in the currency's minor units (cents), with its ISO 4217 code.

    Adding or comparing two currencies is an error of the caller, never a conversion.
    """

    amount: int
    currency: CurrencyText

    def __add__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount + other.amount, self.currency)

    def __sub__(self, other: Money) -> Money:
        self._same(other)
        return Money(self.amount - other.amount, self.currency)

    def __mul__(self, count: int) -> Money:
        return Money(self.amount * count, self.currency)

    def __neg__(self) -> Money:
        return Money(-self.amount, self.currency)

    def __lt__(self, other: Money) -> bool:
        self._same(other)
        return self.amount < other.amount

    def __le__(self, other: Money) -> bool:
        self._same(other)
        return self.amount <= other.amount

    def _same(self, other: Money) -> None:
        if self.currency != other.currency:
            raise ValueError(f"{self.currency} and {other.currency} cannot be mixed")

    @staticmethod
    def zero(currency: str) -> Money:
        return Money(0, currency)

    @staticmethod
    def sum(parts: Iterable[Money], currency: str) -> Money:
        total = Money(0, currency)
        for part in parts:
            total = total + part
        return total


def minor_units(currency: str) -> int:
    """How many decimal places an amount of ``currency`` has."""
    return PLACES.get(currency, 2)


def split_money(total: Money, weights: Sequence[int]) -> list[Money]:
    """Split ``total`` in proportion to ``weights`` by the largest remainder, so that the parts add up exactly.

    Weights that are all zero share equally. Ties go to the earlier part.
    """
    if not weights:
        return []
    whole = sum(weights)
    shares = list(weights) if whole else [1] * len(weights)
    whole = whole or len(weights)
    sign = -1 if total.amount < 0 else 1
    amount = abs(total.amount)
    parts = [amount * share // whole for share in shares]
    remainders = sorted(range(len(shares)), key=lambda i: (-(amount * shares[i] % whole), i))
    for i in remainders[: amount - sum(parts)]:
        parts[i] += 1
    return [Money(sign * part, total.currency) for part in parts]


# ── ids and time ─────────────────────────────────────────────────────────────────────────────────────────────

_last_id = 0
_id_lock = threading.Lock()


def new_id() -> str:
    """A UUIDv7 (RFC 9562) as text: sortable by the time of its making, unique, strictly increasing in a process."""
    global _last_id  # noqa: PLW0603 - the counter that keeps ids of one millisecond in order
    with _id_lock:
        stamp = (time.time_ns() // 1_000_000) << 12
        _last_id = max(stamp, _last_id + 1)
        value = _last_id
    return _uuid7(value >> 12, value, int.from_bytes(random_bytes(8), "big"))


def derived_id(name: str) -> str:
    """The same UUIDv7 for the same ``name``, at time 0: for what is known by a key of another system.

    An import that is repeated finds by it what it made before, and knows it before it is made.
    """
    digest = hashlib.blake2b(name.encode(), digest_size=10).digest()
    return _uuid7(0, int.from_bytes(digest[:2], "big"), int.from_bytes(digest[2:], "big"))


def _uuid7(milliseconds: int, twelve: int, sixty_two: int) -> str:
    high = (milliseconds << 16) | 0x7000 | (twelve & 0xFFF)
    low = (sixty_two & 0x3FFF_FFFF_FFFF_FFFF) | 0x8000_0000_0000_0000
    text = f"{high:016x}{low:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def utc_text(at: datetime) -> str:
    """RFC 3339 in UTC, as the HTTP API writes times."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


_DURATION = re.compile(r"(?=.)(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)


def seconds_of(duration: str) -> float:
    """Of ``15d``, ``2h30m``, ``90s`` or ``90``. :raises ValueError: it is nothing of the kind."""
    match = _DURATION.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is no duration")
    days, hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


_UNTOLD_SECONDS = 0.3


class Clock(ABC):
    """The deployment's time. Nothing else tells the time where a rule depends on it."""

    @abstractmethod
    def now(self) -> datetime:
        """The time now, aware, in UTC."""

    def after(self, seconds: float) -> datetime:
        return self.now() + timedelta(seconds=seconds)

    async def rest(self, seconds: float) -> None:
        """Until so many seconds have passed, or the clock has been moved meanwhile. Of a clock that is told of no move: now
        and then before."""
        await asyncio.sleep(min(seconds, _UNTOLD_SECONDS))


class SystemClock(Clock):
    def now(self) -> datetime:
        return datetime.now(UTC)

    async def rest(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Imported(Struct, frozen=True):
    """What became of one item of an import; ``code`` and ``detail`` say why it was rejected."""

    status: Literal["written", "unchanged", "rejected"]
    code: str | None = None
    detail: str | None = None


# ── who calls ────────────────────────────────────────────────────────────────────────────────────────────────


class Caller(Struct, frozen=True, omit_defaults=True):
    """Who makes a call. An anonymous shopper has an audience and nothing else.

    ``account_id`` is the person; ``seller_id`` and ``carrier`` are what the person acts for on those audiences.
    ``api_key`` is the id of the key by which the person's program calls, which may do what is in ``scopes`` only.
    """

    audience: Audience | None = None
    account_id: str | None = None
    session_id: str | None = None
    roles: tuple[str, ...] = ()
    seller_id: str | None = None
    carrier: str | None = None
    api_key: str | None = None
    scopes: tuple[str, ...] = ()

    @property
    def principal(self) -> str:
        """The scope of idempotency keys: the account, else anonymous."""
        return self.account_id or "-"


# ── addresses ────────────────────────────────────────────────────────────────────────────────────────────────

Line = Annotated[str, Meta(min_length=1, max_length=200, pattern=NOT_BLANK)]
Text = Annotated[str, Meta(max_length=200)]


class Address(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A postal address as it is kept; ``country`` is ISO 3166-1 alpha-2."""

    name: Line
    line1: Line
    line2: Text = ""
    city: Line
    region: Text = ""
    postal_code: Annotated[str, Meta(max_length=20)] = ""
    country: CountryText
    phone: Annotated[str, Meta(max_length=40)] = ""


class AddressInput(Address, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address as somebody gives it: of a country that there is, and with a postal code where that has them."""

    country: Country

    def __post_init__(self) -> None:
        if not has_postal_code(self.postal_code, self.country):
            raise ValueError(f"Object missing required field `postal_code`: addresses in {self.country} have one")


def has_postal_code(postal_code: str, country: str) -> bool:
    """Whether there is one, where the country has them."""
    return bool(postal_code.strip()) or country in WITHOUT_POSTAL_CODES


# ── pages ────────────────────────────────────────────────────────────────────────────────────────────────────


class Page(Struct, Generic[T]):
    """One page of a list; ``next`` is the cursor of the page after it, or None."""

    items: list[T]
    next: str | None = None


class PageQuery(Struct, kw_only=True, frozen=True, forbid_unknown_fields=True):
    """What every list takes. Lists with filters subclass it; a cursor is bound to those filters."""

    limit: Annotated[int, Meta(ge=1)] = 20
    cursor: Annotated[str, Meta(max_length=2048)] | None = None

    @property
    def size(self) -> int:
        return min(self.limit, 100)

    def position(self, *types: type) -> tuple[Any, ...] | None:
        """The sort key after which this page begins, or None for the first page.

        :raises BadCursor: the cursor is broken, or was made for other filters or another sort.
        """
        if self.cursor is None:
            return None
        try:
            signature, *key = msgspec.msgpack.decode(base64.urlsafe_b64decode(self.cursor.encode() + b"=="))
        except (binascii.Error, msgspec.DecodeError, ValueError, TypeError, RecursionError):
            raise BadCursor() from None
        if signature != self._signature() or len(key) != len(types):
            raise BadCursor()
        if not all(isinstance(part, kind) and _storable(part) for part, kind in zip(key, types, strict=True)):
            raise BadCursor()
        return tuple(key)

    def page(self, rows: Sequence[T], key: Callable[[T], tuple[Any, ...]]) -> Page[T]:
        """Make the page from ``size + 1`` rows; ``key`` gives the sort key that the next page starts after."""
        items = list(rows[: self.size])
        more = len(rows) > self.size
        return Page(items, self.cursor_after(key(items[-1])) if more else None)

    def cursor_after(self, key: tuple[Any, ...]) -> str:
        """The cursor of a page that starts after ``key``: what :meth:`position` gives of it."""
        raw = msgspec.msgpack.encode([self._signature(), *key])
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    def _signature(self) -> str:
        plain = {name: getattr(self, name) for name in self.__struct_fields__ if name not in ("limit", "cursor")}
        raw = msgspec.msgpack.encode([type(self).__name__, plain], order="deterministic")
        return hashlib.blake2b(raw, digest_size=6).hexdigest()


def _storable(part: Any) -> bool:
    """What a forged cursor may hold must not fail in a store."""
    if isinstance(part, str):
        return "\0" not in part
    if isinstance(part, float):
        return math.isfinite(part)
    return not isinstance(part, int) or -(2**63) <= part < 2**63


def etag(value: Any) -> str:
    """The entity tag of a representation: a digest of its JSON, quoted as HTTP wants it."""
    raw = value if isinstance(value, bytes) else msgspec.json.encode(value)
    return f'"{hashlib.blake2b(raw, digest_size=12).hexdigest()}"'


def require(condition: bool, pointer: str, code: str, detail: str) -> None:
    """Raise :class:`Invalid` for one field unless ``condition`` holds."""
    if not condition:
        raise Invalid([Problem(pointer, code, detail)])
