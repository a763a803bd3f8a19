"""What the plugin promises beyond the suite: how it writes, what it keeps of a person, what it does when something fails."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from marketplace_recommendations.stores.postgres import PostgresRecommendationsStore

from marketplace_core.capabilities.recommendations import Candidate, Reason, Recommendations, Shopper, SignalInput
from marketplace_core.capabilities.users import ProfileChanged
from marketplace_core.errors import Unavailable
from marketplace_core.extensions import Extensions
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.recommendations_street import ids_of
from marketplace_core.values import PageQuery, new_id
from plugins.recommendations.tests.conftest import Bench

COUNT = "SELECT count(*)::int AS n FROM recommendations.signals"


async def test_a_thousand_signals_are_at_most_twenty_writes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many requests and people they come from."""
    [pot, *_] = await bench.open(2)
    await bench.market.settle()
    writes, follow = [], PostgresRecommendationsStore.follow

    async def counted(self: Any, uow: Any, changes: Any) -> list[str]:
        writes.append(len(changes.signals))
        return await follow(self, uow, changes)

    monkeypatch.setattr(PostgresRecommendationsStore, "follow", counted)
    await bench.market.stop_worker()
    for start in range(0, 200, 20):
        await asyncio.gather(*(bench.signal(bench.account(), *[pot] * 5) for _ in range(start, start + 20)))
    await bench.market.start_worker()
    await bench.market.settle()
    assert (sum(writes), len(writes) <= 20) == (1000, True)
    assert await bench.rows(COUNT) == [{"n": 1000}]


async def test_what_comes_again_is_written_once(bench: Bench) -> None:
    [pot, *_] = await bench.open(2)
    await bench.market.stop_worker()
    await bench.signal(bench.account(), pot, pot)
    pending: Any = bench.service
    seen: list[Any] = []
    follow = pending.follow

    async def twice(envelopes: list[Any]) -> None:
        seen.extend(envelopes)
        await follow(envelopes)
        await follow(envelopes)

    pending.follow = twice
    await bench.market.start_worker()
    await bench.market.settle()
    heat = await bench.rows("SELECT heat FROM recommendations.products WHERE id = $1", pot.product_id)
    await pending.follow(seen)
    assert await bench.rows("SELECT heat FROM recommendations.products WHERE id = $1", pot.product_id) == heat
    assert await bench.rows(COUNT) == [{"n": 2}]


async def test_what_is_known_of_a_person_goes(bench: Bench) -> None:
    """Every row and every entry: after opting out, and after erasure, with signals on their way meanwhile."""
    pot, cup = await bench.open(2)
    ada, eve = bench.account(), bench.account()
    for shopper in (ada, eve):
        await bench.signal(shopper, pot)
        await bench.put_into_cart(shopper, cup)
        await bench.buy(shopper, cup)
    await bench.market.settle()
    of = "SELECT count(*)::int AS n FROM recommendations.signals WHERE person = $1"
    assert await bench.rows(of, ada.account_id) == await bench.rows(of, eve.account_id) == [{"n": 3}]
    await bench.market.stop_worker()
    for shopper in (ada, eve):
        await bench.signal(shopper, pot)  # on its way
    left = ProfileChanged(account_id=ada.account_id or "", locale=None, personalised=False)
    await bench.market.deliver(Recommendations, left)
    await bench.recommendations.forget(eve.account_id or "")
    await bench.market.start_worker()
    await bench.market.settle()
    for shopper in (ada, eve):
        assert await bench.rows(of, shopper.account_id) == [{"n": 0}]
        assert await bench.service._recents.last(shopper.account_id or "") == []
    nobodys = await bench.rows("SELECT count(*)::int AS n FROM recommendations.signals WHERE person IS NULL")
    assert nobodys == [{"n": 2}]  # what was on its way is nobody's


async def test_signals_are_kept_as_long_as_the_settings_say(bench: Bench) -> None:
    pot, cup = await bench.open(2)
    ada = bench.account()
    await bench.signal(ada, pot)
    await bench.buy(ada, cup)
    await bench.market.settle()
    kinds = "SELECT kind FROM recommendations.signals ORDER BY kind"
    await bench.market.stop_worker()
    await bench.market.clock.advance(91 * 86400)
    await bench.service.forget_old()
    assert await bench.rows(kinds) == [{"kind": "purchase"}]
    await bench.market.clock.advance(1005 * 86400)
    await bench.service.forget_old()
    assert await bench.rows(kinds) == []


async def test_a_list_that_fails_or_takes_too_long_is_the_feed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pot, cup = await bench.open(2)
    await bench.choose_together(pot, cup)
    await bench.learn()
    ada = bench.account()
    await bench.signal(ada, pot)
    feed = ids_of(await bench.feed())
    assert ids_of(await bench.shown(ada)) != feed
    service: Any = bench.service

    async def fails(*_: Any) -> Any:
        raise ZeroDivisionError

    async def hangs(*_: Any) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(service, "_config", _quick(service._config))
    for bad in (fails, hangs):
        for part in ("alike", "known", "shelves"):
            with monkeypatch.context() as patched:
                patched.setattr(service._store, part, bad)
                assert ids_of(await bench.shown(ada)) == feed, (bad, part)
                assert set(ids_of(await bench.similar(pot, ada))) == set(feed)
        with monkeypatch.context() as patched:
            patched.setattr(service._lists, "_cart", type("Cart", (), {"get_lines": bad}))
            assert ids_of(await bench.shown(ada)) == feed


def _quick(config: Any) -> Any:
    return type(config)(personal_ms=40, feed_pause=0.0)


async def test_without_the_feeds_server_there_is_what_is_popular(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pot, cup = await bench.open(2)
    await bench.signal(bench.account(), cup)
    await bench.learn()

    async def away(*_: Any) -> Any:
        raise Unavailable("The cache does not answer.")

    for method in ("read", "remove"):
        monkeypatch.setattr(type(bench.service._feeds), method, away)
    shown = await bench.recommendations.recommend(Shopper(), PageQuery())
    assert ids_of(shown.items) == [cup.product_id, pot.product_id]


async def test_a_feed_that_is_forgotten_is_there_again(bench: Bench) -> None:
    """A Redis that begins anew has no feed for less than ten seconds."""
    [pot, *_] = await bench.open(2)
    await bench.learn()
    await bench.comes(pot)
    redis: Any = bench.market.process.resources.redis("cache")
    await redis.flushdb()
    await eventually(lambda: bench.in_feed(pot), within=10.0)


async def test_a_rebuild_knows_what_no_event_has_told(bench: Bench) -> None:
    pot, cup = await bench.open(2)
    await bench.market.settle()
    await bench.rows("DELETE FROM recommendations.products WHERE id = $1", pot.product_id)
    await bench.service.rebuild_feed()
    assert await bench.in_feed(pot) and await bench.in_feed(cup)
    await bench.sell_out(pot)  # a later event of it counts
    await bench.market.settle()
    assert not await bench.in_feed(pot)


async def test_what_others_propose_is_among_it_under_the_same_rules(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pot, cup, can, gone = await bench.open(4)
    await bench.choose_together(pot, cup)
    await bench.learn()
    await bench.sell_out(gone)
    await bench.market.settle()
    asked: list[Any] = []

    async def propose(request: Any) -> dict[str, list[Candidate]]:
        asked.append(request)
        found = [Candidate(product_id=each.product_id, score=1.0, reason=Reason("new")) for each in (gone, can)]
        return {"editors": [*found, Candidate(product_id=new_id(), score=0.5)]}

    service: Any = bench.service
    extensions = Extensions({"recommendation_candidates": [("editors", propose)]}, 1.0)
    monkeypatch.setattr(service._lists, "_extensions", extensions)
    ada = bench.account()
    await bench.signal(ada, pot)
    first = await bench.first(ada, 2)
    assert {card.id: card.reason.code for card in first} == {can.product_id: "new", cup.product_id: "bought_together"}
    assert (asked[0].account_id, asked[0].recent) == (ada.account_id, (pot.product_id,))
    extensions = Extensions({"recommendation_candidates": [("editors", _broken)]}, 1.0)
    monkeypatch.setattr(service._lists, "_extensions", extensions)
    assert ids_of(await bench.shown(ada)) == ids_of(await bench.feed())


async def _broken(request: Any) -> Any:
    raise ZeroDivisionError


async def test_what_a_guests_token_is_kept_under_does_not_tell_it(bench: Bench) -> None:
    [pot, *_] = await bench.open(2)
    token = new_id()
    await bench.signal(Shopper(token=token), pot)
    await bench.market.settle()
    [row] = await bench.rows("SELECT person FROM recommendations.signals")
    assert row["person"].startswith("guest:") and token not in row["person"]
    await bench.recommendations.record(Shopper(), [SignalInput(type="view", product_id=pot.product_id)])
    await bench.recommendations.record(Shopper(), [])
    await bench.market.settle()
    assert await bench.rows(COUNT) == [{"n": 2}]


async def test_sellers_who_may_not_sell_are_in_no_feed(bench: Bench) -> None:
    from marketplace_core.capabilities.sellers import SellerChanged  # noqa: PLC0415

    [pot, *_] = await bench.open(1)
    await bench.learn()
    for version, status in enumerate(("suspended", "active"), 2):
        told = SellerChanged(seller_id=pot.seller.id, name="Kettle", status=status, version_number=version)  # type: ignore[arg-type]
        await bench.market.emit(told)

        async def so(expected: bool = status == "active") -> bool:
            return await bench.in_feed(pot) is expected

        await eventually(so, within=2.0 if status == "suspended" else 10.0)


async def test_the_model_is_read_as_a_whole(bench: Bench) -> None:
    """One that ended half written is nobody's, and goes with the next."""
    pot, cup = await bench.open(2)
    await bench.choose_together(pot, cup)
    await bench.learn()
    before = await bench.similar(pot)
    rows = await bench.rows("SELECT DISTINCT generation FROM recommendations.neighbours")
    assert len(rows) == 1
    insert = "INSERT INTO recommendations.neighbours VALUES (1, $1, '[]', true)"
    await bench.rows(insert, pot.product_id)
    assert await bench.similar(pot) == before
    await bench.learn()
    assert len(await bench.rows("SELECT DISTINCT generation FROM recommendations.neighbours")) == 1


def test_a_gateway_imports_nothing_that_computes() -> None:
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    code = (
        "import sys, marketplace_recommendations.plugin\n"
        "heavy = {'numpy', 'scipy', 'implicit', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=Path.cwd())
    assert done.returncode == 0, done.stderr
