"""Kafka: the bus, and a server of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily

if TYPE_CHECKING:
    from marketplace_core.adapters.kafka.bus import KafkaBus

__all__ = ["KafkaBus"]

__getattr__ = lazily(__name__, {"KafkaBus": "bus"})
