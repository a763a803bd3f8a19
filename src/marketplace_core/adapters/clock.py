"""The place of these in release 0.1.0."""

from marketplace_core.adapters.redis.clock import RedisClock

__all__ = ["RedisClock"]
