"""Settings of ``[plugins.payments_simulator]``."""

from __future__ import annotations

import os
from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["PaymentsSimulatorConfig"]

URL = "MARKETPLACE_SIMULATOR_PAYMENTS_URL"
SECRET = "MARKETPLACE_SIMULATOR_SECRET"  # noqa: S105 - the name of a variable


class PaymentsSimulatorConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the simulator answers and what it signs with.

    ``url``: else the environment's ``MARKETPLACE_SIMULATOR_PAYMENTS_URL``, which ``up`` sets where it runs the program.
    ``secrets``: ``whsec_…`` each, two while one is changed; else the environment's ``MARKETPLACE_SIMULATOR_SECRET``.
    ``timeout``: seconds after which an answer is given up; what became of the request is then unknown.
    """

    url: str | None = None
    secrets: Annotated[tuple[str, ...], Meta(max_length=2)] = ()
    timeout: Annotated[float, Meta(gt=0)] = 10.0

    @property
    def address(self) -> str:
        """:raises LookupError: it is said nowhere."""
        return (self.url or _environment(URL)).rstrip("/")

    @property
    def signing_secrets(self) -> tuple[str, ...]:
        """:raises LookupError: there is none."""
        return self.secrets or (_environment(SECRET),)


def _environment(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise LookupError(f"neither the settings of payments_simulator nor {name} say it")
    return value
