"""The routes of users, the same on every audience, whoever provides them: a plugin of the capability returns these from its
``routers`` hook."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.capabilities.users import AddressPatch, Profile, ProfilePatch, SavedAddress, Users
from marketplace_core.http.routing import Answer, Request, Router, everybody_of
from marketplace_core.values import AUDIENCES, AddressInput, Audience, Page, PageQuery

__all__ = ["users_routers"]


def users_routers(users: Users) -> Sequence[Router]:
    return [_router(users, audience) for audience in AUDIENCES]


def _router(users: Users, audience: Audience) -> Router:
    router = Router(audience, "users", roles=everybody_of(audience))

    @router.get("/me")
    async def get_profile(request: Request) -> Profile:
        """Who is logged in."""
        return await users.get_profile(request.account_id)

    @router.patch("/me")
    async def update_profile(request: Request, body: ProfilePatch) -> Profile:
        """Change the own profile; preferences are merged, and null removes one."""
        return await users.update_profile(request.account_id, body, request.if_match)

    @router.get("/me/addresses")
    async def list_addresses(request: Request, query: PageQuery) -> Page[SavedAddress]:
        """The own addresses, the newest first."""
        return await users.list_addresses(request.account_id, query)

    @router.post("/me/addresses")
    async def add_address(request: Request, body: AddressInput) -> Answer[SavedAddress]:
        """Keep an address."""
        address = await users.add_address(request.account_id, body)
        return Answer(address, location=f"/me/addresses/{address.id}")

    @router.get("/me/addresses/{id}")
    async def get_address(request: Request, id: str) -> SavedAddress:
        """One of the own addresses."""
        return await users.get_address(request.account_id, id)

    @router.patch("/me/addresses/{id}")
    async def update_address(request: Request, id: str, body: AddressPatch) -> SavedAddress:
        """Change an address. Orders keep the one that they were placed with."""
        return await users.update_address(request.account_id, id, body, request.if_match)

    @router.delete("/me/addresses/{id}")
    async def delete_address(request: Request, id: str) -> None:
        """Forget an address."""
        await users.delete_address(request.account_id, id, request.if_match)

    return router
