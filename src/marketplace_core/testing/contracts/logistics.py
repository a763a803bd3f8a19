"""What every provider of :class:`~marketplace_core.capabilities.logistics.Logistics` must do, on its port and on the bus."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from marketplace_core.capabilities.logistics import Logistics, NewTrackingEvent, Place, RateRequest, ShipmentQuery
from marketplace_core.errors import BadCursor, NotFound
from marketplace_core.testing.contracts import refused
from marketplace_core.testing.contracts.logistics_tracking import TrackingRules
from marketplace_core.testing.contracts.surroundings import BUYER, CARRIER, shipped, tell
from marketplace_core.testing.marketplace import Marketplace
from marketplace_core.testing.simulators import Simulator
from marketplace_core.values import new_id

__all__ = ["LogisticsContract"]


def _request(country: str = "DE", weight_g: int = 500, currency: str = "EUR") -> RateRequest:
    there = Place(country, "10115")
    return RateRequest(seller_id="seller", origin=Place("DE", ""), destination=there, weight_g=weight_g, currency=currency)


class LogisticsContract(TrackingRules):
    """Fixtures: ``simulator``, a carrier that runs and sends no webhooks (:mod:`marketplace_core.testing.simulators`), and
    ``market``, a marketplace of the provider, of ``carriers_simulator`` with that one's settings and of a worker.
    """

    @pytest.fixture
    def logistics(self, market: Marketplace) -> Logistics:
        return market.port(Logistics)

    # ── rates ────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("logistics-1")
    async def test_options_come_cheapest_first_in_the_order_of_the_requests(
        self, logistics: Logistics, market: Marketplace
    ) -> None:
        requests = [_request(), _request("FR", 1200), _request()]
        at_home, abroad, again = await logistics.get_rates(requests)
        assert at_home == again and abroad[0].price.amount > at_home[0].price.amount
        for options in (at_home, abroad):
            prices = [option.price.amount for option in options]
            assert prices == sorted(prices) and len({option.id for option in options}) == len(options) > 1
            assert {(option.carrier, option.flat, option.price.currency) for option in options} == {(CARRIER, False, "EUR")}
        today = market.clock.now().date()
        assert [option.estimated for option in at_home] == [str(today + timedelta(days=option.days)) for option in at_home]
        assert await logistics.get_rates([]) == []

    @pytest.mark.behaviour("logistics-1")
    async def test_a_flat_option_stands_in_for_carriers_that_do_not_answer(
        self, logistics: Logistics, simulator: Simulator
    ) -> None:
        await simulator.fault("rates", "down")
        [options] = await logistics.get_rates([_request()])
        assert [(option.flat, option.price.currency) for option in options] == [(True, "EUR")]
        for other in (_request(currency="JPY"), _request(weight_g=2_000_000)):  # a price is of its currency, and not of a tonne
            await simulator.fault("rates", "down")
            assert await logistics.get_rates([other]) == [[]]

    @pytest.mark.behaviour("logistics-4")
    async def test_what_a_carrier_refuses_has_no_option(self, logistics: Logistics, simulator: Simulator) -> None:
        taken, heavy = await logistics.get_rates([_request(), _request(weight_g=2_000_000)])
        assert heavy == [] and not any(option.flat for option in taken)
        await simulator.fault("rates", "decline")
        assert await logistics.get_rates([_request()]) == [[]]

    # ── parcels ──────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.behaviour("logistics-1")
    async def test_a_package_is_sent_once(self, logistics: Logistics, market: Marketplace, simulator: Simulator) -> None:
        event = shipped()
        await tell(market, event, 1, times=2)
        await tell(market, event, 2)
        [parcel] = await simulator.items(f"/shipments?reference={event.shipment_id}")
        found = await logistics.get_shipment(CARRIER, event.shipment_id)
        assert (found.id, found.package_id, found.status) == (event.shipment_id, event.package_id, "label_created")
        assert (found.tracking_number, found.tracking_token) == (parcel["tracking_number"], event.tracking_token)
        assert [(item.item_id, item.quantity) for item in found.items] == [(event.lines[0].item_id, 2)]
        assert (found.to, found.weight_g, found.events) == (BUYER, 750, [])
        assert (parcel["to"]["name"], parcel["weight_g"], parcel["service"]) == (BUYER.name, 750, "standard")

    @pytest.mark.behaviour("logistics-1")
    async def test_a_package_may_go_in_parts(self, logistics: Logistics, market: Marketplace) -> None:
        first = shipped()
        second = shipped(order_id=first.order_id, package_id=first.package_id)
        for number, event in enumerate((first, second), 1):
            await tell(market, event, number)
        numbers = {(await logistics.get_shipment(CARRIER, each.shipment_id)).tracking_number for each in (first, second)}
        assert len(numbers) == 2 and None not in numbers

    @pytest.mark.parametrize("fault", ["timeout_after_success", "down"])
    async def test_a_carrier_in_trouble_only_delays(
        self, logistics: Logistics, market: Marketplace, simulator: Simulator, fault: str
    ) -> None:
        event = shipped()
        await simulator.fault("create", fault)
        await tell(market, event)
        [parcel] = await simulator.items(f"/shipments?reference={event.shipment_id}")
        found = await logistics.get_shipment(CARRIER, event.shipment_id)
        assert (found.status, found.tracking_number) == ("label_created", parcel["tracking_number"])

    async def test_a_refusal_is_an_exception_that_a_person_sees(
        self, logistics: Logistics, market: Marketplace, simulator: Simulator
    ) -> None:
        event = shipped(service="carried by hand")
        await tell(market, event)
        found = await logistics.get_shipment(CARRIER, event.shipment_id)
        assert (found.status, found.tracking_number) == ("exception", None)
        await refused("logistics.carrier_refused", logistics.get_label("seller", event.shipment_id))
        assert await simulator.items(f"/shipments?reference={event.shipment_id}") == []

    async def test_a_person_has_the_carrier_asked_again_that_refused(
        self, logistics: Logistics, market: Marketplace, simulator: Simulator
    ) -> None:
        event = shipped()
        await simulator.fault("create", "decline", 2)
        await tell(market, event)
        for status in ("exception", "label_created"):
            found = await logistics.find_shipment(event.shipment_id)
            assert (found.status, found.order_id, found.seller_id) == ("exception", event.order_id, event.seller_id)
            assert found.refusal
            assert await simulator.items(f"/shipments?reference={event.shipment_id}") == []
            again = await logistics.retry_shipment(event.shipment_id)
            assert (again.id, again.status, again.refusal) == (event.shipment_id, "pending", None)
            await market.settle()
            assert (await logistics.get_shipment(CARRIER, event.shipment_id)).status == status
        taken = await logistics.find_shipment(event.shipment_id)
        assert await logistics.retry_shipment(event.shipment_id) == taken
        await market.settle()
        assert await logistics.find_shipment(event.shipment_id) == taken
        [parcel] = await simulator.items(f"/shipments?reference={event.shipment_id}")
        assert parcel["tracking_number"] == taken.tracking_number

    async def test_no_carrier_is_asked_again_that_never_was(self, logistics: Logistics, market: Marketplace) -> None:
        own = shipped(carrier="own")
        await tell(market, own)
        await refused("logistics.wrong_state", logistics.retry_shipment(own.shipment_id))
        for ask in (logistics.find_shipment, logistics.retry_shipment):
            with pytest.raises(NotFound):
                await ask(new_id())

    @pytest.mark.parametrize("changes", [{"carrier": "own"}, {"tracking_number": "MINE-1"}])
    async def test_what_a_seller_delivers_is_asked_of_no_carrier(
        self, logistics: Logistics, market: Marketplace, simulator: Simulator, changes: dict[str, str]
    ) -> None:
        event = shipped(**changes)
        await tell(market, event)
        tracking = await logistics.get_tracking(event.tracking_token)
        assert (tracking.status, tracking.tracking_number) == ("label_created", changes.get("tracking_number"))
        with pytest.raises(NotFound):
            await logistics.get_label("seller", event.shipment_id)
        assert await simulator.items(f"/shipments?reference={event.shipment_id}") == []

    # ── who sees what ────────────────────────────────────────────────────────────────────────────────────────

    async def test_a_label_is_its_sellers_and_its_carriers(self, logistics: Logistics, market: Marketplace) -> None:
        event = shipped()
        await tell(market, event)
        label = await logistics.get_label("seller", event.shipment_id)
        assert label.content.startswith(b"%PDF")
        assert await logistics.get_carrier_label(CARRIER, event.shipment_id) == label
        for asked in (
            lambda: logistics.get_label("other", event.shipment_id),
            lambda: logistics.get_label("seller", new_id()),
            lambda: logistics.get_carrier_label("another", event.shipment_id),
            lambda: logistics.get_shipment("another", event.shipment_id),
            lambda: logistics.get_shipment(CARRIER, new_id()),
            lambda: logistics.add_event("another", event.shipment_id, NewTrackingEvent(code="returned")),
        ):
            with pytest.raises(NotFound):
                await asked()

    async def test_anybody_with_the_token_sees_the_way_and_nobody_sees_the_buyer(
        self, logistics: Logistics, market: Marketplace
    ) -> None:
        event = shipped()
        await tell(market, event)
        tracking = await logistics.get_tracking(event.tracking_token)
        assert (tracking.carrier, tracking.status) == (CARRIER, "label_created")
        assert not any(secret in repr(tracking) for secret in (BUYER.name, BUYER.line1, event.shipment_id, event.order_id))
        for token in ("", event.shipment_id, event.tracking_token + "x"):
            with pytest.raises(NotFound):
                await logistics.get_tracking(token)

    async def test_pages_of_a_carrier_go_on_where_they_ended(self, logistics: Logistics, market: Marketplace) -> None:
        events = [shipped() for _ in range(5)]
        for event in events:
            await tell(market, event)
        await tell(market, shipped(carrier="own"))
        seen: list[str] = []
        cursor = None
        while True:
            page = await logistics.list_shipments(CARRIER, ShipmentQuery(limit=2, cursor=cursor))
            seen += [shipment.id for shipment in page.items]
            if page.next is None:
                break
            cursor = page.next
            await tell(market, shipped())  # comes first, and moves nothing
        assert seen == [event.shipment_id for event in reversed(events)]
        with pytest.raises(BadCursor):
            await logistics.list_shipments(CARRIER, ShipmentQuery(limit=2, cursor=cursor, status="delivered"))
        assert (await logistics.list_shipments("another", ShipmentQuery())).items == []
        number = (await logistics.get_shipment(CARRIER, events[1].shipment_id)).tracking_number
        [found] = (await logistics.list_shipments(CARRIER, ShipmentQuery(tracking_number=number))).items
        assert found.id == events[1].shipment_id
        assert (await logistics.list_shipments(CARRIER, ShipmentQuery(status="delivered"))).items == []

    async def test_a_carrier_asks_for_what_has_changed_since(self, logistics: Logistics, market: Marketplace) -> None:
        quiet, moved, new = shipped(), shipped(), shipped()
        times = [market.clock.now() - timedelta(seconds=1)]
        for event in (quiet, moved, new):
            if event is new:
                await logistics.add_event(CARRIER, moved.shipment_id, NewTrackingEvent(code="in_transit"))
            await tell(market, event)
            times.append(market.clock.now())
            await market.clock.advance(60)

        async def since(number: int, **filters: Any) -> list[str]:
            query = ShipmentQuery(updated_after=times[number], **filters)
            return [shipment.id for shipment in (await logistics.list_shipments(CARRIER, query)).items]

        ids = [event.shipment_id for event in (new, moved, quiet)]
        assert [await since(number) for number in range(4)] == [ids, ids[:2], ids[:2], []]
        assert await since(2, status="in_transit") == [moved.shipment_id]
        assert await since(1, tracking_number=(await logistics.find_shipment(quiet.shipment_id)).tracking_number) == []
