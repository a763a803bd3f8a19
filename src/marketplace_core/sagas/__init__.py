"""Sagas: one act over several capabilities, written as an async function over a context that every engine gives.

.. code-block:: python

    @saga("orders.checkout", version=1, start=OrderPlaced, signals=(PaymentSettled,))
    async def checkout(ctx: SagaContext, order: OrderPlaced) -> None:
        ctx.on_refusal(Orders.fail, order.order_id)
        await ctx.call(Payments.authorize, order.order_id, undo=Payments.void)
        await ctx.call(Catalog.commit, order.order_id, undo=Catalog.restock)
        await ctx.pivot()
        await ctx.call(Orders.confirm, order.order_id)

A call ends *done*, *refused* or *unknown*. Unknown is asked again with the same key until it is known; it is never undone.
A refusal before the pivot undoes what was done, in reverse, and ends the saga; after the pivot it waits for a person, who
has it tried again or *compensates* the saga: then everything is undone as if it had been refused before, with the failure
``<plugin>.cancelled_by_operator`` of the plugin whose saga it is (``orders.cancelled_by_operator``). A mistake, which is any
other exception, ends it as it stands; it can be gone on with, or compensated, too.
The function holds no I/O, no clock but :meth:`SagaContext.now`, and nothing else that differs when it is replayed.
"""

from marketplace_core.sagas.definition import Retry, Saga, SagaCompensated, SagaContext, SagaRefused, saga
from marketplace_core.sagas.running import (
    COMPENSATE,
    OPERATOR,
    RETRY,
    Decision,
    Engine,
    RunningSaga,
    SagaEnd,
    StepCall,
    StepResult,
    decode_result,
    run_saga,
)
from marketplace_core.sagas.steps import Performer

__all__ = [
    "COMPENSATE",
    "OPERATOR",
    "RETRY",
    "Decision",
    "Engine",
    "Performer",
    "Retry",
    "RunningSaga",
    "Saga",
    "SagaCompensated",
    "SagaContext",
    "SagaEnd",
    "SagaRefused",
    "StepCall",
    "StepResult",
    "decode_result",
    "run_saga",
    "saga",
]
