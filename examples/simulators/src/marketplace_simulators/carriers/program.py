"""The carrier's HTTP interface."""

from __future__ import annotations

from aiohttp import web

from marketplace_simulators.carriers.domain import Advance, NewShipment, RateRequest, view
from marketplace_simulators.carriers.label import label
from marketplace_simulators.carriers.service import Service
from marketplace_simulators.carriers.shipments import SCHEMA, Shipments
from marketplace_simulators.server import Context, Program
from marketplace_simulators.wire import body_of, json_response, page_of

__all__ = ["Carriers"]


class Carriers(Program):
    name = "carriers"
    description = "A carrier to develop and test against."
    schema = SCHEMA
    operations = {"rates": False, "create": False}  # noqa: RUF012

    def __init__(self, context: Context) -> None:
        self._url = context.url
        self._operations = context.operations
        self._shipments = Shipments(context.store)
        self._service = Service(self._shipments, context.clock, context.faults, context.url)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/rates", self.rates),
            web.post("/shipments", self.ship),
            web.get("/shipments", self.shipments),
            web.get("/shipments/{tracking_number}", self.shipment),
            web.post("/shipments/{tracking_number}/advance", self.advance),
            web.get("/labels/{tracking_number}.pdf", self.label),
        ]

    async def rates(self, request: web.Request) -> web.StreamResponse:
        body = await body_of(request, RateRequest)
        return await self._operations.asked(request, "rates", lambda: self._service.rates(body))

    async def ship(self, request: web.Request) -> web.StreamResponse:
        body = await body_of(request, NewShipment)
        return await self._operations.once(request, "create", body, lambda _: self._service.ship(body))

    async def advance(self, request: web.Request) -> web.StreamResponse:
        body, number = await body_of(request, Advance), request.match_info["tracking_number"]
        return await self._operations.directed(request, lambda: self._service.advance(number, body))

    async def shipment(self, request: web.Request) -> web.Response:
        self._operations.up("any")
        return json_response(view(self._service.find(request.match_info["tracking_number"]), self._url))

    async def shipments(self, request: web.Request) -> web.Response:
        page = page_of(request)
        rows = self._shipments.list(request.query.get("reference"), page)
        following = rows[-1].seq if len(rows) == page.limit else None
        return json_response({"items": [view(row, self._url) for row in rows], "next": following})

    async def label(self, request: web.Request) -> web.Response:
        self._operations.up("any")
        shipment = self._service.find(request.match_info["tracking_number"])
        return web.Response(body=label(shipment), content_type="application/pdf")
