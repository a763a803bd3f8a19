"""What sending costs, while carriers answer and while they do not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from marketplace_core.capabilities.logistics import Place, RateRequest
from marketplace_core.values import Money


def _request(country: str = "DE", weight_g: int = 500, seller_id: str = "seller", currency: str = "EUR") -> RateRequest:
    return RateRequest(
        seller_id=seller_id,
        origin=Place("DE", ""),
        destination=Place(country, "10115"),
        weight_g=weight_g,
        currency=currency,
    )


@pytest.mark.behaviour("logistics-1")
async def test_options_come_cheapest_first_and_stay_the_same(make_bench: Any, runner: str) -> None:
    bench = await make_bench(runner=runner)
    requests = [_request(), _request("FR", 1200, "other"), _request(seller_id="third")]
    answer = await bench.logistics.get_rates(requests)
    at_home, abroad, again = answer
    assert [option.id for option in at_home] == ["simulator:economy", "simulator:standard", "simulator:express"]
    prices = [option.price for option in at_home]
    assert prices == sorted(prices, key=lambda price: price.amount)
    assert prices[0] == Money(349 + 40, "EUR")
    assert abroad[0].price == Money(1290 + 3 * 40, "EUR")
    assert again == at_home
    today = bench.market.clock.now().date()
    assert [option.estimated for option in at_home] == [(today + timedelta(days=d)).isoformat() for d in (5, 3, 1)]
    assert not any(option.flat for options in answer for option in options)
    assert await bench.logistics.get_rates(requests) == answer
    await bench.market.clock.advance(86400)
    assert (await bench.logistics.get_rates([_request()]))[0][2].estimated == (today + timedelta(days=2)).isoformat()
    assert await bench.logistics.get_rates([]) == []


@pytest.mark.behaviour("logistics-1")
@pytest.mark.parametrize("fault", ["down", "slow", "timeout_after_success"])
async def test_a_flat_option_while_no_carrier_answers(make_bench: Any, fault: str) -> None:
    bench = await make_bench(settings="rate_seconds = 0.2\nflat_price = 777\nflat_days = 4")
    await bench.carrier.fault("rates", fault)
    [[option]] = await bench.logistics.get_rates([_request()])
    assert (option.id, option.carrier, option.price, option.flat) == ("flat:standard", "flat", Money(777, "EUR"), True)
    assert option.estimated == (bench.market.clock.now() + timedelta(days=4)).date().isoformat()


async def test_no_checkout_fails_without_a_carrier(make_bench: Any) -> None:
    bench = await make_bench(started=False, settings="flat_prices = { USD = 800 }")
    answer = await bench.logistics.get_rates([_request(currency="EUR"), _request("FR", currency="USD")])
    assert [[(option.flat, option.price.currency) for option in options] for options in answer] == [
        [(True, "EUR")],
        [(True, "USD")],
    ]


async def test_a_package_that_no_carrier_takes_does_not_spoil_the_others(make_bench: Any) -> None:
    bench = await make_bench()
    taken, heavy = await bench.logistics.get_rates([_request(), _request(weight_g=2_000_000)])
    assert [option.flat for option in taken] == [False] * 3
    assert heavy == []
