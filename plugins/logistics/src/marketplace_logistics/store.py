"""The store port of logistics: shipments with their tracking events. Webhooks are kept by core's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from marketplace_core.capabilities.logistics import ShipmentQuery
from marketplace_core.ports import UnitOfWork
from marketplace_logistics.domain import Shipment, TrackingEvent

__all__ = ["LogisticsStore", "Position"]

Position = tuple[Any, ...]


class LogisticsStore(ABC):
    @abstractmethod
    async def insert(self, uow: UnitOfWork, shipment: Shipment) -> bool:
        """False: there is a shipment of this id, and nothing was done."""

    @abstractmethod
    async def lock(self, uow: UnitOfWork, shipment_id: str) -> Shipment | None:
        """The shipment with its events, held until the unit ends."""

    @abstractmethod
    async def lock_tracked(self, uow: UnitOfWork, carrier: str, tracking_number: str) -> Shipment | None:
        """Likewise, by the number that the carrier gave; a number that is a seller's word is not looked at."""

    @abstractmethod
    async def is_tracked(self, uow: UnitOfWork, carrier: str, tracking_number: str) -> bool: ...

    @abstractmethod
    async def save(self, uow: UnitOfWork, shipment: Shipment, new: Sequence[TrackingEvent] = (), source: str = "") -> None:
        """The shipment, and events that are ``new`` with who told of them. An event that is there is not kept twice."""

    @abstractmethod
    async def get(self, shipment_id: str) -> Shipment | None: ...

    @abstractmethod
    async def get_by_token(self, tracking_token: str) -> Shipment | None: ...

    @abstractmethod
    async def list_of_carrier(self, carrier: str, query: ShipmentQuery, after: Position | None) -> list[Shipment]:
        """The latest first."""

    @abstractmethod
    async def under_way(self, limit: int) -> list[tuple[str, str, str]]:
        """``(id, carrier, tracking number)`` of parcels that carriers have, those first that were asked after longest ago."""

    @abstractmethod
    async def polled(self, shipment_ids: Sequence[str], at: datetime) -> None:
        """These were asked after."""
