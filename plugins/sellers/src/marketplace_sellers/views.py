"""How records leave the service: to applicants, members, shoppers and operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from marketplace_core.capabilities.catalog import Rating
from marketplace_core.capabilities.sellers import (
    AdminApplication,
    AdminSeller,
    Application,
    Commission,
    SellerPage,
    SellerTerms,
    Shop,
)
from marketplace_sellers import domain
from marketplace_sellers.domain import Rate, rate_text, rates_in_force

__all__ = ["admin_application", "admin_seller", "application", "page", "shop", "terms"]


def application(record: domain.Application) -> Application:
    return msgspec.convert(record, Application, from_attributes=True)


def admin_application(record: domain.Application, takes_over: str | None) -> AdminApplication:
    """With what an operator decides by."""
    return AdminApplication(
        **msgspec.structs.asdict(application(record)),
        account_id=record.account_id,
        legal_name=record.legal_name,
        country=record.country,
        contact_email=record.contact_email,
        submitted={item.key: item.value for item in record.requirements if item.value is not None},
        takes_over=takes_over,
    )


def shop(record: domain.Shop, rates: Sequence[Rate], default: str, now: datetime) -> Shop:
    """``commission``: what is in force now, that of all categories first."""
    found = rates_in_force(rates, record.id, now)
    general = found.pop(None, Rate(None, None, default, record.created_at))
    others = sorted(found.values(), key=lambda rate: rate.category_id or "")
    return Shop(
        id=record.id,
        name=record.name,
        slug=record.slug,
        description=record.description,
        status=record.status,  # type: ignore[arg-type]
        commission=[Commission(rate.category_id, rate_text(rate.rate), rate.valid_from) for rate in (general, *others)],
        payout_account=None,
        country=None if record.country == domain.NO_COUNTRY else record.country,
    )


def terms(record: domain.Shop, rates: Sequence[Rate], default: str, now: datetime) -> SellerTerms:
    """The rate of all categories; one for a category is not asked for here."""
    found = rates_in_force(rates, record.id, now).get(None)
    return SellerTerms(record.id, record.name, rate_text(found.rate if found else default), record.country)


def page(record: domain.Shop, url: Callable[[str], str]) -> SellerPage:
    return SellerPage(
        id=record.id,
        name=record.name,
        description=record.description,
        logo=record.logo and url(record.logo),
        rating=Rating(record.rating_average, record.rating_count),
        products_count=record.products_count,
        on_holiday=record.status == "holiday",
    )


def admin_seller(record: domain.Shop) -> AdminSeller:
    return msgspec.convert(record, AdminSeller, from_attributes=True)
