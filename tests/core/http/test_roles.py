"""Roles that a route may name."""

from __future__ import annotations

from typing import Any

import pytest

from marketplace_core.http.routing import RouteError, Router
from marketplace_core.values import Audience


@pytest.mark.parametrize(
    ("audience", "options", "remedy"),
    [
        ("admin", {"roles": ["moderatr"]}, "did you mean 'moderator'?"),
        ("admin", {"roles": []}, "name them on admin routes that need an account"),
        ("admin", {"roles": ["admin"], "access": "open"}, "name them on admin routes that need an account"),
        ("buyer", {"roles": ["admin"]}, "name them on admin routes that need an account"),
    ],
)
def test_roles_that_nobody_has(audience: Audience, options: dict[str, Any], remedy: str) -> None:
    with pytest.raises(RouteError) as caught:
        Router(audience, "wrong").get("/x", **options)
    assert caught.value.remedy == remedy
