"""What sellers do in a worker."""

from __future__ import annotations

from datetime import timedelta

from marketplace_core.hookspecs import Job, Schedule
from marketplace_sellers.logos import MakeLogo
from marketplace_sellers.service import SellersService

__all__ = ["JOBS", "SCHEDULES", "SUBSCRIPTIONS"]

SUBSCRIPTIONS = (
    SellersService.on_product_changed,
    SellersService.on_seller_changed,
    SellersService.on_seller_rated,
    SellersService.on_picture_decided,
)

JOBS = (Job("sellers.make_logo", SellersService.make_logo, MakeLogo),)

SCHEDULES = (Schedule("sellers.sweep_pictures", SellersService.sweep_pictures, timedelta(days=1)),)
