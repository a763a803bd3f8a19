"""What Temporal is to a deployment: its addresses, its settings, and the role that it plays."""

from __future__ import annotations

from marketplace_core.ports.servers import ServerKind, ServerSettings

__all__ = ["TEMPORAL", "TemporalSettings"]


class TemporalSettings(ServerSettings, forbid_unknown_fields=True):
    """``tls``: whether it is spoken to by TLS. An API key is the password of the address."""

    tls: bool = False


TEMPORAL = ServerKind(
    name="temporal",
    schemes=("temporal",),
    open="marketplace_core.adapters.temporal.opening:open_server",
    roles={"sagas": "marketplace_core.adapters.temporal.opening:sagas"},
    steps="marketplace_core.adapters.temporal.opening:steps",
    settings=TemporalSettings,
    native="marketplace_core.adapters.temporal.embedded:NativeTemporal",
)
