"""What core itself keeps in each database: outbox, inbox, parked keys, answers, schedules, leases."""

from __future__ import annotations

__all__ = [
    "AGGREGATES",
    "ANSWERS",
    "CORE_MIGRATIONS",
    "COUNTERS",
    "INBOX",
    "LEASES",
    "MIGRATIONS",
    "OUTBOX",
    "PARKED",
    "PROOF",
    "SCHEDULES",
    "UNREADABLE",
    "WRITER",
]

_CORE = "marketplace"
#: Of these ``_id`` is what must be unique, on which MongoDB always has a unique index: (scope, method, key) of an answer,
#: (handler, key) of what a handler has seen, (topic, key) of an aggregate, a row's number.
ANSWERS = f"{_CORE}.idempotency"
INBOX = f"{_CORE}.inbox"
AGGREGATES = f"{_CORE}.aggregates"
OUTBOX = f"{_CORE}.outbox"
PARKED = f"{_CORE}.parked"
UNREADABLE = f"{_CORE}.unreadable"
SCHEDULES = f"{_CORE}.schedules"
LEASES = f"{_CORE}.leases"
MIGRATIONS = f"{_CORE}.migrations"
#: The last number that a row of the outbox was given; whose sequences these are; what a test of readiness writes and deletes.
COUNTERS = f"{_CORE}.counters"
WRITER = f"{_CORE}.writer"
PROOF = f"{_CORE}.proof"

#: Migrations of what core itself keeps in each database, numbered from 1, forward only; each a list of commands as JSON.
#: Every collection is made here: while a transaction makes one, all others that write to it fail. What was sent goes after a
#: week, and an answer after two days: the server does that by itself.
CORE_MIGRATIONS: tuple[str, ...] = (
    """[
    {"create": "marketplace.inbox"},
    {"create": "marketplace.aggregates"},
    {"create": "marketplace.counters"},
    {"create": "marketplace.schedules"},
    {"createIndexes": "marketplace.outbox", "indexes": [
      {"name": "pending", "key": {"lane": 1, "_id": 1}, "partialFilterExpression": {"pending": true}},
      {"name": "waiting", "key": {"created_at": 1}, "partialFilterExpression": {"pending": true}},
      {"name": "sent", "key": {"relayed_at": 1}, "expireAfterSeconds": 604800}]},
    {"createIndexes": "marketplace.idempotency", "indexes": [
      {"name": "old", "key": {"created_at": 1}, "expireAfterSeconds": 172800}]},
    {"createIndexes": "marketplace.parked", "indexes": [
      {"name": "in_order", "key": {"handler": 1, "key": 1, "sequence": 1}, "unique": true}]},
    {"createIndexes": "marketplace.unreadable", "indexes": [
      {"name": "reader", "key": {"reader": 1, "at": 1}}]}
    ]""",
)
