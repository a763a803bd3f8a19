"""Events of catalog: facts that others may follow."""

from __future__ import annotations

from marketplace_core.capabilities.catalog.values import ProductPage, ProductStatus
from marketplace_core.capabilities.moderation import Submission
from marketplace_core.events import Event, event


@event("catalog.product_changed", key="product_id")
class ProductChanged(Event, frozen=True, kw_only=True):
    """A product as shoppers see it after the change; ``page`` is None when they do not see it (any more).

    ``recounted``: it came into a category, or left one, as far as shoppers see it.
    """

    product_id: str
    seller_id: str
    status: ProductStatus
    page: ProductPage | None = None
    recounted: bool = True


@event("catalog.stock_changed", key="product_id")
class StockChanged(Event, frozen=True, kw_only=True):
    """``available`` by variant id, after the change."""

    product_id: str
    available: dict[str, int]


@event("catalog.publication_requested", key="publication_id")
class PublicationRequested(Event, frozen=True, kw_only=True):
    """A product, as it is in ``submission``, is to be judged before it may be shown, or go on to be."""

    publication_id: str
    product_id: str
    seller_id: str
    submission: Submission
