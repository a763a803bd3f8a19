"""The Kafka of a deployment on this machine: one node for all of its resources."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.adapters.kafka.native import EmbeddedKafka
from marketplace_core.adapters.native.server import EmbeddedServer
from marketplace_core.ports.servers import Native

__all__ = ["NativeKafka"]


class NativeKafka(Native):
    def url(self, resource: str) -> str:
        return EmbeddedKafka(self.data).url

    def servers(self) -> Sequence[tuple[str, EmbeddedServer]]:
        return [("kafka", EmbeddedKafka(self.data))]
