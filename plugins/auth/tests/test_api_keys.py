"""API keys: what is kept of them, who they are at a gateway, and how they end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from marketplace_auth.router import routers
from quart import Quart
from quart.testing import QuartClient

from marketplace_core import calls
from marketplace_core.capabilities.auth import IssuedApiKey, KeyOwner, KeyRequest, Registration, key_digest
from marketplace_core.errors import Forbidden, Invalid, NotFound, Unauthorized, Unavailable
from marketplace_core.http.gate import check_scope, key_entry
from marketplace_core.http.views import blueprint
from marketplace_core.scopes import scopes_of
from marketplace_core.values import Caller, PageQuery

CARRIER = KeyOwner(carrier="simulator")
SHOP = KeyOwner(seller_id="shop-1")


async def _account(bench: Any, *roles: str, email: str = "cora@example.org") -> str:
    account = await bench.auth.ensure_account(Registration(email, "a fine password", "Cora"), roles)
    return str(account.id)


async def _key(bench: Any, audience: Any, owner: KeyOwner, *roles: str, scopes: list[str] | None = None) -> IssuedApiKey:
    made: IssuedApiKey = await bench.auth.create_api_key(
        await _account(bench, *roles), audience, owner, KeyRequest("integration", scopes)
    )
    return made


async def _at_gate(bench: Any, key: str, audience: Any, redis: Any = None) -> Caller:
    caller: Caller = await bench.gate(redis).identify(audience, {"authorization": f"Bearer {key}"}, {})
    return caller


async def _code_at_gate(bench: Any, key: str, audience: Any) -> str:
    with pytest.raises(Unauthorized) as caught:
        await _at_gate(bench, key, audience)
    return caught.value.code


# ── whose they are ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_key_is_its_owner_on_its_audience(bench: Any) -> None:
    made = await _key(bench, "seller", SHOP)
    assert made.key.startswith("mk_") and made.key.endswith(made.last4) and len(made.key) == 46
    caller = await _at_gate(bench, made.key, "seller")
    assert (caller.seller_id, caller.account_id, caller.session_id) == ("shop-1", made.account_id, None)
    assert (caller.api_key, caller.scopes, caller.roles) == (made.id, scopes_of("seller"), ("shop:key",))
    for elsewhere in ("buyer", "logistics", "admin"):
        assert await _code_at_gate(bench, made.key, elsewhere) == "auth.wrong_audience"


async def test_a_carriers_key_lives_while_its_account_has_the_role(bench: Any) -> None:
    made = await _key(bench, "logistics", CARRIER, "courier:simulator")
    caller = await _at_gate(bench, made.key, "logistics")
    assert (caller.carrier, caller.roles, caller.seller_id) == ("simulator", ("courier:simulator",), None)
    with pytest.raises(Forbidden):
        await _key(bench, "logistics", KeyOwner(carrier="other"), "courier:simulator")
    await bench.auth.revoke_api_key(CARRIER, made.id)
    second = await _key(bench, "logistics", CARRIER, "courier:simulator")
    await bench.database.execute("UPDATE auth.accounts SET roles = '{}'")
    assert await _code_at_gate(bench, second.key, "logistics") == "auth.token_invalid"


async def test_an_admins_key_acts_by_the_roles_of_now(bench: Any) -> None:
    made = await _key(bench, "admin", KeyOwner(), "admin")
    assert (await _at_gate(bench, made.key, "admin")).roles == ("admin",)
    nobody = await _account(bench, email="bob@example.org")
    for account in (nobody, "missing"):
        with pytest.raises(Forbidden):
            await bench.auth.create_api_key(account, "admin", KeyOwner(), KeyRequest("mine"))
    for_carrier = await _key(bench, "logistics", CARRIER, "admin")
    assert (await _at_gate(bench, for_carrier.key, "logistics")).carrier == "simulator"


@pytest.mark.parametrize("guess", ["mk_", "mk_1", "mk_" + "a" * 43, "mk_" + "a" * 44, "mk_ünfug"])
async def test_guesses(bench: Any, guess: str) -> None:
    assert await _code_at_gate(bench, guess, "seller") == "auth.token_invalid"


# ── scopes ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_scopes_are_those_that_were_asked_for(bench: Any) -> None:
    made = await _key(bench, "seller", SHOP, scopes=["products:write", "orders:read"])
    assert made.scopes == ("orders:read", "products:write")
    caller = await _at_gate(bench, made.key, "seller")
    check_scope("orders:read", caller)
    for other in ("orders:write", None):
        with pytest.raises(Forbidden):
            check_scope(other, caller)
    with pytest.raises(Invalid) as caught:
        await _key(bench, "seller", SHOP, scopes=[])
    assert [(each.pointer, each.code) for each in caught.value.errors] == [("/scopes", "length")]


async def test_every_unknown_scope_is_told(bench: Any) -> None:
    with pytest.raises(Invalid) as caught:
        await _key(bench, "seller", SHOP, scopes=["orders:read", "shipments:read", "orders"])
    assert [(problem.pointer, problem.code) for problem in caught.value.errors] == [
        ("/scopes/1", "unknown_value"),
        ("/scopes/2", "unknown_value"),
    ]


# ── what is kept ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_key_itself_is_nowhere(bench: Any) -> None:
    account = await _account(bench)
    with calls.scope(calls.Call(caller=Caller(audience="seller", account_id=account), key="auth.create_api_key:k")):
        made = await bench.auth.create_api_key(account, "seller", SHOP, KeyRequest("integration"))
    await _at_gate(bench, made.key, "seller")
    rows = [
        row["text"]
        for table in ("auth.api_keys", "marketplace.idempotency", "marketplace.outbox")
        for row in await bench.database.fetch(f"SELECT t::text AS text FROM {table} t")  # noqa: S608
    ]
    assert len(rows) == 3 and made.id in rows[0] and made.id in rows[1]
    stored = [await bench.redis.get(name) for name in await bench.redis.keys("*")]
    secret = made.key[3:]
    assert not any(secret in text for text in (*rows, *map(repr, stored), *map(repr, await bench.redis.keys("*"))))
    assert key_digest(made.key) in rows[0]


async def test_a_repeated_request_gives_the_same_key(bench: Any) -> None:
    account = await _account(bench)
    call = calls.Call(caller=Caller(audience="seller", account_id=account), key="auth.create_api_key:k")
    made = []
    for _ in range(2):
        with calls.scope(call):
            made.append(await bench.auth.create_api_key(account, "seller", SHOP, KeyRequest("integration")))
    assert made[0] == made[1]
    assert (await bench.auth.create_api_key(account, "seller", SHOP, KeyRequest("integration"))).key != made[0].key
    assert len((await bench.auth.list_api_keys(SHOP, PageQuery())).items) == 2


async def test_lists_are_of_the_owner_and_without_keys(bench: Any) -> None:
    first, second = [await _key(bench, "seller", SHOP) for _ in range(2)]
    other = await _key(bench, "seller", KeyOwner(seller_id="shop-2"))
    carriers = await _key(bench, "logistics", CARRIER, "courier:simulator")

    async def listed(owner: KeyOwner, **options: Any) -> list[str]:
        return [key.id for key in (await bench.auth.list_api_keys(owner, PageQuery(**options))).items]

    assert await listed(SHOP) == [second.id, first.id]
    assert await listed(CARRIER) == [carriers.id]
    assert await listed(KeyOwner()) == [carriers.id, other.id, second.id, first.id]
    page = await bench.auth.list_api_keys(SHOP, PageQuery(limit=1))
    assert await listed(SHOP, limit=1, cursor=page.next) == [first.id]
    assert not hasattr(page.items[0], "key")


# ── their end ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_revoked_key_is_out_at_once(bench: Any) -> None:
    made = await _key(bench, "seller", SHOP)
    await _at_gate(bench, made.key, "seller")
    assert await bench.redis.exists(key_entry(key_digest(made.key)))
    await bench.auth.revoke_api_key(SHOP, made.id)
    assert await _code_at_gate(bench, made.key, "seller") == "auth.token_invalid"
    assert (await bench.auth.list_api_keys(SHOP, PageQuery())).items == []
    await bench.auth.revoke_api_key(SHOP, made.id)  # again, as after an answer that was lost


async def test_a_look_that_is_late_does_not_bring_a_revoked_key_back(bench: Any) -> None:
    made = await _key(bench, "seller", SHOP)
    for _ in range(10):
        again = await _key(bench, "seller", SHOP)
        looks = [asyncio.create_task(bench.auth.api_key_state(key_digest(again.key))) for _ in range(4)]
        await bench.auth.revoke_api_key(SHOP, again.id)
        assert await _code_at_gate(bench, again.key, "seller") == "auth.token_invalid"
        await asyncio.gather(*looks)
        assert await _code_at_gate(bench, again.key, "seller") == "auth.token_invalid"
    assert (await _at_gate(bench, made.key, "seller")).api_key == made.id


async def test_only_the_owner_revokes(bench: Any) -> None:
    made = await _key(bench, "seller", SHOP)
    for owner in (KeyOwner(seller_id="shop-2"), CARRIER):
        with pytest.raises(NotFound):
            await bench.auth.revoke_api_key(owner, made.id)
    await _at_gate(bench, made.key, "seller")
    await bench.auth.revoke_api_key(KeyOwner(), made.id)
    assert await _code_at_gate(bench, made.key, "seller") == "auth.token_invalid"


@pytest.mark.behaviour("auth-2")
async def test_the_keys_of_a_disabled_account_are_out_and_come_back_with_it(bench: Any) -> None:
    made = await _key(bench, "seller", SHOP)
    await _at_gate(bench, made.key, "seller")
    await bench.auth.set_disabled(made.account_id, True)
    assert await _code_at_gate(bench, made.key, "seller") == "auth.token_invalid"
    await bench.auth.set_disabled(made.account_id, False)
    assert (await _at_gate(bench, made.key, "seller")).api_key == made.id


async def test_revoking_says_when_gateways_may_not_know_it(bench: Any) -> None:
    from marketplace_core.adapters.redis.server import connect  # noqa: PLC0415

    made = await _key(bench, "seller", SHOP)
    away = connect("unix:///nowhere/at-all.sock?db=0")
    with pytest.raises(Unavailable):
        await bench.service(away, patience=0.1).revoke_api_key(SHOP, made.id)
    await bench.auth.revoke_api_key(SHOP, made.id)
    assert await _code_at_gate(bench, made.key, "seller") == "auth.token_invalid"
    await away.aclose()


async def test_a_revoked_key_is_forgotten_after_a_week(bench: Any) -> None:
    kept, revoked = [await _key(bench, "seller", SHOP) for _ in range(2)]
    await bench.auth.revoke_api_key(SHOP, revoked.id)
    await bench.clock.advance(6 * 86400)
    await bench.auth.purge()
    await bench.auth.revoke_api_key(SHOP, revoked.id)
    await bench.clock.advance(2 * 86400)
    await bench.auth.purge()
    with pytest.raises(NotFound):
        await bench.auth.revoke_api_key(SHOP, revoked.id)
    assert [key.id for key in (await bench.auth.list_api_keys(SHOP, PageQuery())).items] == [kept.id]


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def client(bench: Any) -> QuartClient:
    app = Quart(__name__)
    for router in routers(bench.auth):
        app.register_blueprint(blueprint(router, bench.gate()))
    return app.test_client()


async def _logged_in(bench: Any, client: QuartClient, audience: str, *roles: str) -> dict[str, str]:
    email = f"{roles[0].replace(':', '-')}@example.org"
    await _account(bench, *roles, email=email)
    login = await client.post(f"/{audience}/v1/auth/login", json={"email": email, "password": "a fine password"})
    return {"authorization": f"Bearer {(await login.get_json())['session']['access_token']}"}


async def test_a_carriers_keys(bench: Any, client: QuartClient) -> None:
    headers = await _logged_in(bench, client, "logistics", "courier:simulator")
    path = "/logistics/v1/api-keys"
    created = await client.post(path, json={"name": "depot"}, headers=headers)
    made = await created.get_json()
    assert (created.status_code, made["carrier"], made["scopes"]) == (201, "simulator", ["shipments:read", "shipments:write"])
    [listed] = (await (await client.get(path, headers=headers)).get_json())["items"]
    assert listed == {name: value for name, value in made.items() if name != "key"}
    by_key = {"authorization": f"Bearer {made['key']}"}
    for method, where in (
        ("GET", path),
        ("POST", path),
        ("DELETE", f"{path}/{made['id']}"),
        ("GET", "/logistics/v1/auth/sessions"),
    ):
        refused = await client.open(where, method=method, headers=by_key, json={"name": "more"} if method == "POST" else None)
        assert (refused.status_code, (await refused.get_json())["code"]) == (403, "auth.forbidden"), where
    assert (await client.get("/admin/v1/accounts", headers=by_key)).status_code == 401
    for body in ({}, {"name": ""}, {"name": "x", "scopes": ["all"]}, {"name": "x", "audience": "admin"}):
        assert (await client.post(path, json=body, headers=headers)).status_code == 422
    assert (await client.delete(f"{path}/{made['id']}", headers=headers)).status_code == 204
    assert (await client.get(path, headers=by_key)).status_code == 401
    assert (await client.delete(f"{path}/none", headers=headers)).status_code == 404


async def test_an_admin_makes_keys_for_everybody(bench: Any, client: QuartClient) -> None:
    headers = await _logged_in(bench, client, "admin", "admin")
    path = "/admin/v1/api-keys"

    async def make(**body: Any) -> tuple[int, Any]:
        answer = await client.post(path, json={"name": "erp", **body}, headers=headers)
        return answer.status_code, await answer.get_json()

    status, made = await make(audience="admin", scopes=["accounts:read"])
    assert status == 201
    by_key = {"authorization": f"Bearer {made['key']}"}
    assert (await client.get("/admin/v1/accounts", headers=by_key)).status_code == 200
    assert (await client.post(f"/admin/v1/accounts/{made['account_id']}/disable", headers=by_key)).status_code == 403
    assert (await client.get(path, headers=by_key)).status_code == 403
    assert (await make(audience="seller", seller_id="shop-1"))[1]["seller_id"] == "shop-1"
    assert (await make(audience="logistics", carrier="simulator"))[1]["carrier"] == "simulator"
    assert len((await (await client.get(path, headers=headers)).get_json())["items"]) == 3
    for wrong, pointers in (
        ({"audience": "seller"}, ["/seller_id"]),
        ({"audience": "logistics", "seller_id": "s"}, ["/carrier", "/seller_id"]),
        ({"audience": "admin", "carrier": "c"}, ["/carrier"]),
        ({"audience": "buyer"}, ["/audience"]),
        ({"audience": "admin", "scopes": ["products:write"]}, ["/scopes/0"]),
    ):
        status, problem = await make(**wrong)
        assert (status, [error["pointer"] for error in problem["errors"]]) == (422, pointers)
    assert (await client.delete(f"{path}/{made['id']}", headers=headers)).status_code == 204
    assert (await client.get("/admin/v1/accounts", headers=by_key)).status_code == 401
    moderator = await _logged_in(bench, client, "admin", "moderator")
    assert (await client.get(path, headers=moderator)).status_code == 403


async def test_a_buyer_has_none(client: QuartClient) -> None:
    assert (await client.get("/buyer/v1/api-keys")).status_code == 404
