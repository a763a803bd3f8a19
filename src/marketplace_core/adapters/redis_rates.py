"""The place of these in release 0.1.0."""

from marketplace_core.adapters.redis.rates import Counted, RedisRates, Window

__all__ = ["Counted", "RedisRates", "Window"]
