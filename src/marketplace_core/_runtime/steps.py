"""Who performs the steps of sagas where the engine leaves that to the services whose ports are called."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from marketplace_core.ports.engine import StepServer
from marketplace_core.sagas import Performer

if TYPE_CHECKING:
    from marketplace_core._runtime.assembly import Process

__all__ = ["step_server"]


def step_server(process: Process, plugins: Collection[str]) -> StepServer | None:
    """Of what ``plugins`` provide. Any worker of a service may perform its steps: each may be repeated.

    None: there are no sagas, or whoever runs them performs all steps.
    """
    providers = process.assembly.providers
    own = {capability for capability, provider in providers.items() if provider in plugins}
    if not own or "orchestrator" not in providers:
        return None
    return process.resources.serve_steps(own, Performer(lambda: process.ports))
