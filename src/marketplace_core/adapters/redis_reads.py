"""The place of these in release 0.1.0."""

from marketplace_core.adapters.redis.reads import EncodedReads, Lookups, Read, RedisCache, Ticket

__all__ = ["EncodedReads", "Lookups", "Read", "RedisCache", "Ticket"]
