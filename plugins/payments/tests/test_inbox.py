"""The table of webhooks as it was released, by core's suite."""

from __future__ import annotations

import pytest
from marketplace_payments import plugin
from marketplace_payments.stores.postgres import WEBHOOKS

from marketplace_core.capabilities.payments import GatewayEvent
from marketplace_core.testing.contracts.webhooks_in import WebhookTableContract
from marketplace_core.values import Money


class TestWebhooks(WebhookTableContract):
    plugin, schema, table, event = plugin, "payments", WEBHOOKS, GatewayEvent
    released, subject = 2, "pay-1"
    rows = """
    INSERT INTO payments.webhooks (gateway, id, payment_id, event, body, state, note, at) VALUES
     ('gateway', 'old-1', 'pay-1', '{"id": "old-1", "type": "t", "payment_id": "pay-1", "amount": null}', '{}', 'received',
      NULL, now()),
     ('gateway', 'old-2', NULL, '{"id": "old-2", "type": "t", "payment_id": null, "amount": null}', '{}', 'ignored',
      'unknown type', now())
    """

    @pytest.fixture
    def told(self) -> GatewayEvent:
        return GatewayEvent(id="msg-1", type="payment.captured", payment_id="pay-1", amount=Money(5, "EUR"), step="captured")
