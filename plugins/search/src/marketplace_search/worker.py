"""What the search does in a worker."""

from __future__ import annotations

from datetime import timedelta

from marketplace_core.hookspecs import Schedule, Task
from marketplace_search.service import SearchService

__all__ = ["SCHEDULES", "SUBSCRIPTIONS", "TASKS"]

SUBSCRIPTIONS = (
    SearchService.on_product_changed,
    SearchService.on_stock_changed,
    SearchService.on_product_rated,
    SearchService.on_seller_changed,
)

SCHEDULES = (Schedule("search.forget", SearchService.forget, timedelta(days=1)),)

TASKS = (Task("search.keep_index", SearchService.keep_index),)
