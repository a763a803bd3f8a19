"""Signed webhooks of a test's own making; and what one does wrong who reads them, or takes them, for the suites to notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from marketplace_core import webhooks
from marketplace_core.errors import Refused, Unavailable
from marketplace_core.testing.contracts import Method
from marketplace_core.testing.simulators import SECRET
from marketplace_core.values import new_id
from marketplace_core.webhooks import RawWebhook, WebhookAnswer

__all__ = [
    "KEY",
    "STRANGER",
    "Methods",
    "RawHook",
    "gives_each_sending_an_id",
    "keyless",
    "looks_at_no_clock",
    "reads_what_nobody_signed",
    "refusing",
    "signed",
    "takes_every_webhook",
    "trusts_everybody",
]

RawHook = tuple[dict[str, str], bytes]
"""Headers by lower-case name, and the body."""

Methods = Mapping[str, Method | Callable[..., Any]]
"""Those that stand in for methods of the right implementation: see :class:`~marketplace_core.testing.contracts.Wrong`."""

#: What the simulators sign with, and what they do not.
KEY, STRANGER = webhooks.secret_key(SECRET), bytes(32)


def signed(body: bytes, id_: str, at: datetime, key: bytes = KEY) -> RawHook:
    stamp = int(at.timestamp())
    signature = webhooks.sign(key, id_, stamp, body)
    return {"webhook-id": id_, "webhook-timestamp": str(stamp), "webhook-signature": signature}, body


# ── mistakes of an adapter ───────────────────────────────────────────────────────────────────────────────────


def keyless(right: Any, *names: str) -> Methods:
    """It asks by a new key each time."""

    def made(name: str) -> Method:
        async def method(key: str, *args: Any) -> Any:
            return await getattr(right, name)(new_id(), *args)

        return method

    return {name: made(name) for name in names}


def refusing(right: Any, code: str, *names: str) -> Methods:
    """It takes silence for a refusal."""

    def decided(name: str) -> Method:
        async def method(*args: Any) -> Any:
            try:
                return await getattr(right, name)(*args)
            except Unavailable:
                raise Refused(code) from None

        return method

    return {name: decided(name) for name in names}


def gives_each_sending_an_id(right: Any) -> Methods:
    return {"read_webhook": lambda *args: replace(right.read_webhook(*args), id=new_id())}


def looks_at_no_clock(right: Any) -> Methods:
    def read_webhook(headers: Mapping[str, str], body: bytes, now: datetime) -> Any:
        at = int(headers.get("webhook-timestamp", "0"))
        return right.read_webhook(headers, body, datetime.fromtimestamp(at, now.tzinfo))

    return {"read_webhook": read_webhook}


def reads_what_nobody_signed(right: Any) -> Methods:
    def read_webhook(headers: Mapping[str, str], body: bytes, now: datetime) -> Any:
        return right.read_webhook(*signed(body, "msg-1", now), now)

    return {"read_webhook": read_webhook}


# ── mistakes of a capability ─────────────────────────────────────────────────────────────────────────────────


def takes_every_webhook(right: Any, _: Any = None) -> Mapping[str, Method]:
    async def receive_webhook(webhook: RawWebhook) -> Any:
        await right.receive_webhook(webhook)
        return WebhookAnswer("accepted")

    return {"receive_webhook": receive_webhook}


def trusts_everybody(right: Any, _: Any = None) -> Mapping[str, Method]:
    async def receive_webhook(webhook: RawWebhook) -> Any:
        given = webhook.headers
        at = datetime.fromtimestamp(int(given["webhook-timestamp"]), UTC)
        headers, _ = signed(webhook.body, given["webhook-id"], at)
        return await right.receive_webhook(replace(webhook, headers={**given, **headers}))

    return {"receive_webhook": receive_webhook}
