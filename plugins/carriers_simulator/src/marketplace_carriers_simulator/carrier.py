"""The simulated carrier as logistics sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from urllib.parse import quote

import msgspec
import structlog

from marketplace_carriers_simulator.wire import NewShipment, Parcel, RateQuestion, Rates, ShipmentView, Webhook, WebhookEvent
from marketplace_core import webhooks
from marketplace_core.capabilities.logistics import (
    Carrier,
    CarrierEvent,
    CarrierParcel,
    CarrierRate,
    Consignment,
    RateRequest,
)
from marketplace_core.errors import Refused, Unavailable
from marketplace_core.http.client import Declined, JsonClient

__all__ = ["SimulatedCarrier"]

log = structlog.get_logger("marketplace.carriers_simulator")


class SimulatedCarrier(Carrier):
    title = "Simulated carrier"

    def __init__(self, client: JsonClient | None, keys: Sequence[bytes]) -> None:
        """``client`` is None, and ``keys`` is empty, where nobody has said where the simulator is: then it is away."""
        self._client = client
        self._keys = keys

    async def rates(self, requests: Sequence[RateRequest]) -> list[list[CarrierRate]]:
        questions = [_question(request) for request in requests]
        different = list(dict.fromkeys(questions))
        answers = await asyncio.gather(*(self._rates(question) for question in different))
        found = dict(zip(different, answers, strict=True))
        return [found[question] for question in questions]

    async def _rates(self, question: RateQuestion) -> list[CarrierRate]:
        try:
            return (await self._reached().ask("POST", "/rates", Rates, body=question)).to_rates()
        except Declined as error:
            log.warning("rates.declined", carrier="simulator", cause=error.detail)
            return []

    async def create(self, key: str, consignment: Consignment) -> CarrierParcel:
        body = NewShipment(
            reference=consignment.reference,
            service=consignment.service,
            from_=consignment.origin,
            to=msgspec.to_builtins(consignment.destination),
            items=consignment.items,
            weight_g=consignment.weight_g,
        )
        try:
            return (await self._reached().ask("POST", "/shipments", ShipmentView, body=body, key=key)).to_parcel()
        except Declined as error:
            raise _refused(error) from error

    async def label(self, tracking_number: str) -> bytes:
        try:
            return await self._reached().fetch(f"/labels/{quote(tracking_number, safe='')}.pdf")
        except Declined as error:
            raise _refused(error) from error

    async def get(self, tracking_number: str) -> CarrierParcel | None:
        try:
            path = f"/shipments/{quote(tracking_number, safe='')}"
            return (await self._reached().ask("GET", path, ShipmentView)).to_parcel()
        except Declined as error:
            if error.status == 404:
                return None
            raise _refused(error) from error

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> CarrierEvent:
        if not self._keys:
            raise Unavailable("No secret for the simulator's webhooks is set.")
        id_ = webhooks.verify(self._keys, headers, body, now)
        try:
            webhook = msgspec.json.decode(body, type=Webhook)
            if webhook.type == "shipment.event":
                told = msgspec.convert(webhook.data, WebhookEvent)
                return CarrierEvent(id=id_, tracking_number=told.tracking_number, event=told.to_event())
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass  # signed, and yet nothing that we know
        return CarrierEvent(id=id_, tracking_number=None, event=None)

    def _reached(self) -> JsonClient:
        if self._client is None:
            raise Unavailable("The address of the simulated carrier is not set.")
        return self._client


def _question(request: RateRequest) -> RateQuestion:
    return RateQuestion(request.origin, request.destination, (Parcel(request.weight_g),), request.currency)


def _refused(error: Declined) -> Refused:
    return Refused("logistics.carrier_refused", error.detail or error.code or f"It answered {error.status}.")
