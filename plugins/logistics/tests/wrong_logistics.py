"""Logistics with one mistake each: methods that stand in for those of the right ones, and parts that are changed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import pytest
from marketplace_logistics import domain, service
from marketplace_logistics.carriers import Carriers
from marketplace_logistics.service import LogisticsService
from msgspec.structs import replace

from marketplace_core import calls
from marketplace_core.capabilities.logistics import Carrier, Consignment, NewTrackingEvent, RateRequest, ShipmentQuery
from marketplace_core.errors import Conflict, NotFound, Refused
from marketplace_core.testing.contracts import Method, Wrong
from marketplace_core.testing.contracts.hooks import takes_every_webhook, trusts_everybody
from marketplace_core.testing.contracts.surroundings import BUYER, CARRIER
from marketplace_core.values import Money, Page, new_id

__all__ = ["MISTAKES"]

Methods = Mapping[str, Method]
Mistake = Callable[[Any, pytest.MonkeyPatch], Methods]
"""From the right service to the methods that are wrong."""

# ── rates ────────────────────────────────────────────────────────────────────────────────────────────────────


def shows_the_dearest_first(right: Any, _: Any) -> Methods:
    async def get_rates(requests: list[RateRequest]) -> Any:
        return [options[::-1] for options in await right.get_rates(requests)]

    return {"get_rates": get_rates}


def hides_that_it_is_flat(right: Any, _: Any) -> Methods:
    async def get_rates(requests: list[RateRequest]) -> Any:
        return [[replace(option, flat=False) for option in options] for options in await right.get_rates(requests)]

    return {"get_rates": get_rates}


def sends_what_nobody_takes(right: Any, _: Any) -> Methods:
    async def get_rates(requests: list[RateRequest]) -> Any:
        [some, *_] = await right.get_rates([replace(request, weight_g=500) for request in requests])
        return [options or some for options in await right.get_rates(requests)]

    return {"get_rates": get_rates}


def counts_all_money_alike(right: Any, _: Any) -> Methods:
    async def get_rates(requests: list[RateRequest]) -> Any:
        euros = await right.get_rates([replace(request, currency="EUR") for request in requests])
        return [
            [replace(option, price=Money(option.price.amount, request.currency)) for option in options]
            for request, options in zip(requests, euros, strict=True)
        ]

    return {"get_rates": get_rates}


def believes_any_time(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    patch.setattr(domain, "_not_ahead", lambda event, now: event)
    return {}


# ── parcels ──────────────────────────────────────────────────────────────────────────────────────────────────


def _asking(patch: pytest.MonkeyPatch, create: Callable[[Carrier, str, Consignment], Awaitable[Any]]) -> Methods:
    """Every carrier is asked for its parcels like this."""
    right = Carriers.find

    async def find(self: Carriers, name: str) -> Any:
        carrier = await right(self, name)
        return None if carrier is None else Wrong(carrier, {"create": partial(create, carrier)})

    patch.setattr(Carriers, "find", find)
    return {}


def asks_for_two(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def create(carrier: Carrier, key: str, wanted: Consignment) -> Any:
        await carrier.create(new_id(), wanted)
        return await carrier.create(key, wanted)

    return _asking(patch, create)


def asks_again_by_another_key(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def create(carrier: Carrier, key: str, wanted: Consignment) -> Any:
        return await carrier.create(new_id(), wanted)

    return _asking(patch, create)


def sends_it_another_way(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def create(carrier: Carrier, key: str, wanted: Consignment) -> Any:
        try:
            return await carrier.create(key, wanted)
        except Refused:
            return await carrier.create(key, replace(wanted, service="standard"))

    return _asking(patch, create)


def asks_nobody_again(right: Any, _: Any) -> Methods:
    async def retry_shipment(shipment_id: str) -> Any:
        return replace(await right.find_shipment(shipment_id), status="pending", refusal=None)

    return {"retry_shipment": retry_shipment}


def refuses_what_was_taken(right: Any, _: Any) -> Methods:
    async def retry_shipment(shipment_id: str) -> Any:
        if (await right.find_shipment(shipment_id)).refusal is None:
            raise Conflict("logistics.wrong_state")
        return await right.retry_shipment(shipment_id)

    return {"retry_shipment": retry_shipment}


def keeps_the_refusal(right: Any, _: Any) -> Methods:
    async def retry_shipment(shipment_id: str) -> Any:
        return replace(await right.retry_shipment(shipment_id), refusal="declined")

    return {"retry_shipment": retry_shipment}


def asks_for_what_a_seller_delivers(right: Any, _: Any) -> Methods:
    async def retry_shipment(shipment_id: str) -> Any:
        try:
            return await right.retry_shipment(shipment_id)
        except Conflict:
            return await right.find_shipment(shipment_id)

    return {"retry_shipment": retry_shipment}


def has_one_number_per_package(right: Any, _: Any) -> Methods:
    first: dict[str, str] = {}

    async def get_shipment(carrier: str, shipment_id: str) -> Any:
        found = await right.get_shipment(carrier, shipment_id)
        return replace(found, tracking_number=first.setdefault(found.package_id, found.tracking_number))

    return {"get_shipment": get_shipment}


def asks_carriers_for_everything(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    async def is_own(*_: Any) -> bool:
        return False

    patch.setattr(LogisticsService, "_is_own", is_own)
    return {}


# ── who sees what ────────────────────────────────────────────────────────────────────────────────────────────


def shows_labels_to_every_seller(right: Any, _: Any) -> Methods:
    async def get_label(seller_id: str, shipment_id: str) -> Any:
        return await right.get_carrier_label(CARRIER, shipment_id)

    return {"get_label": get_label}


def says_who_it_is_for(right: Any, _: Any) -> Methods:
    async def get_tracking(token: str) -> Any:
        found = await right.get_tracking(token)
        return replace(found, tracking_number=f"{found.tracking_number} for {BUYER.name}")

    return {"get_tracking": get_tracking}


def follows_ids_like_tokens(right: Any, _: Any) -> Methods:
    async def get_tracking(token: str) -> Any:
        try:
            return await right.get_tracking(token)
        except NotFound:
            return await right.get_shipment(CARRIER, token)

    return {"get_tracking": get_tracking}


def pages_by_number(right: Any, _: Any) -> Methods:
    async def list_shipments(carrier: str, query: ShipmentQuery) -> Any:
        begin = int(query.cursor or 0)
        found = await right.list_shipments(carrier, replace(query, limit=100, cursor=None))
        more = begin + query.limit < len(found.items)
        return Page(found.items[begin : begin + query.limit], str(begin + query.limit) if more else None)

    return {"list_shipments": list_shipments}


def shares_cursors_between_filters(right: Any, _: Any) -> Methods:
    async def list_shipments(carrier: str, query: ShipmentQuery) -> Any:
        return await right.list_shipments(carrier, replace(query, status=None))

    return {"list_shipments": list_shipments}


def finds_what_is_new_only(right: Any, _: Any) -> Methods:
    async def list_shipments(carrier: str, query: ShipmentQuery) -> Any:
        found = await right.list_shipments(carrier, query)
        return found if query.status else replace(found, items=[each for each in found.items if not each.events])

    return {"list_shipments": list_shipments}


def does_not_look_when(right: Any, _: Any) -> Methods:
    async def list_shipments(carrier: str, query: ShipmentQuery) -> Any:
        return await right.list_shipments(carrier, replace(query, updated_after=None))

    return {"list_shipments": list_shipments}


# ── where it is ──────────────────────────────────────────────────────────────────────────────────────────────


def believes_the_last_word(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    def take(record: domain.Shipment, events: Any, now: Any) -> Any:
        new = domain.take(record, events, now)
        if new:
            record.status = new[-1].code
        return new

    patch.setattr(service, "take", take)
    return {}


def drops_what_is_late(_: Any, patch: pytest.MonkeyPatch) -> Methods:
    def take(record: domain.Shipment, events: Any, now: Any) -> Any:
        latest = record.events[-1].occurred_at if record.events else None
        return domain.take(record, [event for event in events if latest is None or event.occurred_at >= latest], now)

    patch.setattr(service, "take", take)
    return {}


def knows_no_keys(right: Any, _: Any) -> Methods:
    async def add_event(carrier: str, shipment_id: str, event: NewTrackingEvent) -> Any:
        with calls.keyless():
            return await right.add_event(carrier, shipment_id, event)

    return {"add_event": add_event}


def follows_every_number(right: Any, _: Any) -> Methods:
    """Whoever named it."""
    known: dict[str | None, Any] = {}

    async def get_tracking(token: str) -> Any:
        found = await right.get_tracking(token)
        return known.setdefault(found.tracking_number, found)

    return {"get_tracking": get_tracking}


def _of(*mistakes: Mistake) -> dict[str, Mistake]:
    return {mistake.__name__: mistake for mistake in mistakes}


MISTAKES: dict[str, dict[str, Mistake]] = {
    "test_options_come_cheapest_first_in_the_order_of_the_requests": _of(shows_the_dearest_first),
    "test_a_flat_option_stands_in_for_carriers_that_do_not_answer": _of(hides_that_it_is_flat, counts_all_money_alike),
    "test_what_a_carrier_refuses_has_no_option": _of(sends_what_nobody_takes),
    "test_what_is_dated_ahead_does_not_stay_on_top": _of(believes_any_time),
    "test_a_package_is_sent_once": _of(asks_for_two),
    "test_a_package_may_go_in_parts": _of(has_one_number_per_package),
    "test_a_carrier_in_trouble_only_delays": _of(asks_again_by_another_key),
    "test_a_refusal_is_an_exception_that_a_person_sees": _of(sends_it_another_way),
    "test_a_person_has_the_carrier_asked_again_that_refused": _of(asks_nobody_again, refuses_what_was_taken, keeps_the_refusal),
    "test_no_carrier_is_asked_again_that_never_was": _of(asks_for_what_a_seller_delivers),
    "test_what_a_seller_delivers_is_asked_of_no_carrier": _of(asks_carriers_for_everything),
    "test_a_label_is_its_sellers_and_its_carriers": _of(shows_labels_to_every_seller),
    "test_anybody_with_the_token_sees_the_way_and_nobody_sees_the_buyer": _of(says_who_it_is_for, follows_ids_like_tokens),
    "test_pages_of_a_carrier_go_on_where_they_ended": _of(pages_by_number, shares_cursors_between_filters),
    "test_a_carrier_asks_for_what_has_changed_since": _of(finds_what_is_new_only, does_not_look_when),
    "test_late_events_are_kept_and_the_status_never_goes_back": _of(believes_the_last_word, drops_what_is_late),
    "test_one_key_adds_one_event": _of(knows_no_keys),
    "test_a_webhook_is_taken_once": _of(takes_every_webhook),
    "test_webhooks_in_any_order_end_alike": _of(believes_the_last_word, drops_what_is_late),
    "test_webhooks_that_nobody_signed_or_long_ago": _of(trusts_everybody),
    "test_webhooks_that_say_nothing_to_us_are_ignored_once": _of(takes_every_webhook),
    "test_a_sellers_word_is_not_the_carriers_number": _of(follows_every_number),
}
