"""users over HTTP, on every audience."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from marketplace_core.capabilities.auth import Auth, Registration
from marketplace_core.testing.marketplace import Marketplace

HOME = {"name": "Ada", "line1": "1 Test Street", "city": "Berlin", "postal_code": "10115", "country": "DE"}
PROFILE = {"id", "email", "email_verified", "name", "locale", "preferences", "roles", "created_at"}
ADDRESS = {"id", "name", "line1", "line2", "city", "region", "postal_code", "country", "phone"}
ROLES = {"logistics": "courier:swift", "admin": "admin"}
AUDIENCES = ("buyer", "seller", "logistics", "admin")

Browsers = Callable[[], Any]


@pytest.mark.parametrize("audience", AUDIENCES)
async def test_me_and_my_addresses(served: Marketplace, browser: Browsers, audience: str) -> None:
    ada, role = browser(), ROLES.get(audience)
    await served.port(Auth).ensure_account(Registration("ada@example.org", "a fine password", "Ada"), (role,) if role else ())
    id_ = await ada.log_in("ada@example.org", audience)
    me, prefix = f"/{audience}/v1/me", f"/{audience}/v1"
    status, _, profile = await ada("GET", me)
    assert (status, profile.keys(), profile["id"], profile["roles"]) == (200, PROFILE, id_, [role] if role else [])
    status, _, changed = await ada("PATCH", me, {"locale": "de", "preferences": {"a": {"b": 1}}})
    assert (status, changed["locale"], changed["preferences"]) == (200, "de", {"a": {"b": 1}})
    assert (await ada("PATCH", me, {"locale": None}))[2]["locale"] is None
    status, headers, home = await ada("POST", f"{me}/addresses", HOME)
    assert (status, home.keys(), headers["location"]) == (201, ADDRESS, f"{prefix}/me/addresses/{home['id']}")
    assert (await ada("GET", f"{me}/addresses"))[2] == {"items": [home], "next": None}
    assert (await ada("GET", headers["location"]))[2] == home
    status, _, moved = await ada("PATCH", headers["location"], {"city": "Bonn"})
    assert (status, moved) == (200, home | {"city": "Bonn"})
    assert (await ada("DELETE", headers["location"]))[0] == 204
    assert (await ada("GET", headers["location"]))[0] == 404


@pytest.mark.behaviour("all-4")
async def test_if_match_and_if_none_match(browser: Browsers) -> None:
    ada = browser()
    await ada.register()
    _, _, home = await ada("POST", "/buyer/v1/me/addresses", HOME)
    for path, patch in (("/buyer/v1/me", {"name": "B"}), (f"/buyer/v1/me/addresses/{home['id']}", {"city": "B"})):
        _, headers, _ = await ada("GET", path)
        assert (await ada("GET", path, if_none_match=headers["etag"]))[0] == 304
        assert (await ada("PATCH", path, patch, if_match=headers["etag"]))[0] == 200
        status, _, problem = await ada("PATCH", path, patch, if_match=headers["etag"])
        assert (status, problem["code"]) == (412, "http.precondition_failed")
    assert (await ada("DELETE", path, if_match='"old"'))[0] == 412
    assert (await ada("DELETE", path, if_match="*"))[0] == 204


@pytest.mark.behaviour("all-2")
async def test_what_is_refused(browser: Browsers) -> None:
    ada, eve, nobody = browser(), browser(), browser()
    await ada.register()
    await eve.register("eve@example.org")
    _, _, home = await ada("POST", "/buyer/v1/me/addresses", HOME)
    own, addresses = f"/buyer/v1/me/addresses/{home['id']}", "/buyer/v1/me/addresses"
    for method, path in (("GET", "/buyer/v1/me"), ("GET", addresses), ("DELETE", own)):
        status, _, problem = await nobody(method, path)
        assert (status, problem["code"]) == (401, "auth.required")
    status, _, problem = await ada("GET", "/seller/v1/me")
    assert (status, problem["code"]) == (401, "auth.wrong_audience")
    for method, body in (("GET", None), ("PATCH", {"city": "X"}), ("DELETE", None)):
        status, _, problem = await eve(method, own, body)
        assert (status, problem["code"]) == (404, "http.not_found")
    status, _, problem = await ada("POST", addresses, {"name": "", "country": "Germany", "extra": 1})
    found = {error["pointer"]: error["code"] for error in problem["errors"]}
    assert (status, problem["code"]) == (422, "validation")
    assert found == {
        "/name": "length",
        "/line1": "required",
        "/city": "required",
        "/country": "format",
        "/extra": "unknown_field",
    }
    for body, pointer in (
        ({"name": None}, "/name"),
        ({"locale": "x"}, "/locale"),
        ({"email": "a@b.example"}, "/email"),
        ({"preferences": []}, "/preferences"),
        ({"preferences": {"a": {"b" * 3: [[[[[[[[[[]]]]]]]]]]}}}, "/preferences"),
    ):
        status, _, problem = await ada("PATCH", "/buyer/v1/me", body)
        assert (status, [error["pointer"] for error in problem["errors"]]) == (422, [pointer])
    assert (await ada("PATCH", own, {"city": None}))[0] == 422
    status, _, problem = await ada("GET", f"{addresses}?cursor=broken")
    assert (status, problem["code"]) == (400, "paging.bad_cursor")
    assert (await ada("GET", own))[2] == home


async def test_preferences_nested_without_end_are_refused(browser: Browsers) -> None:
    ada = browser()
    await ada.register()
    for levels in (20, *range(700, 1000, 10)):
        body = b'{"preferences": {"a": %s1%s}}' % (b"[" * levels, b"]" * levels)
        assert (await ada("PATCH", "/buyer/v1/me", body))[0] in {400, 422}
    assert (await ada("GET", "/buyer/v1/me"))[2]["preferences"] == {}
