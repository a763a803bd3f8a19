"""What plugins ask of the infrastructure. Adapters implement these; a deployment says which.

A capability's port (``marketplace_core.capabilities``) is what plugins ask of each other; its methods are marked
by :func:`query` and :func:`mutation`, so that a runner knows what it may repeat.
"""

from __future__ import annotations

from marketplace_core.ports.bus import Bus, Consumer, Deliver, DeliverBatch, Delivery, Message, PutAside, RawMessage
from marketplace_core.ports.commands import command, command_after, digest, natural
from marketplace_core.ports.handlers import IMPORT, event_types, handler, handler_after, is_for, role_of
from marketplace_core.ports.methods import PortMethod, mutation, patient, query
from marketplace_core.ports.outbox import FailedJob, JobQueue, Lanes, Outbox, OutboxRow
from marketplace_core.ports.parking import Parked, Parking, Reader, Subscription
from marketplace_core.ports.pools import Pool, PoolFull, ProcessDied
from marketplace_core.ports.projections import ProjectionUnit, ProjectionUnits, Source
from marketplace_core.ports.stores import (
    BlobEntry,
    BlobLink,
    Blobs,
    Cache,
    FeedEntry,
    FeedLost,
    FeedPage,
    FeedStore,
    content_type_of,
)
from marketplace_core.ports.units import Claim, HasRoles, HasUnits, KeyParked, UnitOfWork, Units, qualified
from marketplace_core.ports.webhooks import StoredWebhook, WebhookInbox, WebhookState
from marketplace_core.ports.webhooks_out import Endpoint, WebhookDelivery, WebhookMessage, WebhookOutbox

__all__ = [
    "IMPORT",
    "BlobEntry",
    "BlobLink",
    "Blobs",
    "Bus",
    "Cache",
    "Claim",
    "Consumer",
    "Deliver",
    "DeliverBatch",
    "Delivery",
    "Endpoint",
    "FailedJob",
    "FeedEntry",
    "FeedLost",
    "FeedPage",
    "FeedStore",
    "HasRoles",
    "HasUnits",
    "JobQueue",
    "KeyParked",
    "Lanes",
    "Message",
    "Outbox",
    "OutboxRow",
    "Parked",
    "Parking",
    "Pool",
    "PoolFull",
    "PortMethod",
    "ProcessDied",
    "ProjectionUnit",
    "ProjectionUnits",
    "PutAside",
    "RawMessage",
    "Reader",
    "Source",
    "StoredWebhook",
    "Subscription",
    "UnitOfWork",
    "Units",
    "WebhookDelivery",
    "WebhookInbox",
    "WebhookMessage",
    "WebhookOutbox",
    "WebhookState",
    "command",
    "command_after",
    "content_type_of",
    "digest",
    "event_types",
    "handler",
    "handler_after",
    "is_for",
    "mutation",
    "natural",
    "patient",
    "qualified",
    "query",
    "role_of",
]
