"""The proxy by which tests make the way to a server slow, silent or torn."""

from __future__ import annotations

from marketplace_core.adapters.native.programs import Go

__all__ = ["TOXIPROXY"]

TOXIPROXY = Go("toxiproxy", "v2.12.0", module="github.com/Shopify/toxiproxy/v2/cmd/server")
