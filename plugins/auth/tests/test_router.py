"""auth over HTTP, on every audience."""

from __future__ import annotations

from typing import Any

import pytest
from marketplace_auth.router import routers
from quart import Quart
from quart.testing import QuartClient

from marketplace_core.capabilities.auth import Registration
from marketplace_core.http.views import blueprint

ADA = {"email": "ada@example.org", "password": "a fine password"}


@pytest.fixture
def client(bench: Any) -> QuartClient:
    app = Quart(__name__)
    for router in routers(bench.auth):
        app.register_blueprint(blueprint(router, bench.gate()))
    return app.test_client()


def _bearer(answer: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {answer['session']['access_token']}"}


async def _register(client: QuartClient, audience: str = "buyer") -> dict[str, Any]:
    response = await client.post(f"/{audience}/v1/auth/register", json={**ADA, "name": "Ada"})
    assert response.status_code == 201
    answer: dict[str, Any] = await response.get_json()
    return answer


async def _admin(bench: Any, client: QuartClient, *roles: str) -> dict[str, str]:
    email = f"{'-'.join(roles)}@example.org"
    await bench.auth.ensure_account(Registration(email, "a fine password", "Root"), roles)
    login = await client.post("/admin/v1/auth/login", json={"email": email, "password": "a fine password"})
    return _bearer(await login.get_json())


async def test_the_life_of_a_session(client: QuartClient) -> None:
    registered = await _register(client)
    assert registered["user"].keys() == {"id", "email", "name"}
    assert registered["session"].keys() == {"access_token", "refresh_token", "expires_in"}
    login = await client.post("/seller/v1/auth/login", json=ADA, headers={"user-agent": "curl"})
    assert login.status_code == 200
    answer = await login.get_json()
    refresh = {"refresh_token": answer["session"]["refresh_token"]}
    refreshed = await client.post("/seller/v1/auth/refresh", json=refresh)
    assert refreshed.status_code == 200
    headers = _bearer({"session": await refreshed.get_json()})
    listed = await client.get("/seller/v1/auth/sessions", headers=headers)
    page = await listed.get_json()
    assert [(item["user_agent"], item["current"]) for item in page["items"]][:1] == [("curl", True)]
    assert page["items"][0].keys() == {"id", "created_at", "last_used_at", "user_agent", "current"}
    ended = await client.delete(f"/seller/v1/auth/sessions/{page['items'][1]['id']}", headers=headers)
    assert (ended.status_code, await ended.get_data()) == (204, b"")
    assert (await client.get("/buyer/v1/auth/sessions", headers=_bearer(registered))).status_code == 401
    assert (await client.post("/seller/v1/auth/logout", headers=headers)).status_code == 204
    assert (await client.post("/seller/v1/auth/logout", headers=headers)).status_code == 401


async def test_a_new_password(client: QuartClient) -> None:
    headers = _bearer(await _register(client))
    body = {"password": ADA["password"], "new_password": "another password"}
    assert (await client.post("/buyer/v1/auth/password", json=body, headers=headers)).status_code == 204
    assert (await client.get("/buyer/v1/auth/sessions", headers=headers)).status_code == 401


@pytest.mark.parametrize(("audience", "status"), [("buyer", 422), ("seller", 422), ("logistics", 404), ("admin", 404)])
async def test_registering_is_for_open_audiences(client: QuartClient, audience: str, status: int) -> None:
    assert (await client.post(f"/{audience}/v1/auth/register", json={})).status_code == status


async def test_no_key_is_kept_for_answers_with_tokens(bench: Any, client: QuartClient) -> None:
    await _register(client)
    headers = {"idempotency-key": "k"}
    logins = [await client.post("/buyer/v1/auth/login", json=ADA, headers=headers) for _ in range(2)]
    first, second = [await login.get_json() for login in logins]
    assert first["session"]["refresh_token"] != second["session"]["refresh_token"]
    assert await bench.database.value("SELECT count(*) FROM marketplace.idempotency") == 0


async def test_failures_as_problems(client: QuartClient) -> None:
    await _register(client)
    answers = [await client.post("/buyer/v1/auth/login", json={**ADA, "password": "wrong"}) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert answers[5].headers["retry-after"] == "1"
    assert (await answers[5].get_json())["code"] == "http.rate_limited"


@pytest.mark.behaviour("auth-2")
async def test_an_admin_locks_a_person_out_and_lets_them_in_again(bench: Any, client: QuartClient) -> None:
    ada = await _register(client)
    headers = await _admin(bench, client, "admin")
    found = await (await client.get("/admin/v1/accounts?email=ADA@example.org", headers=headers)).get_json()
    [account] = found["items"]
    assert account == {
        "id": ada["user"]["id"],
        "email": "ada@example.org",
        "name": "Ada",
        "email_verified": False,
        "roles": [],
        "disabled": False,
        "created_at": account["created_at"],
    }
    path = f"/admin/v1/accounts/{account['id']}"
    assert (await client.post(f"{path}/disable", json={"reason": "fraud"}, headers=headers)).status_code == 204
    assert (await client.get("/buyer/v1/auth/sessions", headers=_bearer(ada))).status_code == 401
    refused = await client.post("/buyer/v1/auth/login", json=ADA)
    assert (refused.status_code, (await refused.get_json())["code"]) == (403, "auth.disabled")
    assert (await client.post(f"{path}/enable", headers=headers)).status_code == 204
    assert (await client.post("/buyer/v1/auth/login", json=ADA)).status_code == 200
    assert (await client.post("/admin/v1/accounts/nobody/disable", headers=headers)).status_code == 404


async def test_accounts_are_listed_by_pages(bench: Any, client: QuartClient) -> None:
    headers = await _admin(bench, client, "admin")
    for name in "abc":
        await bench.register(f"{name}@example.org")
    first = await (await client.get("/admin/v1/accounts?limit=2", headers=headers)).get_json()
    second = await (await client.get(f"/admin/v1/accounts?limit=2&cursor={first['next']}", headers=headers)).get_json()
    emails = [item["email"] for item in first["items"] + second["items"]]
    assert emails == [f"{name}@example.org" for name in ("c", "b", "a", "admin")]
    assert second["next"] is None


async def test_accounts_are_not_for_moderators(bench: Any, client: QuartClient) -> None:
    headers = await _admin(bench, client, "moderator")
    assert (await client.get("/admin/v1/accounts", headers=headers)).status_code == 403
    assert (await client.post("/admin/v1/accounts/x/disable", headers=headers)).status_code == 403
    assert (await client.post("/admin/v1/accounts/x/enable", headers=headers)).status_code == 403
    assert (await client.get("/admin/v1/auth/sessions", headers=headers)).status_code == 200


async def test_an_id_that_no_store_can_hold_is_not_found(client: QuartClient) -> None:
    headers = _bearer(await _register(client))
    assert (await client.delete("/buyer/v1/auth/sessions/a%00b", headers=headers)).status_code == 404
