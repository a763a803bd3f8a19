"""Use cases of users. One command is one unit of work; auth is asked before it begins."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UnsetType
from msgspec.structs import asdict, replace

from marketplace_core.capabilities.auth import Account, Auth, Registered
from marketplace_core.capabilities.users import AddressPatch, Profile, ProfileChanged, ProfilePatch, SavedAddress, Users
from marketplace_core.errors import Invalid, NotFound, PreconditionFailed
from marketplace_core.ports import UnitOfWork, Units, command, command_after, handler
from marketplace_core.validation import unstorable
from marketplace_core.values import Address, Page, PageQuery, etag, has_postal_code, new_id, require
from marketplace_users.config import UsersConfig
from marketplace_users.domain import LEVELS, PREFERENCES, is_deeper, merge_patch
from marketplace_users.store import ProfileRecord, UsersStore

__all__ = ["UsersService"]


class UsersService(Users):
    def __init__(self, units: Units, store: UsersStore, auth: Auth, config: UsersConfig) -> None:
        self.units = units
        self._store = store
        self._auth = auth
        self._config = config

    # ── profile ──────────────────────────────────────────────────────────────────────────────────────────────

    async def get_profile(self, account_id: str) -> Profile:
        account = await self._account(account_id)
        return _view(account, await self._store.find_profile(account_id) or _record(account))

    async def _account_to_change(self, account_id: str, patch: ProfilePatch, if_match: str | None) -> Account:
        return await self._account(account_id)

    @command_after(_account_to_change)
    async def update_profile(
        self, uow: UnitOfWork, account: Account, account_id: str, patch: ProfilePatch, if_match: str | None
    ) -> Profile:
        await self._store.add_profile(uow, _record(account))
        profile = await self._store.lock_profile(uow, account_id)
        if profile is None:
            raise RuntimeError("a profile that was made is not there")
        _check_tag(if_match, _view(account, profile))
        changes: dict[str, Any] = _given(patch)
        if "preferences" in changes:
            shallow = not is_deeper(changes["preferences"], LEVELS)
            require(shallow, "/preferences", "range", f"They are nested in at most {LEVELS} levels.")
            changes["preferences"] = merge_patch(profile.preferences, changes["preferences"]) or {}
        changed = replace(profile, **changes)
        self._check_preferences(changed.preferences)
        if changed != profile:
            personalised = changed.preferences.get("personalised") is not False
            uow.emit(ProfileChanged(account_id=account_id, locale=changed.locale, personalised=personalised))
        return _view(account, await self._store.save_profile(uow, changed))

    @handler(Registered)
    async def on_registered(self, uow: UnitOfWork, event: Registered) -> None:
        """Unless its owner was quicker and has changed it already."""
        profile = ProfileRecord(account_id=event.account_id, email=event.email, name=event.name, created_at=event.created_at)
        await self._store.add_profile(uow, profile)

    # ── addresses ────────────────────────────────────────────────────────────────────────────────────────────

    async def list_addresses(self, account_id: str, page: PageQuery) -> Page[SavedAddress]:
        position = page.position(int)
        rows = await self._store.list_addresses(account_id, page, position[0] if position else None)
        found = page.page(rows, lambda row: (row[1],))
        return Page([address for address, _ in found.items], found.next)

    async def get_address(self, account_id: str, address_id: str) -> SavedAddress:
        return _found(await self._store.find_address(account_id, address_id))

    @command
    async def add_address(self, uow: UnitOfWork, account_id: str, address: Address) -> SavedAddress:
        saved = SavedAddress(id=new_id(), **asdict(address))
        added = await self._store.add_address(uow, account_id, saved, self._config.addresses)
        require(added, "", "length", f"At most {self._config.addresses} addresses are kept.")
        return saved

    @command
    async def update_address(
        self, uow: UnitOfWork, account_id: str, address_id: str, patch: AddressPatch, if_match: str | None
    ) -> SavedAddress:
        address = _found(await self._store.lock_address(uow, account_id, address_id))
        _check_tag(if_match, address)
        # What may be cleared is empty then, and never null.
        changed = replace(address, **{name: value or "" for name, value in _given(patch).items()})
        has_code = has_postal_code(changed.postal_code, changed.country)
        require(has_code, "/postal_code", "required", f"Addresses in {changed.country} have one.")
        await self._store.save_address(uow, changed)
        return changed

    @command
    async def delete_address(self, uow: UnitOfWork, account_id: str, address_id: str, if_match: str | None) -> None:
        _check_tag(if_match, _found(await self._store.lock_address(uow, account_id, address_id)))
        await self._store.delete_address(uow, address_id)

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _account(self, account_id: str) -> Account:
        accounts = await self._auth.get_accounts([account_id])
        if not accounts:
            raise NotFound("There is no such account.")
        return accounts[0]

    def _check_preferences(self, preferences: dict[str, Any]) -> None:
        require(len(preferences) <= PREFERENCES, "/preferences", "length", f"At most {PREFERENCES} are kept.")
        if found := unstorable(preferences, "/preferences", free=True):
            raise Invalid(found)
        size = len(msgspec.json.encode(preferences))
        most = self._config.preferences_bytes
        require(size <= most, "/preferences", "length", f"Together they take at most {most} bytes as JSON.")


def _record(account: Account) -> ProfileRecord:
    return ProfileRecord(account_id=account.id, email=account.email, name=account.name, created_at=account.created_at)


def _view(account: Account, profile: ProfileRecord) -> Profile:
    return Profile(
        id=account.id,
        email=profile.email,
        email_verified=account.email_verified,
        name=profile.name,
        locale=profile.locale,
        preferences=profile.preferences,
        roles=account.roles,
        created_at=profile.created_at,
    )


def _found(address: SavedAddress | None) -> SavedAddress:
    if address is None:
        raise NotFound("There is no such address.")
    return address


def _given(patch: ProfilePatch | AddressPatch) -> dict[str, Any]:
    return {name: value for name, value in asdict(patch).items() if not isinstance(value, UnsetType)}


def _check_tag(if_match: str | None, current: Profile | SavedAddress) -> None:
    if if_match not in {None, "*", etag(current)}:
        raise PreconditionFailed
