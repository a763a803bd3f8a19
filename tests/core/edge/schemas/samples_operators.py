"""Samples of what operators ask: sagas, dead events, jobs, the clock."""

from __future__ import annotations

from marketplace_core.capabilities.payments import PaymentCaptured
from marketplace_core.testing.contracts import eventually, running
from marketplace_core.testing.contracts.surroundings import tell
from marketplace_core.values import Money, new_id
from tests.core.edge.schemas.samples import Sample, sample
from tests.core.edge.schemas.world import World


@sample("GET /sagas/{id}", on=("admin",))
async def _saga(world: World, audience: str) -> Sample:
    return Sample({"id": world.order["id"]})


@sample("POST /sagas/{id}/compensate", on=("admin",), most=2)
async def _compensate(world: World, audience: str) -> Sample:
    """An order that waits for its holder at 3-D Secure."""
    order = await world.placed("tok_3ds")
    asked = f"/orders/{order['id']}"
    await world.people["buyer"].until(asked, lambda one: (one["payment"] or {}).get("status") == "requires_action")
    await world.shop.market.settle(failures=True)
    return Sample({"id": order["id"]})


@sample("POST /sagas/{id}/retry", on=("admin",), most=1)
async def _failed(world: World, audience: str) -> Sample:
    """One that the engine recorded as failed, though all of its steps were done: it goes on, and has ended."""
    order = await world.confirmed()
    await world.shop.admin.until(f"/sagas/{order['id']}", lambda saga: saga["status"] == "done")
    database = world.shop.market.process.resources.database("main")
    await database.execute("UPDATE dbos.workflow_status SET status = 'ERROR' WHERE workflow_uuid = $1", order["id"])
    return Sample({"id": order["id"]})


@sample("POST /events/dead/{id}/replay", "DELETE /events/dead/{id}", on=("admin",), most=1)
async def _parked(world: World, audience: str) -> Sample:
    """What no ledger takes: a tax in another currency. It fails again, however often it is replayed."""
    order, amount = new_id(), Money(100, "EUR")
    parts = {"commission": Money(10, "EUR"), "shipping": Money(0, "EUR"), "tax": Money(20, "USD")}
    named = {"operation_id": new_id(), "package_id": new_id(), "seller_id": "seller"}
    await tell(world.shop.market, PaymentCaptured(order_id=order, amount=amount, **named, **parts), failures=True)
    parked = (await world.shop.admin.get("/events/dead?limit=100"))["items"]
    return Sample({"id": next(one["id"] for one in parked if one["key"].endswith(order))})


@sample("POST /jobs/{id}/retry", "DELETE /jobs/{id}", on=("admin",), most=1)
async def _failed_job(world: World, audience: str) -> Sample:
    """One that no worker knows."""
    process, id_ = world.shop.market.process, new_id()
    await process.queue.put([("samples.misspelt", id_, "{}")])

    async def has_failed() -> bool:
        return any(job.id == id_ for job in await process.queue.failed())

    async with running(process.queue.serve({"samples.known": _pass})):
        await eventually(has_failed)
    return Sample({"id": id_})


async def _pass(args: str) -> None:
    pass


@sample("POST /clock", on=("admin",))
async def _clock(world: World, audience: str) -> Sample:
    """Whoever moves the clock far is logged out by that."""
    session = await world.again("admin")
    return Sample(body={"advance": 1}, token=f"Bearer {session['session']['access_token']}")
