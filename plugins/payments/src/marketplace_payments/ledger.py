"""The ledger: double entry, append-only, one balanced set per fact. Pure.

Accounts, and what a positive amount in each means:

=============================  =======================================================================================
``gateway``                    money that left the gateway for us; its negative balance is what buyers paid and nobody got
``seller:<id>:pending``        owed to a seller for what is sent, until the order is completed
``seller:<id>:available``      owed to a seller, to be paid out
``seller:<id>:paid_out``       was paid out
``commission``                 the marketplace's own
``discounts``                  its negative balance is what the marketplace paid sellers for discounts of its own
``shipping`` · ``tax``         shipping and tax where the marketplace keeps them (to pay carriers and tax offices)
=============================  =======================================================================================

By default the seller keeps shipping and tax: it is the seller who hands the parcel over and whose sale is taxed, and
what orders show as a package's ``net`` is its total less the commission, and ``discounts`` added. ``shipping_to`` and
``tax_to`` say otherwise.
The seller's entries of one set are told apart by their type, so that a statement can be read off them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from marketplace_core.values import Money

__all__ = ["Entry", "EntrySet", "Unbalanced", "account", "release", "sale"]


class Unbalanced(ValueError):
    """The entries of a set do not sum to zero."""


@dataclass(frozen=True)
class Entry:
    account: str
    type: str
    amount: Money


@dataclass(frozen=True)
class EntrySet:
    """The entries of one fact. ``id`` is the fact's: the same fact is posted once."""

    id: str
    order_id: str
    package_id: str
    entries: Sequence[Entry]

    def total(self, name: str) -> int:
        """What the set moves on one account, in minor units."""
        return sum(entry.amount.amount for entry in self.entries if entry.account == name)


def account(seller_id: str, state: str) -> str:
    return f"seller:{seller_id}:{state}"


def sale(
    fact: tuple[str, str, str, str],
    amount: Money,
    commission: Money,
    shipping: Money,
    tax: Money,
    subsidy: Money,
    *,
    shipping_to: str,
    tax_to: str,
) -> EntrySet:
    """A package's money was captured. ``fact``: operation, order, package, seller.

    The seller has sold for ``subsidy`` more than the buyer paid: the marketplace adds it.
    """
    id_, order_id, package_id, seller_id = fact
    seller = account(seller_id, "pending")
    return _set(
        id_,
        order_id,
        package_id,
        [
            Entry("gateway", "sale", -amount),
            Entry("discounts", "sale", -subsidy),
            Entry(seller, "sale", amount + subsidy - shipping - tax),
            Entry(seller if shipping_to == "seller" else "shipping", "shipping", shipping),
            Entry(seller if tax_to == "seller" else "tax", "tax", tax),
            Entry(seller, "commission", -commission),
            Entry("commission", "commission", commission),
        ],
    )


def release(set_id: str, order_id: str, package_id: str, seller_id: str, amount: Money) -> EntrySet:
    """The order is completed: what a sale left the seller can be paid out."""
    return _set(
        f"{set_id}/release",
        order_id,
        package_id,
        [
            Entry(account(seller_id, "pending"), "release", -amount),
            Entry(account(seller_id, "available"), "release", amount),
        ],
    )


def _set(id_: str, order_id: str, package_id: str, entries: Iterable[Entry]) -> EntrySet:
    """:raises Unbalanced:"""
    kept = tuple(entry for entry in entries if entry.amount.amount)
    sums: dict[str, int] = {}
    for entry in kept:
        sums[entry.amount.currency] = sums.get(entry.amount.currency, 0) + entry.amount.amount
    if any(sums.values()):
        raise Unbalanced(f"the entries of the set {id_} sum to {sums}")
    return EntrySet(id_, order_id, package_id, kept)
