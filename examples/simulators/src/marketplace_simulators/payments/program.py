"""The gateway's HTTP interface."""

from __future__ import annotations

import msgspec
from aiohttp import web

from marketplace_simulators.operations import Outcome
from marketplace_simulators.payments import pages
from marketplace_simulators.payments.domain import (
    Capture,
    Challenge,
    NewPayment,
    NewTransfer,
    OperationView,
    Refund,
    Void,
    view,
)
from marketplace_simulators.payments.ledger import SCHEMA, Ledger
from marketplace_simulators.payments.service import Service
from marketplace_simulators.server import Context, Program
from marketplace_simulators.wire import Refused, body_of, json_response, page_of

__all__ = ["Payments"]


class Payments(Program):
    name = "payments"
    description = "A payment gateway to develop and test against."
    schema = SCHEMA
    operations = {"authorize": True, "capture": True, "void": True, "refund": True, "transfer": False}  # noqa: RUF012

    def __init__(self, context: Context) -> None:
        self._url = context.url
        self._operations = context.operations
        self._ledger = Ledger(context.store, context.clock)
        self._service = Service(self._ledger, context.clock, context.faults, context.url)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/payments", self.pay),
            web.get("/payments", self.payments),
            web.get("/payments/{id}", self.payment),
            web.post("/payments/{id}/capture", self.capture),
            web.post("/payments/{id}/void", self.void),
            web.post("/payments/{id}/refund", self.refund),
            web.post("/transfers", self.transfer),
            web.get("/challenges/{id}", self.challenge_page),
            web.post("/challenges/{id}", self.challenge),
            web.get("/ledger", self.ledger),
        ]

    def tick(self) -> None:
        if self._service.overdue():
            self._operations.by_itself(self._service.expire)

    async def pay(self, request: web.Request) -> web.StreamResponse:
        body = await body_of(request, NewPayment)
        return await self._operations.once(request, "authorize", body, lambda k: self._service.pay(body, k))

    async def capture(self, request: web.Request) -> web.StreamResponse:
        body, id_ = await body_of(request, Capture), request.match_info["id"]
        return await self._operations.once(request, "capture", body, lambda k: self._service.capture(id_, body, k))

    async def void(self, request: web.Request) -> web.StreamResponse:
        body, id_ = await body_of(request, Void), request.match_info["id"]
        return await self._operations.once(request, "void", body, lambda k: self._service.void(id_, k))

    async def refund(self, request: web.Request) -> web.StreamResponse:
        body, id_ = await body_of(request, Refund), request.match_info["id"]
        return await self._operations.once(request, "refund", body, lambda k: self._service.refund(id_, body, k))

    async def transfer(self, request: web.Request) -> web.StreamResponse:
        body = await body_of(request, NewTransfer)
        return await self._operations.once(request, "transfer", body, lambda k: self._service.transfer(body, k))

    async def payment(self, request: web.Request) -> web.Response:
        self._operations.up("any")
        return json_response(view(self._service.find(request.match_info["id"]), self._url))

    async def payments(self, request: web.Request) -> web.Response:
        self._operations.up("any")
        page = page_of(request)
        rows = self._ledger.payments(request.query.get("reference"), page)
        following = rows[-1].seq if len(rows) == page.limit else None
        return json_response({"items": [view(row, self._url) for row in rows], "next": following})

    async def ledger(self, request: web.Request) -> web.Response:
        page = page_of(request)
        rows = self._ledger.operations(request.query.get("reference"), page)
        following = rows[-1].seq if len(rows) == page.limit else None
        return json_response({"items": [OperationView.of(row) for row in rows], "next": following})

    async def challenge_page(self, request: web.Request) -> web.Response:
        payment = self._service.challenged(request.match_info["id"])
        page = pages.challenge if payment.state == "requires_action" else pages.settled
        return web.Response(text=page(payment), content_type="text/html")

    async def challenge(self, request: web.Request) -> web.StreamResponse:
        id_ = request.match_info["id"]
        if request.content_type == "application/x-www-form-urlencoded":
            return await self._form(request, id_)
        answer = await body_of(request, Challenge)
        return await self._operations.directed(request, lambda: self._service.challenge(id_, answer))

    async def _form(self, request: web.Request, id_: str) -> web.StreamResponse:
        """From the page. Whatever was answered before, a browser is sent on to the shop."""
        try:
            answer = msgspec.convert({"outcome": (await request.post()).get("outcome")}, Challenge)
        except msgspec.ValidationError as error:
            raise Refused(422, "validation", str(error)) from error
        payment = self._service.challenged(id_)
        address = pages.return_address(payment)

        def act() -> Outcome:
            try:
                return self._service.challenge(id_, answer)
            except Refused as error:
                if error.status != 409:
                    raise
                return Outcome(303, None)

        if address is None:
            response = web.Response(text="Thank you. You may close this page.")
        else:
            response = web.Response(status=303, headers={"Location": address})
        return await self._operations.directed(request, act, response)
