"""What carts do in a worker."""

from __future__ import annotations

from datetime import timedelta

from marketplace_core.hookspecs import Schedule
from marketplace_postgres_cart.service import PostgresCartService

__all__ = ["SCHEDULES"]

SCHEDULES = (Schedule("postgres_cart.expire", PostgresCartService.expire, timedelta(hours=1)),)
