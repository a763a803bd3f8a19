"""Rules of applications and shops: what an application still needs, who may decide it, and how names are compared. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

__all__ = [
    "COMPUTED",
    "Application",
    "NotPossible",
    "Rate",
    "Requirement",
    "Shop",
    "accept",
    "begin",
    "decide",
    "rate_text",
    "rates_in_force",
    "reject",
    "shop_slug",
    "submit",
]

ACCEPTED = "accepted"
#: ISO 3166 gives this code to nobody.
NO_COUNTRY = "XX"
_SETTLED = frozenset({"accepted", "waived"})
_UNDECIDED = frozenset({"draft", "submitted"})
_DECIDED = {"accept": "accepted", "reject": "rejected", "waive": "waived"}
_UNSAFE = re.compile(r"[^a-z0-9]+")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


class NotPossible(Exception):
    """The state does not allow it; the text says why."""


# ── applications ─────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Requirement:
    """``value`` is what the applicant submitted, ``detail`` what an operator or a computation said of it."""

    key: str
    kind: str
    status: str = "open"
    detail: str | None = None
    value: str | None = None


@dataclass
class Application:
    """``seller_id``: the shop that it became."""

    id: str
    account_id: str
    name: str
    legal_name: str
    country: str
    contact_email: str
    created_at: datetime
    requirements: list[Requirement]
    status: str = "draft"
    reason: str | None = None
    seller_id: str | None = None


def _contact_email(application: Application) -> str | None:
    return None if _EMAIL.fullmatch(application.contact_email) else "This is not an e-mail address."


#: What can be worked out of an application: None, or what is wrong.
COMPUTED: Mapping[str, Callable[[Application], str | None]] = {"contact_email": _contact_email}


def begin(application: Application) -> None:
    """Work out what can be, and how far the application is by that."""
    for requirement in application.requirements:
        if requirement.kind == "computed":
            requirement.detail = COMPUTED[requirement.key](application)
            requirement.status = "rejected" if requirement.detail else ACCEPTED
    _settle(application)


def submit(application: Application, requirement: Requirement, value: str) -> None:
    """The applicant's part of a requirement. Saying it again changes nothing.

    :raises NotPossible: it is not the applicant's, or it is decided.
    """
    _check_undecided(application)
    if requirement.kind == "computed":
        raise NotPossible(f"The requirement {requirement.key!r} is worked out by itself.")
    if requirement.kind == "attested":
        requirement.status, requirement.detail = ACCEPTED, None
    elif requirement.status in _SETTLED:
        raise NotPossible(f"The requirement {requirement.key!r} is {requirement.status} already.")
    else:
        requirement.status, requirement.detail = "submitted", None
    requirement.value = value
    _settle(application)


def decide(application: Application, requirement: Requirement, decision: str, reason: str) -> None:
    """An operator's decision. What nobody has submitted can only be waived.

    :raises NotPossible: the application is decided, or there is nothing to decide on.
    """
    _check_undecided(application)
    if requirement.status == "open" and decision != "waive":
        raise NotPossible(f"The requirement {requirement.key!r} is not submitted yet; it can be waived.")
    requirement.status, requirement.detail = _DECIDED[decision], reason or None
    _settle(application)


def accept(application: Application) -> None:
    """Every requirement is fulfilled; what waits for an operator is accepted by that.

    :raises NotPossible: it is rejected, or something is open; names what.
    """
    _check_undecided(application)
    if unmet := [item.key for item in application.requirements if item.status in {"open", "rejected"}]:
        raise NotPossible(f"These requirements are not fulfilled: {', '.join(unmet)}.")
    for requirement in application.requirements:
        if requirement.status == "submitted":
            requirement.status = ACCEPTED
    application.status = "active"


def reject(application: Application, reason: str) -> None:
    """:raises NotPossible: it has become a shop, or is rejected already."""
    _check_undecided(application)
    application.status, application.reason = "rejected", reason or None


def _check_undecided(application: Application) -> None:
    if application.status not in _UNDECIDED:
        raise NotPossible(f"The application is {application.status} already.")


def _settle(application: Application) -> None:
    """It is submitted while nothing of it is up to the applicant."""
    theirs = (item for item in application.requirements if item.kind != "computed")
    waits = any(item.status in {"open", "rejected"} for item in theirs)
    application.status = "draft" if waits else "submitted"


# ── shops ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Shop:
    """``version`` counts its changes; only an ``active`` one sells. ``logo``: the key of the one that is shown; read, and
    never written, with the shop."""

    id: str
    name: str
    slug: str
    description: str
    status: str
    reason: str | None
    country: str
    version: int
    products_count: int
    created_at: datetime
    rating_average: float | None = None
    rating_count: int = 0
    logo: str | None = None


def shop_slug(name: str, id_: str) -> str:
    """A shop's address. It stays when the shop is renamed."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return f"{_UNSAFE.sub('-', plain)[:80].strip('-') or 'shop'}-{id_[-6:]}"


# ── commission ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Rate:
    """A commission; None means all sellers, or all categories."""

    seller_id: str | None
    category_id: str | None
    rate: str
    valid_from: datetime


def rates_in_force(rates: Iterable[Rate], seller_id: str, now: datetime) -> dict[str | None, Rate]:
    """By category: a seller's own rate before that of all, and of those the one that came into force last."""
    found: dict[str | None, Rate] = {}
    for rate in sorted(rates, key=lambda rate: (rate.seller_id is not None, rate.valid_from)):
        if rate.seller_id in {None, seller_id} and rate.valid_from <= now:
            found[rate.category_id] = rate
    return found


def rate_text(rate: str) -> str:
    """A decimal fraction as the API writes it: four places."""
    return f"{Decimal(rate):.4f}"
