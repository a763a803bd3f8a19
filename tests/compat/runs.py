"""Real runs of the sagas of this repository on a whole marketplace, with what they asked their engine."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import marketplace_orders.sagas
import msgspec
import pytest

from marketplace_core import calls
from marketplace_core.adapters.dbos import engine as dbos
from marketplace_core.capabilities.cart import AddItem, Cart, CartOwner
from marketplace_core.capabilities.catalog import Catalog, SellerRef
from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery
from marketplace_core.capabilities.orders import Order, Orders, PaymentMethod, PlaceOrder, QuoteRequest
from marketplace_core.sagas import Engine, Saga, SagaEnd, run_saga
from marketplace_core.testing.compat.histories import History, RecordingEngine
from marketplace_core.testing.contracts import eventually
from marketplace_core.testing.contracts.orders import ADDRESS, list_variants
from marketplace_core.testing.marketplace import Marketplace, open_marketplace
from marketplace_core.testing.servers import Servers
from marketplace_core.testing.simulators import Simulator
from marketplace_core.values import new_id
from tests.compat import engine
from tests.compat.engine import EngineRows

__all__ = ["histories", "sagas"]

PLUGINS = ["auth", "catalog", "cart", "orders", "payments", "orchestrator", "payments_simulator"]


def sagas() -> Mapping[tuple[str, int], Saga]:
    """Those that plugins of this repository declare, by name and version."""
    return {(each.name, each.version): each for each in marketplace_orders.sagas.SAGAS}


class Runs:
    """Orders of one guest each, and the checkouts that they began."""

    def __init__(self, market: Marketplace, gateway: Simulator) -> None:
        self.market, self.gateway = market, gateway
        self.made: dict[str, History] = {}
        self._variant = ""

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Whatever runs meanwhile is recorded, by the saga's id."""

        async def run(declared: Saga, saga_id: str, payload: str, engine: Engine) -> SagaEnd:
            recorder = RecordingEngine(engine)
            end = await run_saga(declared, saga_id, payload, recorder)
            self.made[saga_id] = History(
                saga=declared.name,
                version=declared.version,
                id=saga_id,
                payload=msgspec.Raw(payload.encode()),
                entries=recorder.entries,
                end=end,
            )
            return end

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dbos, "run_saga", run)
            yield

    async def stock(self) -> None:
        [self._variant] = await list_variants(self.market.port(Catalog), SellerRef(new_id(), "Kettle"), 1, stock=100)

    async def place(self, card: str) -> str:
        cart = await self.market.port(Cart).get_cart(CartOwner())
        owner = CartOwner(token=cart.token)
        await self.market.port(Cart).add_item(owner, AddItem(self._variant, 2))
        quote = await self.market.port(Orders).quote(QuoteRequest(owner=owner, country="DE"))
        request = PlaceOrder(
            owner=owner,
            address=ADDRESS,
            email="ada@example.org",
            payment=PaymentMethod("card", card, return_url="https://shop.example/return"),
            expected_total=quote.total,
        )
        with calls.scope(calls.Call(key=new_id())):
            return (await self.market.port(Orders).place(request)).id

    async def order(self, order_id: str) -> Order:
        [order] = await self.market.port(Orders).get_orders([order_id])
        return order

    async def ended(self, order_id: str) -> str:
        async def is_over() -> bool:
            return order_id in self.made

        await eventually(is_over, within=30)
        return order_id

    async def challenged(self) -> tuple[str, str]:
        """An order that waits for the holder of its card, and the gateway's id of its payment."""
        order_id = await self.place("tok_3ds")

        async def waits() -> bool:
            payment = (await self.order(order_id)).payment
            return payment is not None and payment.status == "requires_action"

        await eventually(waits, within=30)
        await self.market.settle()
        database = self.market.process.resources.database("main")
        found = await database.value("SELECT gateway_id FROM payments.payments WHERE order_id = $1", order_id)
        return order_id, str(found)

    @asynccontextmanager
    async def unconfirmable(self) -> AsyncIterator[str]:
        """An order that is away while it is to be confirmed, until this is left; its checkout waits for a person."""
        database = self.market.process.resources.database("main")
        await self.market.stop_worker()
        order_id = await self.place("tok_ok")
        await database.execute("CREATE TABLE public.away AS SELECT * FROM orders.orders WHERE id = $1", order_id)
        await database.execute("DELETE FROM orders.packages WHERE order_id = $1", order_id)
        await database.execute("DELETE FROM orders.orders WHERE id = $1", order_id)
        await self.market.start_worker()

        async def waits() -> bool:
            page = await self.market.port(Orchestrator).list_sagas(SagaQuery(status="waiting"))
            return order_id in [saga.id for saga in page.items]

        await eventually(waits, within=30)
        await database.execute("INSERT INTO orders.orders SELECT * FROM public.away")
        await database.execute("DROP TABLE public.away")
        yield order_id


async def done(runs: Runs) -> str:
    return await runs.ended(await runs.place("tok_ok"))


async def declined(runs: Runs) -> str:
    return await runs.ended(await runs.place("tok_declined"))


async def challenge_succeeded(runs: Runs) -> str:
    order_id, payment = await runs.challenged()
    await runs.gateway.challenge(payment, "succeed")
    return await runs.ended(order_id)


async def challenge_failed(runs: Runs) -> str:
    order_id, payment = await runs.challenged()
    await runs.gateway.challenge(payment, "fail")
    return await runs.ended(order_id)


async def challenge_expired(runs: Runs) -> str:
    order_id, _ = await runs.challenged()
    await runs.market.clock.advance(3600)
    await runs.gateway.set_clock(runs.market.clock.offset)
    return await runs.ended(order_id)


async def given_up_while_waiting(runs: Runs) -> str:
    order_id, _ = await runs.challenged()
    await runs.market.port(Orchestrator).compensate(order_id)
    return await runs.ended(order_id)


async def given_up_after_the_pivot(runs: Runs) -> str:
    async with runs.unconfirmable() as order_id:
        await runs.market.port(Orchestrator).compensate(order_id)
    return await runs.ended(order_id)


async def tried_again_after_the_pivot(runs: Runs) -> str:
    async with runs.unconfirmable() as order_id:
        await runs.market.port(Orchestrator).retry(order_id)
    return await runs.ended(order_id)


#: In this order: the last ones stop the worker, or move the clock on.
CHECKOUTS: tuple[Callable[[Runs], Awaitable[str]], ...] = (
    done,
    declined,
    challenge_succeeded,
    challenge_failed,
    given_up_while_waiting,
    given_up_after_the_pivot,
    tried_again_after_the_pivot,
    challenge_expired,
)


async def histories(servers: Servers) -> dict[str, tuple[History, EngineRows]]:
    """A history of each way in which a checkout goes, by a name for it, with what the engine keeps of it."""
    with tempfile.TemporaryDirectory(prefix="mp-") as name:
        gateway = Simulator("payments", Path(name))
        settings = {"payments_simulator": gateway.settings()}
        try:
            async with open_marketplace(servers, PLUGINS, settings=settings, http=True) as market:
                await gateway.start_for(market)
                runs = Runs(market, gateway)
                await runs.stock()
                with runs.recording():
                    found = {f"checkout_{run.__name__}": runs.made[await run(runs)] for run in CHECKOUTS}
                    await market.settle()
                    await market.stop_worker()
                database = market.process.resources.database("main")
                return {name: (history, await engine.rows(database, history.id)) for name, history in found.items()}
        finally:
            gateway.end()
