"""Checkout, as the act it is: money, stock, number.

After the pivot nothing of it is refused for a reason of business. If a step is all the same, an operator may compensate: the
cart has again what left it, the money is released, the stock is free, and the order fails with
``orders.cancelled_by_operator``. No step follows the confirmation, so an order that has a number is never undone here.
"""

from __future__ import annotations

from marketplace_core.capabilities.cart import Cart
from marketplace_core.capabilities.catalog import Catalog, LineRequest
from marketplace_core.capabilities.orders import OrderPlaced, Orders, PaymentView
from marketplace_core.capabilities.payments import Authorize, Payments, PaymentSettled
from marketplace_core.sagas import SagaContext, saga

__all__ = ["SAGAS"]


@saga("orders.checkout", version=1, start=OrderPlaced, signals=(PaymentSettled,))
async def checkout(ctx: SagaContext, order: OrderPlaced) -> None:
    ctx.on_refusal(Orders.fail, order.order_id)
    ctx.undo(Catalog.restock, order.reservation)
    payment: PaymentView | None = None
    if order.payment is not None:
        request = Authorize(
            order_id=order.order_id,
            account_id=order.account_id,
            amount=order.total,
            method=order.payment,
            expires_at=order.expires_at,
        )
        payment = await ctx.call(Payments.authorize, request)
        ctx.undo(Payments.void, order.order_id)
        if payment.action is not None:
            until = payment.action.expires_at
            await ctx.call(Catalog.extend, order.reservation, until)
            settled = await ctx.wait(PaymentSettled, until=until)
            if settled is None:
                payment = await ctx.call(Payments.expire_action, order.order_id)
            elif settled.failure is not None:
                raise ctx.refuse(settled.failure, "The payment failed.")
            else:
                payment = settled.payment
    await ctx.call(Catalog.commit, order.reservation)
    await ctx.pivot()
    if order.cart_id is not None:
        bought = [LineRequest(line.variant_id, line.quantity) for line in order.lines]
        await ctx.call(Cart.remove_bought, order.cart_id, order.order_id, bought, undo=Cart.put_back)
    await ctx.call(Orders.confirm, order.order_id, payment)


SAGAS = (checkout,)
