"""users: the profile of a person and the addresses that goods go to."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from marketplace_core.capabilities.auth import PersonName
from marketplace_core.events import Event, PersonId, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, query
from marketplace_core.values import Address, Country, Line, Page, PageQuery

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

Locale = Annotated[str, Meta(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z", max_length=35)]
Preferences = Annotated[dict[Annotated[str, Meta(max_length=100)], Any], Meta(max_length=100)]


class Profile(Struct, frozen=True, kw_only=True):
    """What ``/me`` answers: of the account, and of the person."""

    id: str
    email: str
    email_verified: bool
    name: str
    locale: str | None
    preferences: dict[str, Any]
    roles: tuple[str, ...]
    created_at: datetime


class ProfilePatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``preferences`` are merged: null removes one, at any depth, or all of them."""

    name: PersonName | UnsetType = UNSET
    locale: Locale | UnsetType | None = UNSET
    preferences: Preferences | UnsetType | None = UNSET


class SavedAddress(Struct, frozen=True, kw_only=True):
    """*address* of the API: an address with its id."""

    id: str
    name: str
    line1: str
    line2: str
    city: str
    region: str
    postal_code: str
    country: str
    phone: str


class AddressPatch(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: Line | UnsetType = UNSET
    line1: Line | UnsetType = UNSET
    line2: Annotated[str, Meta(max_length=200)] | UnsetType | None = UNSET
    city: Line | UnsetType = UNSET
    region: Annotated[str, Meta(max_length=200)] | UnsetType | None = UNSET
    postal_code: Annotated[str, Meta(max_length=20)] | UnsetType = UNSET
    country: Country | UnsetType = UNSET
    phone: Annotated[str, Meta(max_length=40)] | UnsetType | None = UNSET


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("users.profile_changed", key="account_id")
class ProfileChanged(Event, frozen=True, kw_only=True):
    """A person changed the own profile. What is in it stays there; of the preferences one is told: whether what is shown may
    follow from what the person did (``preferences.personalised``, true unless it is false)."""

    account_id: PersonId
    locale: str | None
    personalised: bool = True


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Users(ABC):
    """People as they describe themselves. Who they are is told by auth; the profile follows from its events."""

    @abstractmethod
    @query
    async def get_profile(self, account_id: str) -> Profile:
        """Never "not found": until the profile has arrived it is built from auth's own answer."""

    @abstractmethod
    @mutation(retriable=True)
    async def update_profile(self, account_id: str, patch: ProfilePatch, if_match: str | None) -> Profile: ...

    @abstractmethod
    @query
    async def list_addresses(self, account_id: str, page: PageQuery) -> Page[SavedAddress]: ...

    @abstractmethod
    @query
    async def get_address(self, account_id: str, address_id: str) -> SavedAddress:
        """:raises NotFound: it is not an address of this account."""

    @abstractmethod
    @mutation(retriable=True)
    async def add_address(self, account_id: str, address: Address) -> SavedAddress: ...

    @abstractmethod
    @mutation(retriable=True)
    async def update_address(
        self, account_id: str, address_id: str, patch: AddressPatch, if_match: str | None
    ) -> SavedAddress: ...

    @abstractmethod
    @mutation(retriable=True)
    async def delete_address(self, account_id: str, address_id: str, if_match: str | None) -> None: ...


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class UsersHooks:
    @hookspec
    def provide_users(self, context: PluginContext) -> Users:  # type: ignore[empty-body]
        """The capability's provider."""
