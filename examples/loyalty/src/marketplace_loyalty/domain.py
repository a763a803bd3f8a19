"""What counts, and what it earns. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

from marketplace_core.values import Money

__all__ = ["Ladder", "Parcel", "Purchase", "Tier", "part"]


@dataclass(frozen=True)
class Tier:
    """``spent``: minor units by currency from which it is reached."""

    name: str
    percent: int
    spent: dict[str, int]


class Ladder:
    """Tiers from the lowest to the highest."""

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self._tiers = tiers

    def reached(self, spent: Money) -> Tier | None:
        """The highest; a tier that says nothing of a currency is not reached in it."""
        return next((tier for tier in reversed(self._tiers) if self.missing(tier, spent) == 0), None)

    def following(self, spent: Money) -> Tier | None:
        """The lowest that is not reached, and can be."""
        return next((tier for tier in self._tiers if self.missing(tier, spent)), None)

    @staticmethod
    def missing(tier: Tier, spent: Money) -> int | None:
        wanted = tier.spent.get(spent.currency)
        return None if wanted is None else max(wanted - spent.amount, 0)


def part(money: Money, percent: int) -> Money:
    """Half even to the minor unit."""
    amount = (Decimal(money.amount) * percent / 100).quantize(Decimal(1), rounding=ROUND_HALF_EVEN)
    return Money(int(amount), money.currency)


@dataclass
class Parcel:
    """``worth``: what was paid for the goods in it, in minor units."""

    package_id: str = ""
    worth: int = 0
    returned: bool = False


@dataclass
class Purchase:
    """An account's order. ``received`` are its packages that have arrived; ``counted`` is what the account has for it.

    That a parcel came back may be heard of before it is heard that it went out.
    """

    account_id: str | None = None
    currency: str = ""
    parcels: dict[str, Parcel] = field(default_factory=dict)
    received: list[str] = field(default_factory=list)
    counted: int = 0

    def confirm(self, account_id: str, currency: str) -> None:
        self.account_id, self.currency = account_id, currency

    def send(self, parcel_id: str, package_id: str, worth: int) -> None:
        parcel = self.parcels.setdefault(parcel_id, Parcel())
        parcel.package_id, parcel.worth = package_id, worth

    def receive(self, package_id: str) -> None:
        self.received.append(package_id)

    def take_back(self, parcel_id: str) -> None:
        self.parcels.setdefault(parcel_id, Parcel()).returned = True

    def count(self) -> int:
        """What the account's sum changes by."""
        if self.account_id is None:
            return 0
        kept = (parcel for parcel in self.parcels.values() if parcel.package_id in self.received and not parcel.returned)
        before, self.counted = self.counted, sum(parcel.worth for parcel in kept)
        return self.counted - before
