"""What every :class:`~marketplace_core.capabilities.logistics.Carrier` must do, beside the service that it speaks to."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from datetime import UTC, date, datetime, timedelta

import pytest

from marketplace_core.capabilities.logistics import Carrier, Consignment, EventCode, Place, RateRequest
from marketplace_core.capabilities.orders import ShippedItem, TrackingEvent
from marketplace_core.errors import Unavailable
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.hooks import RawHook
from marketplace_core.values import Address, new_id

__all__ = ["CarrierContract", "Depot"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
THERE = Address(name="Ada", line1="1 Test Street", city="Paris", postal_code="75001", country="FR", phone="1")
FACTS = TrackingEvent("in_transit", "Berlin", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


class Depot(ABC):
    """The service itself, as a test makes it behave; mostly a sandbox or a simulator. ``too_heavy`` in grams."""

    too_heavy: int

    @abstractmethod
    async def lose_answer(self) -> None:
        """The next parcel is made, and the answer does not come."""

    @abstractmethod
    async def fall_over(self) -> None:
        """The next request is answered with an error of the service's own, and nothing is done."""

    @abstractmethod
    async def parcels(self, reference: str) -> list[str]:
        """The tracking numbers of what was really made by that reference."""

    @abstractmethod
    async def advance(self, tracking_number: str, event: TrackingEvent) -> None:
        """What happens to a parcel next."""

    @abstractmethod
    def webhook(
        self, tracking_number: str, event: TrackingEvent | None, *, id_: str, at: datetime, signed: bool = True
    ) -> RawHook:
        """As the service sends it; ``event`` None: of a type that we do not know; not ``signed``: by a stranger."""


class CarrierContract:
    """Fixtures: ``carrier``, which takes parcels from Germany to France, and ``depot``, the :class:`Depot` behind it."""

    # ── rates ────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("logistics-1")
    async def test_rates_come_in_the_order_of_the_requests(self, carrier: Carrier, depot: Depot) -> None:
        light, heavy, too_heavy = _request(500), _request(1500), _request(depot.too_heavy)
        answers = await carrier.rates([light, too_heavy, heavy, light])
        assert [bool(rates) for rates in answers] == [True, False, True, True]
        assert answers[0] == answers[3] == (await carrier.rates([light]))[0]
        assert [answers[2]] == await carrier.rates([heavy])
        for rate in answers[0]:
            assert rate.price.currency == "EUR" and rate.price.amount > 0 and rate.days >= 0 and rate.title
        assert len({rate.service for rate in answers[0]}) == len(answers[0])
        assert await carrier.rates([]) == []

    async def test_rates_of_a_service_that_is_not_well_are_unknown(self, carrier: Carrier, depot: Depot) -> None:
        await depot.fall_over()
        with pytest.raises(Unavailable):
            await carrier.rates([_request(500)])

    # ── parcels ──────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("logistics-1")
    async def test_one_key_makes_one_parcel(self, carrier: Carrier, depot: Depot) -> None:
        wanted, key = await self._wanted(carrier), new_id()
        made = await carrier.create(key, wanted)
        assert (made.status, made.events) == ("label_created", [])
        if made.estimated_delivery is not None:
            date.fromisoformat(made.estimated_delivery)
        for again in await asyncio.gather(*(carrier.create(key, wanted) for _ in range(5))):
            assert again.tracking_number == made.tracking_number
        assert await depot.parcels(wanted.reference) == [made.tracking_number]
        second = await carrier.create(new_id(), wanted)  # a package may be split
        assert sorted(await depot.parcels(wanted.reference)) == sorted([made.tracking_number, second.tracking_number])

    @pytest.mark.behaviour("logistics-1")
    async def test_a_lost_answer_is_asked_for_by_the_same_key(self, carrier: Carrier, depot: Depot) -> None:
        wanted, key = await self._wanted(carrier), new_id()
        await depot.lose_answer()
        with pytest.raises(Unavailable):
            await carrier.create(key, wanted)
        made = await carrier.create(key, wanted)
        assert await depot.parcels(wanted.reference) == [made.tracking_number]

    async def test_what_the_carrier_does_not_do_is_refused(self, carrier: Carrier, depot: Depot) -> None:
        wanted = await self._wanted(carrier, service="carried by hand")
        await refused("logistics.carrier_refused", carrier.create(new_id(), wanted))
        assert await depot.parcels(wanted.reference) == []
        await refused("logistics.carrier_refused", carrier.label("nothing"))

    async def test_a_service_that_is_not_well_has_decided_nothing(self, carrier: Carrier, depot: Depot) -> None:
        wanted, key = await self._wanted(carrier), new_id()
        await depot.fall_over()
        with pytest.raises(Unavailable):
            await carrier.create(key, wanted)
        assert await depot.parcels(wanted.reference) == []
        made = await carrier.create(key, wanted)
        for ask in (carrier.get, carrier.label):
            await depot.fall_over()
            with pytest.raises(Unavailable):
                await ask(made.tracking_number)

    async def test_a_label_is_a_pdf(self, carrier: Carrier) -> None:
        first = await carrier.create(new_id(), await self._wanted(carrier))
        second = await carrier.create(new_id(), await self._wanted(carrier))
        labels = [await carrier.label(parcel.tracking_number) for parcel in (first, second)]
        assert [label[:5] for label in labels] == [b"%PDF-"] * 2 and labels[0] != labels[1]

    @pytest.mark.behaviour("logistics-1")
    async def test_a_parcel_is_where_it_is_now(self, carrier: Carrier, depot: Depot) -> None:
        made = await carrier.create(new_id(), await self._wanted(carrier))
        found = await carrier.get(made.tracking_number)
        assert found == made
        await depot.advance(made.tracking_number, FACTS)
        found = await carrier.get(made.tracking_number)
        assert found is not None and (found.status, found.events) == ("in_transit", [FACTS])
        assert await carrier.get("nothing") is None
        assert await carrier.get("../nothing?at=all") is None

    # ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("logistics-2")
    @pytest.mark.parametrize("code", ["in_transit", "out_for_delivery", "delivered", "exception", "returned"])
    async def test_a_webhook_is_read(self, carrier: Carrier, depot: Depot, code: EventCode) -> None:
        told, ids = TrackingEvent(code, "Berlin", NOW), []
        for late in (0, 200):  # as when it is sent again
            at = NOW + timedelta(seconds=late)
            event = carrier.read_webhook(*depot.webhook("T/1", told, id_="msg-1", at=at), at)
            assert (event.tracking_number, event.event) == ("T/1", told)
            ids.append(event.id)
        other = carrier.read_webhook(*depot.webhook("T/1", told, id_="msg-2", at=NOW), NOW)
        assert ids[0] == ids[1] != other.id

    @pytest.mark.behaviour("logistics-2")
    async def test_a_webhook_of_a_type_that_we_do_not_know(self, carrier: Carrier, depot: Depot) -> None:
        event = carrier.read_webhook(*depot.webhook("T1", None, id_="msg-1", at=NOW), NOW)
        assert event.id and (event.tracking_number, event.event) == (None, None)

    @pytest.mark.behaviour("logistics-2")
    async def test_a_webhook_that_nobody_signed_or_long_ago(self, carrier: Carrier, depot: Depot) -> None:
        async def read(raw: RawHook, now: datetime = NOW) -> object:
            return carrier.read_webhook(*raw, now)

        forged = depot.webhook("T1", FACTS, id_="msg-1", at=NOW, signed=False)
        headers, body = depot.webhook("T1", FACTS, id_="msg-1", at=NOW)
        for raw in (forged, (headers, body.replace(b"T1", b"T2")), ({}, body)):
            await refused("webhooks.bad_signature", read(raw))
        for seconds in (-301, 301):
            await refused("webhooks.stale", read((headers, body), NOW + timedelta(seconds=seconds)))

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _wanted(self, carrier: Carrier, service: str | None = None) -> Consignment:
        """By a reference of its own and, unless one is named, by a service that the carrier offers."""
        if service is None:
            [[rate, *_]] = await carrier.rates([_request(900)])
            service = rate.service
        return Consignment(
            reference=new_id(),
            service=service,
            origin=Place("DE", "10115"),
            destination=THERE,
            items=[ShippedItem("item", 2)],
            weight_g=900,
        )


def _request(weight_g: int) -> RateRequest:
    return RateRequest(
        seller_id="s", origin=Place("DE", "10115"), destination=Place("FR", "75001"), weight_g=weight_g, currency="EUR"
    )
