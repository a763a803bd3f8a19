"""What the carrier does. Each use case is one synchronous step inside of its caller's transaction."""

from __future__ import annotations

import secrets

from marketplace_simulators.carriers import domain
from marketplace_simulators.carriers.domain import SERVICES, Advance, NewShipment, RateRequest, Shipment
from marketplace_simulators.carriers.shipments import Shipments
from marketplace_simulators.clock import Clock, rfc3339
from marketplace_simulators.faults import Faults
from marketplace_simulators.operations import Outcome
from marketplace_simulators.outbox import Event
from marketplace_simulators.wire import Refused

__all__ = ["Service"]

_DAY = 86400


class Service:
    def __init__(self, shipments: Shipments, clock: Clock, faults: Faults, url: str) -> None:
        self._shipments = shipments
        self._clock = clock
        self._faults = faults
        self._url = url

    def find(self, tracking_number: str) -> Shipment:
        shipment = self._shipments.find(tracking_number)
        if shipment is None:
            raise Refused(404, "not_found", "no such shipment")
        return shipment

    def rates(self, wanted: RateRequest) -> Outcome:
        self._decline("rates")
        return Outcome(200, {"items": domain.rates(wanted)})

    def ship(self, new: NewShipment) -> Outcome:
        self._decline("create")
        terms = SERVICES[new.service]
        now = self._clock.now()
        days = terms.home_days if new.from_.country == new.to.country else terms.abroad_days
        shipment = Shipment(
            seq=0,
            id=f"shp_{secrets.token_hex(12)}",
            tracking_number=f"SIM{secrets.randbelow(10**12):012d}",
            reference=new.reference,
            service=new.service,
            status="label_created",
            estimated_delivery=rfc3339(now + days * _DAY),
            content=new,
            events=[],
            created_at=rfc3339(now),
        )
        self._shipments.insert(shipment)
        return Outcome(201, domain.view(shipment, self._url))

    def advance(self, tracking_number: str, step: Advance) -> Outcome:
        shipment = self.find(tracking_number)
        event = domain.Event(step.code, step.location, step.occurred_at or self._clock.text())
        shipment.events.append(event)
        shipment.status = domain.status_after(shipment.status, step.code)
        self._shipments.update(shipment)
        data = {
            "tracking_number": tracking_number,
            "code": event.code,
            "location": event.location,
            "occurred_at": event.occurred_at,
        }
        return Outcome(204, None, (Event("advance", tracking_number, "shipment.event", data),))

    def _decline(self, operation: str) -> None:
        if self._faults.take(operation, "decline"):
            raise Refused(409, "declined", f"{operation}: declined")
