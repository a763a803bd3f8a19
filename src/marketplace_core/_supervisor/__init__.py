"""``marketplace up``: everything of a deployment on this machine, as children that live and end with it."""

from __future__ import annotations

from marketplace_core._supervisor.keeper import CannotStart, Policy, ProcessSpec, Supervisor
from marketplace_core._supervisor.secrets import deployment_secret, simulator_secret
from marketplace_core._supervisor.state import ProcessState, RunState, as_running, embedded_url, running

__all__ = [
    "CannotStart",
    "Policy",
    "ProcessSpec",
    "ProcessState",
    "RunState",
    "Supervisor",
    "as_running",
    "deployment_secret",
    "embedded_url",
    "running",
    "simulator_secret",
]
