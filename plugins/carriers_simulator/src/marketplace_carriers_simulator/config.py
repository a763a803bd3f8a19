"""Settings of ``[plugins.carriers_simulator]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["SimulatorConfig"]


class SimulatorConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the simulator is.

    ``url``: None is the environment's ``MARKETPLACE_SIMULATOR_CARRIERS_URL``. ``secrets``: what it signs webhooks with, two
    while one is changed for another; none is the environment's ``MARKETPLACE_SIMULATOR_SECRET``. ``timeout``: the seconds
    that a request may take.
    """

    url: str | None = None
    secrets: Annotated[tuple[str, ...], Meta(max_length=2)] = ()
    timeout: Annotated[float, Meta(gt=0, le=60)] = 10.0
