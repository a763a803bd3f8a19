"""The codes of errors of catalog."""

from __future__ import annotations

from marketplace_core.errors import declare_codes
from marketplace_core.scopes import declare_scopes

declare_codes(409, "orders.out_of_stock", "catalog.sku_taken", "catalog.wrong_state", "catalog.category_in_use")
declare_scopes("seller", "products")
declare_scopes("admin", "categories")
