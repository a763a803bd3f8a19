"""The gateways that extension plugins give, by name; asked for once per process."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from marketplace_core.capabilities.payments import PaymentGateway, PaymentMethods, PaymentMethodView
from marketplace_core.errors import Unavailable
from marketplace_core.extensions import Extensions
from marketplace_core.ports import Cache

__all__ = ["METHODS_TAG", "Gateways"]

METHODS_TAG = "payment-methods"


class Gateways:
    def __init__(self, extensions: Callable[[], Extensions], cache: Cache) -> None:
        self._extensions = extensions
        self._cache = cache
        self._found: Mapping[str, PaymentGateway] | None = None

    async def all(self) -> Mapping[str, PaymentGateway]:
        if self._found is None:
            self._found = await self._extensions().contribute("payment_gateways")
            # What the deployment had before this process may have been another choice.
            with contextlib.suppress(Unavailable):
                await self._cache.drop([METHODS_TAG])
        return self._found

    async def get(self, name: str) -> PaymentGateway:
        """:raises Unavailable: it holds money of ours, and no plugin of the deployment speaks to it."""
        gateway = (await self.all()).get(name)
        if gateway is None:
            raise Unavailable(f"No plugin speaks to the payment gateway {name!r}.")
        return gateway

    async def for_method(self, method: str) -> str | None:
        """The first gateway that takes the method, in the deployment's order."""
        return next((name for name, gateway in (await self.all()).items() if method in gateway.methods), None)

    async def methods(self) -> PaymentMethods:
        return PaymentMethods(
            [
                PaymentMethodView(method, name, gateway.title)
                for name, gateway in (await self.all()).items()
                for method in gateway.methods
            ]
        )
