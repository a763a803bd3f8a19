"""Settings of ``[plugins.logistics]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["LogisticsConfig"]


class LogisticsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How carriers are asked, and how long what they tell is kept.

    ``rate_seconds``: how long each carrier has to name its prices; without it the others are shown.
    ``flat_price``: minor units of the deployment's currency for a package while no carrier answers; ``flat_prices``: of others,
    by code. In a currency that has none nothing is offered meanwhile, nor for a package above ``flat_weight_g`` grams.
    ``flat_days``: how long such a package is said to take.
    ``poll_batch``: how many shipments are asked after each minute, those first that were not for longest.
    ``webhook_days``: how long webhooks are kept that were applied or ignored; tracking events are kept with their shipment.
    """

    rate_seconds: Annotated[float, Meta(gt=0, le=30)] = 2.0
    flat_price: Annotated[int, Meta(ge=0)] = 690
    flat_prices: dict[str, Annotated[int, Meta(ge=0)]] = {}
    flat_weight_g: Annotated[int, Meta(ge=1)] = 30_000
    flat_days: Annotated[int, Meta(ge=0)] = 5
    poll_batch: Annotated[int, Meta(ge=1)] = 200
    webhook_days: Annotated[int, Meta(ge=1, le=3650)] = 30
