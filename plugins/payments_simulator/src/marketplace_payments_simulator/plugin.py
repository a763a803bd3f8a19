"""The hooks of the plugin that speaks to the simulated payment gateway."""

from __future__ import annotations

from collections.abc import Mapping

from marketplace_core.capabilities.payments import PaymentGateway
from marketplace_core.context import PluginContext
from marketplace_core.hookspecs import PluginInfo, hookimpl
from marketplace_payments_simulator.config import PaymentsSimulatorConfig
from marketplace_payments_simulator.gateway import SimulatorGateway


class PaymentsSimulator:
    """What the plugin adds to payments."""

    def __init__(self, gateway: SimulatorGateway) -> None:
        self._gateway = gateway

    async def payment_gateways(self) -> Mapping[str, PaymentGateway]:
        return {"simulator": self._gateway}


@hookimpl
def info() -> PluginInfo:
    return PluginInfo(name="payments_simulator", version="0.1.0", development=True)


@hookimpl
def settings() -> type[PaymentsSimulatorConfig]:
    return PaymentsSimulatorConfig


@hookimpl
def extensions(context: PluginContext) -> PaymentsSimulator:
    gateway = SimulatorGateway(context.config(PaymentsSimulatorConfig))
    context.closing(gateway.close)
    return PaymentsSimulator(gateway)
