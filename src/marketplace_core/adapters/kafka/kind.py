"""What Kafka is to a deployment: its addresses, its settings, and the role that it plays."""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from marketplace_core.ports.servers import ServerKind, ServerSettings

__all__ = ["KAFKA", "KafkaSettings"]

_UNITS = {"m": 60, "h": 3600, "d": 86400}


class KafkaSettings(ServerSettings, forbid_unknown_fields=True):
    """``partitions`` of each topic, made and widened by ``marketplace migrate``.

    ``retention`` of what is in it (``36h``, ``7d``), which is longer than any reader is ever away. ``replication``: on how many
    brokers, the cluster's own default where it is not said. ``session``: for how many seconds a reader that is not heard of
    keeps its partitions. ``sasl``: how a user and password of the address are told.
    """

    partitions: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 12
    retention: Annotated[str, msgspec.Meta(pattern=r"^[1-9]\d*[mhd]\Z")] = "7d"
    replication: Annotated[int, msgspec.Meta(ge=1)] | None = None
    session: Annotated[float, msgspec.Meta(ge=0.5, le=300)] = 10.0
    sasl: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"

    @property
    def retention_ms(self) -> int:
        found = re.fullmatch(r"(\d+)([mhd])", self.retention)
        if found is None:
            raise ValueError(f"{self.retention!r} is no time")
        return int(found[1]) * _UNITS[found[2]] * 1000


_OPENING = "marketplace_core.adapters.kafka.opening"

KAFKA = ServerKind(
    name="kafka",
    schemes=("kafka", "kafkas"),
    open=f"{_OPENING}:open_server",
    roles={"bus": f"{_OPENING}:bus"},
    settings=KafkaSettings,
    native="marketplace_core.adapters.kafka.embedded:NativeKafka",
    native_settings=KafkaSettings,
)
