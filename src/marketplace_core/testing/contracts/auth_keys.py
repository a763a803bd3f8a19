"""The part of auth's suite that is about API keys."""

from __future__ import annotations

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.auth import (
    KEY_PREFIX,
    ApiKey,
    ApiKeyState,
    Auth,
    IssuedApiKey,
    KeyAudience,
    KeyOwner,
    KeyRequest,
    Registration,
    key_digest,
)
from marketplace_core.errors import Forbidden, NotFound
from marketplace_core.scopes import scopes_of
from marketplace_core.testing.contracts import paged, refused
from marketplace_core.values import PageQuery, new_id

__all__ = ["KeyRules"]


async def _person(auth: Auth, *roles: str) -> str:
    registration = Registration(f"{new_id()}@example.org", "a fine password", "Ada")
    return (await auth.ensure_account(registration, roles)).id


async def _shop_key(auth: Auth, owner: KeyOwner, account_id: str | None = None) -> IssuedApiKey:
    return await auth.create_api_key(account_id or await _person(auth), "seller", owner, KeyRequest("till"))


async def _keys(auth: Auth, owner: KeyOwner) -> list[ApiKey]:
    return (await auth.list_api_keys(owner, PageQuery(limit=100))).items


async def _is_good(auth: Auth, key: IssuedApiKey) -> bool:
    return await auth.api_key_state(key_digest(key.key)) is not None


class KeyRules:
    async def test_a_key_is_shown_once_and_good_at_once(self, auth: Auth) -> None:
        ada, shop = await _person(auth), KeyOwner(seller_id=new_id())
        scopes = scopes_of("seller")
        made = await auth.create_api_key(ada, "seller", shop, KeyRequest("till", [scopes[0]]))
        assert made.key.startswith(KEY_PREFIX) and made.last4 == made.key[-4:]
        assert (made.name, made.audience, made.scopes, made.account_id) == ("till", "seller", (scopes[0],), ada)
        state = await auth.api_key_state(key_digest(made.key))
        assert state is not None
        assert (state.id, state.account_id, state.audience, state.scopes) == (made.id, ada, "seller", (scopes[0],))
        assert (state.seller_id, state.carrier) == (shop.seller_id, None)
        [listed] = await _keys(auth, shop)
        assert not hasattr(listed, "key")
        assert all(getattr(listed, name) == getattr(made, name) for name in ApiKey.__struct_fields__)
        for wrong in (made.key, key_digest(f"{made.key}x"), key_digest(made.id)):
            assert await auth.api_key_state(wrong) is None

    async def test_a_key_may_what_it_is_for(self, auth: Auth) -> None:
        ada, shop = await _person(auth), KeyOwner(seller_id=new_id())
        scopes = scopes_of("seller")
        assert (await auth.create_api_key(ada, "seller", shop, KeyRequest("all"))).scopes == scopes
        none = await refused("validation", auth.create_api_key(ada, "seller", shop, KeyRequest("none", [])))
        assert [problem.pointer for problem in none.errors] == ["/scopes"]
        asked = KeyRequest("odd", [scopes[0], "hats:read", "hats:write"])
        error = await refused("validation", auth.create_api_key(ada, "seller", shop, asked))
        assert [problem.pointer for problem in error.errors] == ["/scopes/1", "/scopes/2"]
        assert len(await _keys(auth, shop)) == 1

    async def test_nobody_gives_away_what_they_may_not(self, auth: Auth) -> None:
        """It is refused at once, or the key is good for nothing."""
        ada, courier = await _person(auth), await _person(auth, "courier:c1")
        nobodys = KeyOwner()
        attempts: list[tuple[str, KeyAudience, KeyOwner]] = [
            (ada, "admin", nobodys),
            (courier, "admin", nobodys),
            (ada, "logistics", KeyOwner(carrier="c1")),
            (courier, "logistics", KeyOwner(carrier="c2")),
        ]
        for account, audience, owner in attempts:
            try:
                given = await auth.create_api_key(account, audience, owner, KeyRequest("x"))
            except Forbidden as error:
                assert error.code == "auth.forbidden"
            else:
                assert not await _is_good(auth, given)
        made = await auth.create_api_key(courier, "logistics", KeyOwner(carrier="c1"), KeyRequest("van"))
        state = await auth.api_key_state(key_digest(made.key))
        assert state is not None
        assert (state.audience, state.carrier, state.roles) == ("logistics", "c1", ("courier:c1",))
        admin = await auth.create_api_key(await _person(auth, "admin"), "admin", nobodys, KeyRequest("cron"))
        state = await auth.api_key_state(key_digest(admin.key))
        assert state is not None
        assert (state.audience, state.roles, state.seller_id, state.carrier) == ("admin", ("admin",), None, None)

    async def test_a_key_is_its_owners(self, auth: Auth) -> None:
        one, two = KeyOwner(seller_id=new_id()), KeyOwner(seller_id=new_id())
        ours = [await _shop_key(auth, one) for _ in range(5)]
        theirs = await _shop_key(auth, two)
        listed = await _keys(auth, one)
        assert {key.id for key in listed} == {key.id for key in ours}
        by_pages = await paged(
            lambda cursor: auth.list_api_keys(one, PageQuery(limit=2, cursor=cursor)), between=lambda: _shop_key(auth, one)
        )
        assert [key for key in by_pages if key in listed] == listed
        for owner in (two, KeyOwner(carrier=one.seller_id)):
            with pytest.raises(NotFound):
                await auth.revoke_api_key(owner, ours[0].id)
        assert await _is_good(auth, ours[0])
        for _ in range(2):  # the first answer may be lost
            await auth.revoke_api_key(one, ours[0].id)
            assert not await _is_good(auth, ours[0])
        assert ours[0].id not in {key.id for key in await _keys(auth, one)}
        assert await _is_good(auth, ours[1]) and await _is_good(auth, theirs)
        assert [key.id for key in await _keys(auth, two)] == [theirs.id]

    @pytest.mark.behaviour("all-1")
    async def test_a_request_that_comes_again_gives_the_same_key(self, auth: Auth) -> None:
        ada, shop = await _person(auth), KeyOwner(seller_id=new_id())
        with calls.scope(calls.Call(key="once")):
            made = await _shop_key(auth, shop, ada)
            assert await _shop_key(auth, shop, ada) == made
            again = auth.create_api_key(ada, "seller", shop, KeyRequest("another"))
            await refused("idempotency_key_reused", again)
        assert [key.id for key in await _keys(auth, shop)] == [made.id]

    async def test_a_key_dies_with_its_account(self, auth: Auth) -> None:
        ada, shop = await _person(auth), KeyOwner(seller_id=new_id())
        adas, eves = await _shop_key(auth, shop, ada), await _shop_key(auth, shop)
        state = await auth.api_key_state(key_digest(adas.key))
        assert isinstance(state, ApiKeyState)
        await auth.set_disabled(ada, True, "fraud")
        assert not await _is_good(auth, adas)
        assert await _is_good(auth, eves)
