"""Use cases of API keys. A key is made of the deployment's secret and its own id, so that a repeated request gives the same
one although nobody keeps it; only its digest is stored, and by that it stays good when the secret is changed."""

from __future__ import annotations

import base64
import hmac
from datetime import datetime

from marketplace_auth.allow_list import AllowList
from marketplace_auth.store import ApiKeyStore, AuthStore, LiveApiKey
from marketplace_core.capabilities.auth import (
    KEY_PREFIX,
    ApiKey,
    ApiKeyState,
    Auth,
    IssuedApiKey,
    KeyAudience,
    KeyOwner,
    KeyRequest,
    key_digest,
)
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.errors import Forbidden, Invalid, NotFound, Problem
from marketplace_core.http.gate import key_entry
from marketplace_core.ports import UnitOfWork, Units, command, natural
from marketplace_core.scopes import scopes_of
from marketplace_core.values import Page, PageQuery, new_id

__all__ = ["ApiKeyUseCases"]


class ApiKeyUseCases(Auth):
    """The part of auth's service that is about keys."""

    units: Units
    _allowed: AllowList
    _store: AuthStore
    _keys: ApiKeyStore
    _api_key_key: bytes
    _sellers: Sellers | None

    async def create_api_key(self, account_id: str, audience: KeyAudience, owner: KeyOwner, wanted: KeyRequest) -> IssuedApiKey:
        chosen = KeyRequest(wanted.name, list(_scopes(audience, wanted.scopes)))
        accounts = await self._store.get_accounts([account_id])
        if not accounts or _roles(audience, owner.carrier, accounts[0].roles) is None:
            raise Forbidden("auth.forbidden", "This account does not have the role for such a key.")
        await self._check_shop(owner.seller_id)
        made = await self._create_api_key(account_id, audience, owner, chosen)
        return IssuedApiKey(key=self._key_of(made.id), **{name: getattr(made, name) for name in ApiKey.__struct_fields__})

    @command
    async def _create_api_key(
        self, uow: UnitOfWork, account_id: str, audience: KeyAudience, owner: KeyOwner, wanted: KeyRequest
    ) -> ApiKey:
        key = self._key_of(key_id := new_id())
        made = ApiKey(
            id=key_id,
            audience=audience,
            name=wanted.name,
            scopes=tuple(wanted.scopes or ()),
            seller_id=owner.seller_id,
            carrier=owner.carrier,
            account_id=account_id,
            last4=key[-4:],
            created_at=uow.now,
        )
        await self._keys.add_key(uow, made, key_digest(key))
        return made

    async def _check_shop(self, seller_id: str | None) -> None:
        """:raises Invalid: a key would be nobody's: there is no such shop, or not any more."""
        if seller_id is None or self._sellers is None:
            return
        try:
            shop = await self._sellers.get_shop(seller_id)
        except NotFound:
            shop = None
        if shop is None or shop.status == "closed":
            raise Invalid([Problem("/seller_id", "not_found", "There is no such shop.")])

    def _key_of(self, key_id: str) -> str:
        secret = hmac.digest(self._api_key_key, key_id.encode(), "sha256")
        return KEY_PREFIX + base64.urlsafe_b64encode(secret).decode().rstrip("=")

    async def list_api_keys(self, owner: KeyOwner, page: PageQuery) -> Page[ApiKey]:
        rows = await self._keys.list_keys(owner, page.size, page.position(datetime, str))
        found = page.page(rows, lambda row: row[1])
        return Page([key for key, _ in found.items], found.next)

    @natural
    async def revoke_api_key(self, uow: UnitOfWork, owner: KeyOwner, key_id: str) -> None:
        digest = await self._keys.revoke_key(uow, owner, key_id)
        if digest is None:
            raise NotFound("There is no such API key.")
        uow.after_commit(lambda: self._allowed.end([key_entry(digest)]))

    @natural
    async def api_key_state(self, uow: UnitOfWork, digest: str) -> ApiKeyState | None:
        """The entry is written while the rows are held: what ends the key comes later, and finds it."""
        live = await self._keys.hold_key(uow, digest)
        state = None if live is None else _state(live)
        if state is not None:
            await self._allowed.keep(key_entry(digest), state)
        return state


def _scopes(audience: KeyAudience, wanted: list[str] | None) -> tuple[str, ...]:
    """A key without a choice has all that there are today: a scope that comes later is not given away unasked."""
    known = scopes_of(audience)
    if wanted is None:
        return known
    if not wanted:
        raise Invalid([Problem("/scopes", "length", "A key of no scope opens nothing; leave scopes out for all.")])
    problems = [
        Problem(f"/scopes/{index}", "unknown_value", f"There is no such scope; use {', '.join(known)}.")
        for index, scope in enumerate(wanted)
        if scope not in known
    ]
    if problems:
        raise Invalid(problems)
    return tuple(scope for scope in known if scope in wanted)


def _roles(audience: KeyAudience, carrier: str | None, roles: tuple[str, ...]) -> tuple[str, ...] | None:
    """As what a key acts whose account has these roles; None: it may not act."""
    if audience == "seller":
        return ("shop:key",)
    if audience == "logistics":
        role = f"courier:{carrier}"
        return (role,) if role in roles or "admin" in roles else None
    return None if {"admin", "moderator"}.isdisjoint(roles) else roles


def _state(live: LiveApiKey) -> ApiKeyState | None:
    """By the roles that the account has now."""
    key = live.key
    roles = _roles(key.audience, key.carrier, live.roles)
    if roles is None:
        return None
    return ApiKeyState(
        id=key.id,
        account_id=key.account_id,
        audience=key.audience,
        roles=roles,
        scopes=key.scopes,
        seller_id=key.seller_id,
        carrier=key.carrier,
    )
