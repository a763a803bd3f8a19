"""The carriers_simulator plugin's hooks."""

from __future__ import annotations

import os
from collections.abc import Mapping

from marketplace_carriers_simulator.carrier import SimulatedCarrier
from marketplace_carriers_simulator.config import SimulatorConfig
from marketplace_core import webhooks
from marketplace_core.capabilities.logistics import Carrier
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import PluginInfo, hookimpl
from marketplace_core.http.client import JsonClient

NAME = "simulator"
URL = "MARKETPLACE_SIMULATOR_CARRIERS_URL"
SECRET = "MARKETPLACE_SIMULATOR_SECRET"  # noqa: S105 - the variable's name


class SimulatorExtensions:
    """What the plugin adds to logistics."""

    def __init__(self, carrier: Carrier) -> None:
        self._carrier = carrier

    async def carriers(self) -> Mapping[str, Carrier]:
        return {NAME: self._carrier}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="carriers_simulator", version="0.1.0", development=True)


@hookimpl
def settings() -> type[SimulatorConfig]:
    return SimulatorConfig


@hookimpl
def extensions(context: PluginContext) -> object:
    config = context.config(SimulatorConfig)
    url = config.url or os.environ.get(URL)
    client = JsonClient("simulated carrier", url, seconds=config.timeout) if url else None
    if client is not None:
        context.closing(client.close)
    secrets = config.secrets or tuple(filter(None, [os.environ.get(SECRET)]))
    return SimulatorExtensions(SimulatedCarrier(client, [webhooks.secret_key(secret) for secret in secrets]))
