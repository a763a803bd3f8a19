"""What went wrong for good is seen: by operators, and by a test that settles."""

from __future__ import annotations

import pytest

from marketplace_core.capabilities.payments import PaymentCaptured
from marketplace_core.testing.contracts import eventually, running
from marketplace_core.testing.contracts.surroundings import tell
from marketplace_core.testing.marketplace import Failures, Marketplace
from marketplace_core.testing.shop import Shop
from marketplace_core.values import Money, new_id


async def fail_jobs(market: Marketplace, *ids: str) -> None:
    """Jobs of these ids that no worker knows."""
    queue = market.process.queue

    async def have_failed() -> bool:
        return {job.id for job in await queue.failed()} >= set(ids)

    await queue.put([("failures.misspelt", id_, f'"{id_}"') for id_ in ids])
    async with running(market.process.queue.serve({"failures.known": _pass})):
        await eventually(have_failed)


async def _pass(args: str) -> None:
    pass


async def test_operators_list_failed_jobs_page_by_page(shop: Shop) -> None:
    await fail_jobs(shop.market, "a", "b", "c")
    first = await shop.admin.get("/jobs?limit=2")
    second = await shop.admin.get(f"/jobs?limit=2&cursor={first['next']}")
    items = [*first["items"], *second["items"]]
    assert (sorted(job["id"] for job in items), second["next"]) == (["a", "b", "c"], None)
    assert [job["at"] for job in items] == sorted(job["at"] for job in items)
    one = next(job for job in items if job["id"] == "b")
    told = {"job": "failures.misspelt", "args": '"b"', "tries": 0, "error": "no worker knows this job", "payload": None}
    assert {key: one[key] for key in told} == told


async def test_operators_run_failed_jobs_again_or_drop_them(shop: Shop) -> None:
    await fail_jobs(shop.market, "a", "b")
    done: list[str] = []

    async def mended(args: str) -> None:
        done.append(args)

    await shop.admin.post("/jobs/a/retry", None, 202)
    await shop.admin.delete("/jobs/b", 202)
    async with running(shop.market.process.queue.serve({"failures.misspelt": mended})):
        await eventually(lambda: done == ['"a"'])
        await shop.market.settle()
    assert ((await shop.admin.get("/jobs"))["items"], done) == ([], ['"a"'])
    for refused in (await shop.admin.post("/jobs/a/retry", None, 404), await shop.admin.delete("/jobs/b", 404)):
        assert refused["code"] == "http.not_found"


async def test_settling_tells_of_failed_jobs(shop: Shop) -> None:
    await shop.market.settle()
    await fail_jobs(shop.market, "a")
    with pytest.raises(Failures, match=r"1 jobs failed.*\n.*failures.misspelt a: no worker knows"):
        await shop.market.settle()
    await shop.market.settle(failures=True)


async def test_settling_tells_of_parked_events(shop: Shop) -> None:
    order, amount = new_id(), Money(100, "EUR")
    parts = {"commission": Money(10, "EUR"), "shipping": Money(0, "EUR"), "tax": Money(20, "USD")}
    event = PaymentCaptured(order_id=order, operation_id=new_id(), package_id=new_id(), seller_id="s", amount=amount, **parts)
    with pytest.raises(Failures, match=f"1 keys are parked.*\n.*payments.on_payment_captured of .*{order}"):
        await tell(shop.market, event)
    await shop.market.settle(failures=True)
