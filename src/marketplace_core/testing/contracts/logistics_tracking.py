"""The part of the suite of logistics that is about where a parcel is: its status never goes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from marketplace_core import calls
from marketplace_core.capabilities.logistics import Logistics, NewTrackingEvent
from marketplace_core.errors import MarketplaceError
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.surroundings import CARRIER, hook, shipped, tell
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.values import utc_text

__all__ = ["TrackingRules"]


class TrackingRules:
    @pytest.mark.behaviour("logistics-2")
    async def test_what_is_dated_ahead_does_not_stay_on_top(self, logistics: Logistics, market: Marketplace) -> None:
        shipment, now = await self._sent(market), market.clock.now()
        ahead = NewTrackingEvent(code="exception", occurred_at=now + timedelta(days=27_000))
        told = await logistics.add_event(CARRIER, shipment.shipment_id, ahead)
        assert await logistics.add_event(CARRIER, shipment.shipment_id, ahead) == told
        await market.clock.advance(60)
        found = await logistics.add_event(CARRIER, shipment.shipment_id, NewTrackingEvent(code="in_transit"))
        assert [event.code for event in found.events] == ["exception", "in_transit"]
        assert (found.status, found.events[0].occurred_at < market.clock.now()) == ("in_transit", True)

    # ── by the carrier's people ──────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("logistics-2")
    async def test_late_events_are_kept_and_the_status_never_goes_back(self, logistics: Logistics, market: Marketplace) -> None:
        shipment, now = await self._sent(market), market.clock.now()

        async def add(code: Any, minutes: int) -> Any:
            event = NewTrackingEvent(code=code, location="Berlin", occurred_at=now + timedelta(minutes=minutes))
            return await logistics.add_event(CARRIER, shipment.shipment_id, event)

        assert (await add("out_for_delivery", 2)).status == "out_for_delivery"
        late = await add("in_transit", 1)
        assert late.status == "out_for_delivery"
        assert [(told.code, told.location) for told in late.events] == [
            ("in_transit", "Berlin"),
            ("out_for_delivery", "Berlin"),
        ]
        assert (await add("exception", 3)).status == "exception"
        assert (await add("delivered", 4)).status == "delivered"
        assert (await add("in_transit", 5)).status == "delivered"
        tracking = await logistics.get_tracking(shipment.tracking_token)
        assert (tracking.status, len(tracking.events)) == ("delivered", 5)
        assert [told.occurred_at for told in tracking.events] == sorted(told.occurred_at for told in tracking.events)

    @pytest.mark.behaviour("all-1")
    async def test_one_key_adds_one_event(self, logistics: Logistics, market: Marketplace) -> None:
        shipment = await self._sent(market)
        with calls.scope(calls.Call(key="once")):
            first = await logistics.add_event(CARRIER, shipment.shipment_id, NewTrackingEvent(code="in_transit"))
            await market.clock.advance(60)
            assert await logistics.add_event(CARRIER, shipment.shipment_id, NewTrackingEvent(code="in_transit")) == first
            with pytest.raises(MarketplaceError) as reused:
                await logistics.add_event(CARRIER, shipment.shipment_id, NewTrackingEvent(code="delivered"))
        assert reused.value.code == "idempotency_key_reused"
        assert len((await logistics.get_shipment(CARRIER, shipment.shipment_id)).events) == 1

    # ── by webhooks ──────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("logistics-2")
    async def test_a_webhook_is_taken_once(self, logistics: Logistics, market: Marketplace) -> None:
        shipment = await self._sent(market)
        number = await self._number(logistics, shipment.shipment_id)
        told = _hook(market, number, "in_transit")
        answers = [(await logistics.receive_webhook(told)).status for _ in range(3)]
        assert answers == ["accepted", "duplicate", "duplicate"]
        await market.settle()
        found = await logistics.get_shipment(CARRIER, shipment.shipment_id)
        assert (found.status, [event.code for event in found.events]) == ("in_transit", ["in_transit"])
        same = _hook(market, number, "in_transit", at=found.events[0].occurred_at)  # told anew is not once more
        assert (await logistics.receive_webhook(same)).status == "accepted"
        await market.settle()
        assert await logistics.get_shipment(CARRIER, shipment.shipment_id) == found

    @pytest.mark.behaviour("logistics-2")
    async def test_webhooks_in_any_order_end_alike(self, logistics: Logistics, market: Marketplace) -> None:
        now = market.clock.now()
        way = [("in_transit", 1), ("out_for_delivery", 2), ("delivered", 3)]
        for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
            shipment = await self._sent(market)
            number = await self._number(logistics, shipment.shipment_id)
            for place in order:
                code, minutes = way[place]
                await logistics.receive_webhook(_hook(market, number, code, at=now + timedelta(minutes=minutes)))
                await market.settle()
            found = await logistics.get_shipment(CARRIER, shipment.shipment_id)
            assert (found.status, [event.code for event in found.events]) == ("delivered", [code for code, _ in way])

    @pytest.mark.behaviour("logistics-2")
    async def test_webhooks_that_nobody_signed_or_long_ago(self, logistics: Logistics, market: Marketplace) -> None:
        shipment = await self._sent(market)
        number = await self._number(logistics, shipment.shipment_id)
        for how, code in (
            ({"key": bytes(32)}, "webhooks.bad_signature"),
            ({"age": 301}, "webhooks.stale"),
            ({"age": -301}, "webhooks.stale"),
            ({"source": "another"}, "http.not_found"),
        ):
            await refused(code, logistics.receive_webhook(_hook(market, number, "delivered", id_="msg-1", **how)))
        await market.settle()
        assert (await logistics.get_shipment(CARRIER, shipment.shipment_id)).status == "label_created"
        good = _hook(market, number, "delivered", id_="msg-1")
        assert (await logistics.receive_webhook(good)).status == "accepted"  # none of the others was stored

    @pytest.mark.behaviour("logistics-2")
    async def test_webhooks_that_say_nothing_to_us_are_ignored_once(self, logistics: Logistics, market: Marketplace) -> None:
        shipment = await self._sent(market)
        number = await self._number(logistics, shipment.shipment_id)
        for told in (
            _hook(market, "T-unknown", "delivered"),
            _hook(market, number, "vanished"),
            hook(market, "shipment.weighed", {"tracking_number": number}),
        ):
            assert [(await logistics.receive_webhook(told)).status for _ in range(2)] == ["ignored", "duplicate"]
        await market.settle()
        assert (await logistics.get_shipment(CARRIER, shipment.shipment_id)).status == "label_created"

    async def test_a_sellers_word_is_not_the_carriers_number(self, logistics: Logistics, market: Marketplace) -> None:
        """A seller who names somebody else's number is not told where that parcel is."""
        real = await self._sent(market)
        number = await self._number(logistics, real.shipment_id)
        claimed = await self._sent(market, tracking_number=number, seller_id="other")
        await logistics.receive_webhook(_hook(market, number, "delivered"))
        await market.settle()
        seen = [(await logistics.get_tracking(each.tracking_token)).status for each in (real, claimed)]
        assert seen == ["delivered", "label_created"]

    # ── parts ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _sent(self, market: Marketplace, **changes: Any) -> Any:
        event = shipped(**changes)
        await tell(market, event)
        return event

    async def _number(self, logistics: Logistics, shipment_id: str) -> str:
        number = (await logistics.get_shipment(CARRIER, shipment_id)).tracking_number
        assert number is not None
        return number


def _hook(market: Marketplace, number: str, code: str, **how: Any) -> Any:
    at = how.pop("at", market.clock.now())
    data = {"tracking_number": number, "code": code, "location": None, "occurred_at": utc_text(at)}
    return hook(market, "shipment.event", data, **how)
