"""The routes of logistics."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.capabilities.logistics import (
    AdminShipment,
    CarrierShipment,
    Logistics,
    NewTrackingEvent,
    ShipmentQuery,
    Tracking,
)
from marketplace_core.errors import Forbidden
from marketplace_core.http.routing import Content, Request, Router
from marketplace_core.values import Page
from marketplace_core.webhooks import WebhookAnswer, raw_webhook

__all__ = ["routers"]

PDF = "application/pdf"


def routers(logistics: Logistics) -> Sequence[Router]:
    return buyer(logistics), seller(logistics), carrier(logistics), admin(logistics)


def buyer(logistics: Logistics) -> Router:
    router = Router("buyer", "logistics")

    @router.get("/tracking/{token}", access="anyone")
    async def get_tracking(token: str) -> Tracking:
        """Where a parcel is, for whoever has its token."""
        return await logistics.get_tracking(token)

    return router


def seller(logistics: Logistics) -> Router:
    router = Router("seller", "logistics", scope="orders")

    @router.get("/shipments/{id}/label", access="shop", media_type=PDF)
    async def get_label(request: Request, id: str) -> Content:
        """The label of one of the shop's shipments, as PDF."""
        label = await logistics.get_label(request.seller_id, id)
        return _pdf(label.content, id)

    return router


def carrier(logistics: Logistics) -> Router:
    router = Router("logistics", "logistics", scope="shipments")

    @router.get("/shipments", access="staff")
    async def list_shipments(request: Request, query: ShipmentQuery) -> Page[CarrierShipment]:
        """The carrier's shipments, the latest first."""
        return await logistics.list_shipments(_carrier(request), query)

    @router.get("/shipments/{id}", access="staff")
    async def get_shipment(request: Request, id: str) -> CarrierShipment:
        """One of the carrier's shipments."""
        return await logistics.get_shipment(_carrier(request), id)

    @router.get("/shipments/{id}/label", access="staff", media_type=PDF)
    async def get_label(request: Request, id: str) -> Content:
        """The label of one of the carrier's shipments, as PDF."""
        label = await logistics.get_carrier_label(_carrier(request), id)
        return _pdf(label.content, id)

    @router.post("/shipments/{id}/events", access="staff", status=200)
    async def add_event(request: Request, id: str, body: NewTrackingEvent) -> CarrierShipment:
        """Say what happened to a parcel. It is kept even when late; the status never goes back."""
        return await logistics.add_event(_carrier(request), id, body)

    @router.post("/webhooks/carriers/{carrier}", access="guest", status=200, key="ignored")
    async def receive_webhook(request: Request, carrier: str, raw: bytes) -> WebhookAnswer:
        """What a carrier tells of a parcel, signed."""
        return await logistics.receive_webhook(raw_webhook(carrier, request.headers, raw))

    return router


def admin(logistics: Logistics) -> Router:
    router = Router("admin", "logistics", scope="shipments")

    @router.get("/shipments/{id}", access="staff")
    async def get_shipment(id: str) -> AdminShipment:
        """Any shipment, and why no carrier takes it."""
        return await logistics.find_shipment(id)

    @router.post("/shipments/{id}/retry", access="staff", status=202)
    async def retry_shipment(id: str) -> AdminShipment:
        """Ask the carrier again that refused it."""
        return await logistics.retry_shipment(id)

    return router


def _carrier(request: Request) -> str:
    """The carrier that the account acts for."""
    if request.caller.carrier is None:
        raise Forbidden("auth.forbidden", "This account acts for no carrier.")
    return request.caller.carrier


def _pdf(content: bytes, shipment_id: str) -> Content:
    return Content(content, PDF, f"{shipment_id}.pdf")
