"""Settings of ``[plugins.orchestrator]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["OrchestratorConfig"]


class OrchestratorConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """``tick_seconds``: how often deadlines are compared with the deployment's clock."""

    tick_seconds: Annotated[float, Meta(ge=0.05, le=60)] = 0.25
