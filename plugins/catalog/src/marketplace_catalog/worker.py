"""What the catalogue does in a worker."""

from __future__ import annotations

from datetime import timedelta

from marketplace_catalog.pictures import FetchPictures
from marketplace_catalog.service import CatalogService
from marketplace_core.hookspecs import Job, Schedule

__all__ = ["JOBS", "SCHEDULES", "SUBSCRIPTIONS"]

SUBSCRIPTIONS = (
    CatalogService.on_product_changed,
    CatalogService.on_seller_changed,
    CatalogService.on_product_rated,
    CatalogService.on_package_shipped,
    CatalogService.on_items_cancelled,
    CatalogService.on_content_decided,
    CatalogService.on_content_appealed,
    CatalogService.on_picture_decided,
)

JOBS = (Job("catalog.fetch_pictures", CatalogService.fetch_pictures, FetchPictures),)

SCHEDULES = (
    Schedule("catalog.expire_reservations", CatalogService.expire_reservations, timedelta(seconds=5)),
    Schedule("catalog.forget_reservations", CatalogService.forget_reservations, timedelta(hours=1)),
    Schedule("catalog.sweep_pictures", CatalogService.sweep_pictures, timedelta(days=1)),
)
