"""What sending costs: all carriers asked at once, each for as long as it may take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import NamedTuple

import structlog

from marketplace_core.capabilities.logistics import Carrier, CarrierRate, RateOption, RateRequest
from marketplace_core.errors import MarketplaceError
from marketplace_core.values import Clock, Money
from marketplace_logistics.carriers import Carriers
from marketplace_logistics.config import LogisticsConfig
from marketplace_logistics.domain import FLAT

__all__ = ["Offers", "Rates"]

log = structlog.get_logger("marketplace.logistics")


class Offers(NamedTuple):
    """Per request, options cheapest first; ``complete`` is False where a carrier is missing that may answer later.

    ``asked``: whether there is a carrier at all, as far as we know.
    """

    options: list[list[RateOption]]
    complete: bool
    asked: bool = True


class Rates:
    """Nothing is kept of an answer: a carrier says the same to the same question, and another price is one to be shown."""

    def __init__(self, carriers: Carriers, clock: Clock, config: LogisticsConfig, currency: str) -> None:
        """``currency``: the deployment's."""
        self._flat_prices = {currency: config.flat_price} | config.flat_prices
        self._carriers = carriers
        self._clock = clock
        self._config = config

    async def options(self, requests: Sequence[RateRequest]) -> list[list[RateOption]]:
        """Like :meth:`offers`, with a flat option where none could be had. What all carriers refuse has none at all."""
        offers = await self.offers(requests)
        refused = offers.asked and offers.complete
        return [
            options if options or refused else self._flat(request)
            for request, options in zip(requests, offers.options, strict=True)
        ]

    async def offers(self, requests: Sequence[RateRequest]) -> Offers:
        try:
            carriers = await self._carriers.all()
        except Exception as error:
            log.error("rates.no_carriers", exc_info=error)
            return Offers([[] for _ in requests], complete=False)
        answers = await asyncio.gather(*(self._ask(name, carrier, requests) for name, carrier in carriers.items()))
        merged: list[list[RateOption]] = [[] for _ in requests]
        for name, (rates, _) in zip(carriers, answers, strict=True):
            for index, offered in enumerate(rates):
                merged[index] += [self._option(name, rate) for rate in offered if _fits(name, rate, requests[index])]
        for options in merged:
            options.sort(key=lambda option: (option.price.amount, option.days, option.id))
        return Offers(merged, complete=all(final for _, final in answers), asked=bool(carriers))

    async def _ask(
        self, name: str, carrier: Carrier, requests: Sequence[RateRequest]
    ) -> tuple[Sequence[Sequence[CarrierRate]], bool]:
        """A carrier's prices, none where it fails or is late; and whether that is its last word."""
        try:
            async with asyncio.timeout(self._config.rate_seconds):
                answer = await carrier.rates(requests)
        except Exception as error:
            final = isinstance(error, MarketplaceError) and error.is_refusal
            log.warning("rates.left_out", carrier=name, cause=f"{type(error).__name__}: {error}", final=final)
            return (), final
        if len(answer) != len(requests):
            log.error("rates.left_out", carrier=name, cause=f"it answers {len(answer)} of {len(requests)} requests", final=True)
            return (), True
        return answer, True

    def _option(self, carrier: str, rate: CarrierRate) -> RateOption:
        return RateOption(
            id=f"{carrier}:{rate.service}",
            carrier=carrier,
            service=rate.service,
            price=rate.price,
            days=rate.days,
            estimated=self._arrival(rate.days),
        )

    def _flat(self, request: RateRequest) -> list[RateOption]:
        price = self._flat_prices.get(request.currency)
        if price is None or request.weight_g > self._config.flat_weight_g:
            return []
        option = RateOption(
            id=f"{FLAT}:standard",
            carrier=FLAT,
            service="standard",
            price=Money(price, request.currency),
            days=self._config.flat_days,
            estimated=self._arrival(self._config.flat_days),
            flat=True,
        )
        return [option]

    def _arrival(self, days: int) -> str:
        return (self._clock.now() + timedelta(days=days)).date().isoformat()


def _fits(carrier: str, rate: CarrierRate, request: RateRequest) -> bool:
    """An order has one currency."""
    if rate.price.currency == request.currency:
        return True
    log.warning("rates.left_out", carrier=carrier, cause=f"{rate.price.currency} for a package in {request.currency}")
    return False
