"""What plugins keep as encoded structs, which the next release reads. A class may move; the name stays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import marketplace_cart.store
import marketplace_catalog.store
import marketplace_logistics.domain
import marketplace_orders.domain
import marketplace_payments.domain
import marketplace_sellers.domain

from marketplace_core.capabilities import auth, catalog, orders, payments

__all__ = ["STORED"]

STORED: Mapping[str, Any] = {
    "auth.api_key_state": auth.ApiKeyState,
    "auth.session_state": auth.SessionState,
    "cart.fact": marketplace_cart.store.Fact,
    "cart.snapshot": marketplace_cart.store.Snapshot,
    "catalog.card": catalog.Card,
    "catalog.page": catalog.ProductPage,
    "catalog.product": marketplace_catalog.store.ProductRecord,
    "catalog.reserved_line": catalog.ReservedLine,
    "catalog.variant": catalog.VariantView,
    "logistics.shipment": marketplace_logistics.domain.Shipment,
    "logistics.tracking_event": marketplace_logistics.domain.TrackingEvent,
    "orders.order": marketplace_orders.domain.Order,
    "orders.payment": orders.PaymentView,
    "payments.gateway_event": payments.GatewayEvent,
    "payments.payment": marketplace_payments.domain.Payment,
    "payments.sale": marketplace_payments.domain.Sale,
    "sellers.requirement": marketplace_sellers.domain.Requirement,
}
