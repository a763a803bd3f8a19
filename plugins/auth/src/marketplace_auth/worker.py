"""What auth does in a worker."""

from __future__ import annotations

from datetime import timedelta

from marketplace_auth.service import AuthService
from marketplace_core.hookspecs import Schedule

__all__ = ["SCHEDULES"]

SCHEDULES = (Schedule("auth.purge", AuthService.purge, timedelta(hours=1)),)
