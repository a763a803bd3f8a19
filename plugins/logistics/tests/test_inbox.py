"""The table of webhooks as it was released, by core's suite."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from marketplace_logistics import plugin
from marketplace_logistics.domain import TrackingEvent
from marketplace_logistics.stores.postgres import WEBHOOKS

from marketplace_core.testing.contracts.webhooks_in import WebhookTableContract


class TestWebhooks(WebhookTableContract):
    plugin, schema, table, event = plugin, "logistics", WEBHOOKS, TrackingEvent
    released, subject = 2, "T1"
    rows = """
    INSERT INTO logistics.webhooks (carrier, id, state, tracking_number, event, body, received_at) VALUES
     ('gateway', 'old-1', 'accepted', 'T1', '{"code": "delivered", "location": null, "occurred_at": "2026-01-01T00:00:00Z"}',
      '{}', now()), ('gateway', 'old-2', 'ignored', NULL, NULL, '{}', now())
    """

    @pytest.fixture
    def told(self) -> TrackingEvent:
        return TrackingEvent("delivered", "Berlin", datetime(2026, 1, 1, tzinfo=UTC))
