"""Use cases of logistics. A carrier is asked outside of every transaction; what it says is applied in one, under a lock."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

import structlog
from msgspec import Struct

from marketplace_core import calls
from marketplace_core.capabilities.logistics import (
    AdminShipment,
    Carrier,
    CarrierEvent,
    CarrierParcel,
    CarrierShipment,
    CarrierWebhookReceived,
    Label,
    Logistics,
    NewTrackingEvent,
    RateOption,
    RateRequest,
    ShipmentQuery,
    ShipmentRequested,
    Tracking,
)
from marketplace_core.capabilities.orders import Orders, PackageShipped
from marketplace_core.errors import Conflict, NotFound, Refused, Unavailable
from marketplace_core.ports import StoredWebhook, UnitOfWork, Units, WebhookInbox, command, handler, handler_after, natural
from marketplace_core.values import Clock, Page
from marketplace_core.webhooks import RawWebhook, WebhookAnswer
from marketplace_logistics import views
from marketplace_logistics.carriers import Carriers
from marketplace_logistics.config import LogisticsConfig
from marketplace_logistics.domain import FLAT, OWN, Shipment, TrackingEvent, status_of, take
from marketplace_logistics.labels import Labels
from marketplace_logistics.rates import Rates
from marketplace_logistics.store import LogisticsStore

__all__ = ["LogisticsService"]

log = structlog.get_logger("marketplace.logistics")

#: Parcels of one carrier that are asked after at a time.
POLL_AT_ONCE = 8


class Refusal(Struct, frozen=True):
    """No carrier takes it; ``detail`` is what a person reads."""

    detail: str


#: What became of asking: a parcel, the carrier that will be asked, a refusal, or nothing to do.
Found = CarrierParcel | RateOption | Refusal | None


class LogisticsService(Logistics):
    def __init__(
        self,
        units: Units,
        store: LogisticsStore,
        webhooks: WebhookInbox[TrackingEvent],
        carriers: Carriers,
        labels: Labels,
        orders: Callable[[], Orders | None],
        clock: Clock,
        config: LogisticsConfig,
        currency: str,
    ) -> None:
        """``orders`` is called when it is first needed: orders asks for this port while it is assembled."""
        self.units = units
        self._store = store
        self._webhooks = webhooks
        self._carriers = carriers
        self._labels = labels
        self._orders = orders
        self._clock = clock
        self._config = config
        self._currency = currency
        self._rates = Rates(carriers, clock, config, currency)

    # ── for orders and shoppers ──────────────────────────────────────────────────────────────────────────────

    async def get_rates(self, requests: list[RateRequest]) -> list[list[RateOption]]:
        return await self._rates.options(requests)

    async def get_carriers(self) -> list[str]:
        return list(await self._carriers.all())

    async def get_tracking(self, token: str) -> Tracking:
        record = await self._store.get_by_token(token)
        if record is None:
            raise NotFound("There is no such parcel.")
        return views.tracking(record)

    # ── for sellers and carriers ─────────────────────────────────────────────────────────────────────────────

    async def get_label(self, seller_id: str, shipment_id: str) -> Label:
        record = await self._store.get(shipment_id)
        if record is None:
            orders = self._orders()
            if orders is not None:
                await orders.get_shipment(seller_id, shipment_id)  # else the id is nobody's
                raise Conflict("logistics.label_pending", "The label is not made yet; come again.", retry_after=1)
        if record is None or record.seller_id != seller_id:
            raise NotFound("There is no such shipment.")
        return await self._label(record)

    async def get_carrier_label(self, carrier: str, shipment_id: str) -> Label:
        return await self._label(await self._of_carrier(carrier, shipment_id))

    async def _label(self, record: Shipment) -> Label:
        if record.own:
            raise NotFound("The seller delivers this shipment: there is no label.")
        if record.refusal is not None:
            raise Conflict("logistics.carrier_refused", record.refusal)
        if record.tracking_number is None:
            raise Conflict("logistics.label_pending", "The label is not made yet; come again.", retry_after=1)
        carrier = await self._carriers.get(record.carrier)
        return Label(await self._labels.get(record.id, partial(carrier.label, record.tracking_number)))

    async def list_shipments(self, carrier: str, query: ShipmentQuery) -> Page[CarrierShipment]:
        rows = await self._store.list_of_carrier(carrier, query, query.position(datetime, str))
        found = query.page(rows, lambda record: (record.created_at, record.id))
        return Page([views.carrier_shipment(record) for record in found.items], found.next)

    async def get_shipment(self, carrier: str, shipment_id: str) -> CarrierShipment:
        return views.carrier_shipment(await self._of_carrier(carrier, shipment_id))

    async def _of_carrier(self, carrier: str, shipment_id: str) -> Shipment:
        record = await self._store.get(shipment_id)
        if record is None or record.carrier != carrier:
            raise NotFound("There is no such shipment.")
        return record

    @command
    async def add_event(self, uow: UnitOfWork, carrier: str, shipment_id: str, event: NewTrackingEvent) -> CarrierShipment:
        record = await self._store.lock(uow, shipment_id)
        if record is None or record.carrier != carrier:
            raise NotFound("There is no such shipment.")
        happened = TrackingEvent(event.code, event.location or None, event.occurred_at or uow.now)
        await self._take(uow, record, [happened], f"account:{calls.current().caller.principal}")
        return views.carrier_shipment(record)

    # ── for operators ────────────────────────────────────────────────────────────────────────────────────────

    async def find_shipment(self, shipment_id: str) -> AdminShipment:
        record = await self._store.get(shipment_id)
        if record is None:
            raise NotFound("There is no such shipment.")
        return views.admin_shipment(record)

    @command
    async def retry_shipment(self, uow: UnitOfWork, shipment_id: str) -> AdminShipment:
        record = await self._store.lock(uow, shipment_id)
        if record is None:
            raise NotFound("There is no such shipment.")
        if record.own:
            raise Conflict("logistics.wrong_state", "The seller delivers it: no carrier was asked.")
        if record.refusal is not None:
            record.refusal, record.tries, record.updated_at = None, record.tries + 1, uow.now
            record.status = status_of(record.begun, record.events)
            await self._store.save(uow, record)
            uow.emit(ShipmentRequested(shipment_id=record.id, carrier=record.carrier))
            uow.emit(views.changed(record))
        return views.admin_shipment(record)

    # ── a label for what was shipped ─────────────────────────────────────────────────────────────────────────

    @handler(PackageShipped, imports=False)
    async def on_package_shipped(self, uow: UnitOfWork, event: PackageShipped) -> None:
        token = event.tracking_token or secrets.token_urlsafe(24)
        record = views.requested(event, token, uow.now, own=await self._is_own(event))
        if not await self._store.insert(uow, record):
            return
        if record.own:
            uow.emit(views.changed(record))
        else:
            uow.emit(ShipmentRequested(shipment_id=record.id, carrier=record.carrier))

    async def _is_own(self, event: PackageShipped) -> bool:
        """A tracking number in the event is the seller's word: no carrier of ours is asked. Nor where there is none."""
        if event.carrier == OWN or event.tracking_number is not None:
            return True
        return event.carrier == FLAT and not await self._carriers.all()

    async def _ask(self, event: ShipmentRequested) -> Found:
        """:raises Unavailable: no word from the carrier; the same question, by the same key, is asked again."""
        record = await self._store.get(event.shipment_id)
        if record is None or record.tracking_number is not None:
            return None
        carrier = await self._carriers.find(event.carrier)
        if carrier is None:
            return await self._choose(record) if event.carrier == FLAT else Refusal(f"There is no carrier {event.carrier!r}.")
        try:
            # A refusal is the key's answer for ever, so another try needs another key.
            key = f"{record.id}/{record.tries}" if record.tries else record.id
            return await carrier.create(key, views.consignment(record))
        except Refused as error:
            return Refusal(f"The carrier {event.carrier!r} does not take it: {error.detail}")

    async def _choose(self, record: Shipment) -> RateOption | Refusal:
        """The cheapest carrier for a parcel that was sold while none answered.

        It is written down before it is asked, so that a repeat of an unanswered question goes to the same one.
        """
        offers = await self._rates.offers([views.rate_request(record, self._currency)])
        if offers.options[0]:
            return offers.options[0][0]
        if not offers.complete:
            raise Unavailable("No carrier answers.")
        return Refusal("No carrier takes it.")

    @handler_after(_ask, ShipmentRequested)
    async def on_shipment_requested(self, uow: UnitOfWork, found: Found, event: ShipmentRequested) -> None:
        record = await self._store.lock(uow, event.shipment_id)
        if record is None or record.tracking_number is not None or found is None:
            return
        record.updated_at = uow.now
        if isinstance(found, RateOption):
            record.carrier, record.service = found.carrier, found.service
            uow.emit(ShipmentRequested(shipment_id=record.id, carrier=found.carrier))
            await self._store.save(uow, record)
        elif isinstance(found, Refusal):
            log.error("shipment.refused", shipment_id=record.id, carrier=event.carrier, cause=found.detail)
            record.refusal = found.detail
            record.status = status_of(record.begun, record.events)
            await self._store.save(uow, record)
            uow.emit(views.changed(record, "exception"))
        else:
            record.tracking_number, record.estimated_delivery = found.tracking_number, found.estimated_delivery
            new = take(record, views.events_of(found.events), uow.now)
            await self._store.save(uow, record, new, "carrier")
            uow.emit(views.changed(record, new[-1].code if new else None))

    # ── tracking ─────────────────────────────────────────────────────────────────────────────────────────────

    async def receive_webhook(self, webhook: RawWebhook) -> WebhookAnswer:
        carrier = await self._carriers.get(webhook.source)
        event = carrier.read_webhook(webhook.headers, webhook.body, self._clock.now())
        return await self._keep(webhook, event)

    @command
    async def _keep(self, uow: UnitOfWork, webhook: RawWebhook, event: CarrierEvent) -> WebhookAnswer:
        number, note = event.tracking_number, None
        told = views.events_of([event.event] if event.event is not None else [])
        if number is None or not told:
            note = "unknown type"
        elif not await self._store.is_tracked(uow, webhook.source, number):
            note = "unknown shipment"
        stored = StoredWebhook(
            source=webhook.source,
            id=event.id,
            body=webhook.body,
            event=told[0] if told else None,
            state="waiting" if note is None else "ignored",
            subject=number,
            note=note,
        )
        about = CarrierWebhookReceived(tracking_number=number or "", carrier=webhook.source, webhook_id=event.id)
        return await self._webhooks.keep(uow, stored, about)

    @handler(CarrierWebhookReceived)
    async def on_webhook_received(self, uow: UnitOfWork, event: CarrierWebhookReceived) -> None:
        webhook = await self._webhooks.close(uow, event.carrier, event.webhook_id, "applied")
        record = await self._store.lock_tracked(uow, event.carrier, event.tracking_number)
        if webhook is not None and webhook.event is not None and record is not None:
            await self._take(uow, record, [webhook.event], f"webhook:{webhook.id}")

    async def purge_webhooks(self) -> None:
        """A schedule: deletes webhooks that came long ago and wait for nothing."""
        await self._webhooks.purge(self.units, timedelta(days=self._config.webhook_days))

    async def poll(self) -> None:
        """A schedule: what carriers know of parcels under way, so that a webhook that was lost only delays."""
        by_carrier: dict[str, list[tuple[str, str]]] = {}
        for id_, carrier, number in await self._store.under_way(self._config.poll_batch):
            by_carrier.setdefault(carrier, []).append((id_, number))
        carriers = await self._carriers.all()
        await asyncio.gather(*(self._poll(name, carriers.get(name), parcels) for name, parcels in by_carrier.items()))

    async def _poll(self, name: str, carrier: Carrier | None, parcels: Sequence[tuple[str, str]]) -> None:
        """Some at a time; a carrier that does not answer is left until the next round, its turn lost."""
        for begin in range(0, len(parcels), POLL_AT_ONCE):
            some = parcels[begin : begin + POLL_AT_ONCE]
            answers: list[CarrierParcel | BaseException | None] = []
            if carrier is not None:
                answers += await asyncio.gather(*(carrier.get(number) for _, number in some), return_exceptions=True)
            for (id_, _), answer in zip(some, answers, strict=False):
                if isinstance(answer, CarrierParcel):
                    await self._apply_parcel(id_, answer)
            await self._store.polled([id_ for id_, _ in some], self._clock.now())
            if carrier is None or any(isinstance(answer, BaseException) for answer in answers):
                causes = sorted({type(answer).__name__ for answer in answers if isinstance(answer, BaseException)})
                log.warning("poll.left_out", carrier=name, causes=causes or ["no such carrier"])
                return

    @natural
    async def _apply_parcel(self, uow: UnitOfWork, shipment_id: str, parcel: CarrierParcel) -> None:
        record = await self._store.lock(uow, shipment_id)
        if record is not None:
            await self._take(uow, record, views.events_of(parcel.events), "poll")

    async def _take(self, uow: UnitOfWork, record: Shipment, events: Sequence[TrackingEvent], source: str) -> None:
        """Add to a locked shipment what happened to it, and tell of each thing that was not known."""
        new = take(record, events, uow.now)
        if not new:
            return
        record.updated_at = uow.now
        await self._store.save(uow, record, new, source)
        for event in new:
            uow.emit(views.changed(record, event.code))
