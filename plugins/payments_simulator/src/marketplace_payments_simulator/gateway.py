"""The simulated payment gateway, over HTTP: see ``examples/simulators``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import aiohttp
import msgspec
import structlog

from marketplace_core import webhooks
from marketplace_core.capabilities.orders import PaymentMethod
from marketplace_core.capabilities.payments import GatewayEvent, GatewayPayment, PaymentGateway
from marketplace_core.errors import MarketplaceError, NotFound, Refused, Unavailable
from marketplace_core.http.client import outgoing
from marketplace_core.values import Money
from marketplace_payments_simulator import wire
from marketplace_payments_simulator.config import PaymentsSimulatorConfig

__all__ = ["SimulatorGateway"]

log = structlog.get_logger("marketplace.payments_simulator")


class SimulatorGateway(PaymentGateway):
    title = "Card (simulated)"
    methods = ("card",)
    multi_capture = True

    def __init__(self, config: PaymentsSimulatorConfig) -> None:
        self._config = config
        self._session: aiohttp.ClientSession | None = None

    async def authorize(self, key: str, reference: str, amount: Money, method: PaymentMethod) -> GatewayPayment:
        body = {
            "reference": reference,
            "amount": amount,
            "method": {"method": method.method, "token": method.token},
            "return_url": method.return_url,
        }
        return await self._change("/payments", key, body)

    async def capture(self, key: str, payment_id: str, amount: Money) -> GatewayPayment:
        return await self._change(f"/payments/{payment_id}/capture", key, {"amount": amount})

    async def void(self, key: str, payment_id: str) -> GatewayPayment:
        return await self._change(f"/payments/{payment_id}/void", key, {})

    async def refund(self, key: str, payment_id: str, amount: Money) -> GatewayPayment:
        return await self._change(f"/payments/{payment_id}/refund", key, {"amount": amount})

    async def get(self, payment_id: str) -> GatewayPayment | None:
        try:
            return _payment(await self._ask("GET", f"/payments/{payment_id}"))
        except NotFound:
            return None

    def read_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> GatewayEvent:
        keys = [webhooks.secret_key(secret) for secret in self._config.signing_secrets]
        id_ = webhooks.verify(keys, headers, body, now)
        try:
            webhook = msgspec.json.decode(body, type=wire.WireWebhook)
        except msgspec.DecodeError:
            raise MarketplaceError("http.malformed", "The body is not a webhook of the simulator.") from None
        return wire.gateway_event(id_, webhook)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    # ── HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _change(self, path: str, key: str, body: Any) -> GatewayPayment:
        return _payment(await self._ask("POST", path, key, body))

    async def _ask(self, method: str, path: str, key: str | None = None, body: Any = None) -> bytes:
        """:raises Unavailable: nobody knows what became of it. :raises Refused: it was decided against."""
        with outgoing("simulated payment gateway", method, path) as headers:
            headers["Content-Type"] = "application/json"
            if key is not None:
                headers["Idempotency-Key"] = key
            return await self._exchange(method, path, headers, None if body is None else msgspec.json.encode(body))

    async def _exchange(self, method: str, path: str, headers: dict[str, str], data: bytes | None) -> bytes:
        url = self._config.address + path
        try:
            async with self._opened().request(method, url, headers=headers, data=data, allow_redirects=False) as answer:
                raw = await answer.read()
                status = answer.status
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("payments_simulator.no_answer", method=method, path=path, cause=type(error).__name__)
            raise Unavailable("The payment gateway does not answer.") from None
        if status in {200, 201}:
            return raw
        raise _error(status, method, path, raw)

    def _opened(self) -> aiohttp.ClientSession:
        """One session with its connections kept alive, on the loop that first asks."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=self._config.timeout)
            self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=100))
        return self._session


def _payment(raw: bytes) -> GatewayPayment:
    try:
        return wire.gateway_payment(msgspec.json.decode(raw, type=wire.WirePayment))
    except msgspec.DecodeError as error:
        log.error("payments_simulator.strange_answer", cause=str(error))
        raise Unavailable("The payment gateway answers what nobody understands.") from None


def _error(status: int, method: str, path: str, raw: bytes) -> MarketplaceError:
    """Above 499 nobody knows what became of the request; below, the gateway decided."""
    try:
        problem = msgspec.json.decode(raw, type=wire.Problem)
    except msgspec.DecodeError:
        problem = wire.Problem()
    if method == "GET" and status == 404:
        return NotFound("The payment gateway has no such payment.")
    log.warning("payments_simulator.refused", method=method, path=path, status=status, code=problem.code)
    if status < 400 or status >= 500:
        return Unavailable("The payment gateway is not well.")
    return Refused(wire.refusal(problem), f"The payment gateway refused: {problem.code}.")
