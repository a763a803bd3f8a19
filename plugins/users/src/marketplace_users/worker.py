"""What users do in a worker."""

from __future__ import annotations

from marketplace_users.service import UsersService

__all__ = ["SUBSCRIPTIONS"]

SUBSCRIPTIONS = (UsersService.on_registered,)
