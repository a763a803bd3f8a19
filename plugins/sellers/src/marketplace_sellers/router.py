"""Routes of sellers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta, Struct

from marketplace_core.capabilities.sellers import (
    AdminApplication,
    AdminSeller,
    Application,
    ApplicationDraft,
    ApplicationQuery,
    RequirementValue,
    SellerPage,
    SellerQuery,
    Sellers,
    Shop,
    ShopPatch,
)
from marketplace_core.http.routing import Answer, Request, Router, Upload
from marketplace_core.pictures import PictureItems, Pictures
from marketplace_core.values import Page

__all__ = ["routers"]

CURRENT = "/applications/current"


class Reason(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Annotated[str, Meta(max_length=1000)] = ""


def routers(sellers: Sellers, pictures: Pictures) -> Sequence[Router]:
    return buyer(sellers), seller(sellers, pictures), admin(sellers)


def buyer(sellers: Sellers) -> Router:
    router = Router("buyer", "sellers")

    @router.get("/sellers/{id}", access="anyone", cached="seller:{id}")
    async def get_seller(id: str) -> SellerPage:
        """A shop."""
        return await sellers.get_seller_page(id)

    return router


def seller(sellers: Sellers, pictures: Pictures) -> Router:
    router = Router("seller", "sellers")

    @router.post("/applications", status=202)
    async def apply(request: Request, body: ApplicationDraft) -> Answer[Application]:
        """Apply for a shop."""
        return Answer(await sellers.apply(request.account_id, body), location=CURRENT)

    @router.get(CURRENT)
    async def get_application(request: Request) -> Application:
        """The last application, and what it still needs."""
        return await sellers.get_application(request.account_id)

    @router.post(CURRENT + "/requirements/{key}", status=202)
    async def submit_requirement(request: Request, key: str, body: RequirementValue) -> Answer[Application]:
        """Submit what a requirement asks for; an attested one is confirmed by the value ``accepted``."""
        return Answer(await sellers.submit_requirement(request.account_id, key, body), location=CURRENT)

    @router.get("/shop", access="shop", scope="shop")
    async def get_shop(request: Request) -> Shop:
        """The own shop."""
        return await sellers.get_shop(request.seller_id)

    @router.patch("/shop", access="shop", scope="shop")
    async def update_shop(request: Request, body: ShopPatch) -> Shop:
        """Change the own shop."""
        return await sellers.update_shop(request.seller_id, body, request.if_match)

    @router.post("/shop/logo", access="shop", scope="shop", status=202, count=1)
    async def set_logo(request: Request, files: list[Upload]) -> PictureItems:
        """A new logo of the own shop: it is looked at and drawn, and shown instead of the one before, or rejected."""
        return await sellers.set_logo(request.seller_id, await pictures.keep(files), request.if_match)

    return router


def admin(sellers: Sellers) -> Router:
    router = Router("admin", "sellers", scope="sellers")

    @router.get("/sellers/applications", access="staff")
    async def list_applications(request: Request, query: ApplicationQuery) -> Page[AdminApplication]:
        """Applications, the newest first."""
        return await sellers.list_applications(query)

    @router.post("/sellers/applications/{id}/accept", access="staff", status=202)
    async def accept(request: Request, id: str) -> Application:
        """Open the shop. What is submitted is accepted by that."""
        return await sellers.accept(id)

    @router.post("/sellers/applications/{id}/reject", access="staff", status=202)
    async def reject(request: Request, id: str, body: Reason) -> Application:
        """Turn an application down."""
        return await sellers.reject(id, body.reason)

    for decision in ("accept", "reject", "waive"):
        _decide(router, sellers, decision)

    @router.get("/sellers", access="staff")
    async def list_sellers(request: Request, query: SellerQuery) -> Page[AdminSeller]:
        """Shops, the newest first."""
        return await sellers.list_sellers(query)

    @router.post("/sellers/{id}/suspend", access="staff", status=200)
    async def suspend(request: Request, id: str, body: Reason) -> AdminSeller:
        """Take a shop and all its products away from shoppers, at once. Its orders go on."""
        return await sellers.set_suspended(id, True, body.reason)

    @router.post("/sellers/{id}/reinstate", access="staff", status=200)
    async def reinstate(request: Request, id: str, body: Reason) -> AdminSeller:
        """Let a suspended shop sell again."""
        return await sellers.set_suspended(id, False, body.reason)

    return router


def _decide(router: Router, sellers: Sellers, decision: Literal["accept", "reject", "waive"]) -> None:
    async def decide(request: Request, id: str, key: str, body: Reason) -> Application:
        return await sellers.decide_requirement(id, key, decision, body.reason)

    # A route is known by its handler's name, to which its idempotency keys are bound.
    decide.__name__ = f"{decision}_requirement"
    decide.__doc__ = f"{decision.capitalize()} one requirement of an application."
    router.post(f"/sellers/applications/{{id}}/requirements/{{key}}/{decision}", access="staff", status=202)(decide)
