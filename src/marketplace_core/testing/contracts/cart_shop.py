"""What the cart's suite has on its shelves, and how it looks at a cart."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from marketplace_core import calls
from marketplace_core.calls import Call, Outcome
from marketplace_core.capabilities.cart import AddItem, Cart, CartOwner, CartView
from marketplace_core.capabilities.catalog import Catalog, LineRequest, MoneyInput, PriceRow, ProductDraft, StockRow
from marketplace_core.testing.contracts.catalog_shelves import open_seller, variants
from marketplace_core.values import Caller, new_id

__all__ = ["Stall", "account", "add", "as_lines", "fill", "guest_of", "keyed", "problems", "quantities"]

PLENTY = 1_000_000


class Stall:
    """A seller's published product; ``ids`` are those of its variants."""

    def __init__(self, catalog: Catalog, seller_id: str, product_id: str, skus: list[str], ids: list[str]) -> None:
        self._catalog = catalog
        self.seller_id, self.product_id, self.ids = seller_id, product_id, ids
        self._skus = dict(zip(ids, skus, strict=True))

    @classmethod
    async def open(
        cls, catalog: Catalog, count: int = 1, *, stock: int = PLENTY, price: int = 1000, currency: str = "EUR"
    ) -> Stall:
        seller = await open_seller(catalog)
        drafts = variants(*[stock] * count, price=price, currency=currency)
        made = await catalog.create_product(seller.id, ProductDraft(title="Tea pot", variants=drafts))
        await catalog.publish_product(seller.id, made.id)
        skus, ids = [variant.sku for variant in made.variants], [variant.id for variant in made.variants]
        return cls(catalog, seller.id, made.id, skus, ids)

    async def reprice(self, variant_id: str, amount: int, currency: str = "EUR") -> None:
        rows = [PriceRow(self._skus[variant_id], MoneyInput(amount, currency))]
        assert [row.status for row in (await self._catalog.set_prices(self.seller_id, rows)).items] == ["updated"]

    async def restock(self, variant_id: str, count: int) -> None:
        rows = [StockRow(self._skus[variant_id], quantity=count)]
        assert [row.status for row in (await self._catalog.set_stock(self.seller_id, rows)).items] == ["updated"]

    async def archive(self) -> None:
        await self._catalog.archive_product(self.seller_id, self.product_id)

    async def delete(self) -> None:
        await self._catalog.delete_product(self.seller_id, self.product_id, None)


# ── owners ───────────────────────────────────────────────────────────────────────────────────────────────────


def account() -> CartOwner:
    """An account that was never here before."""
    return CartOwner(account_id=new_id())


def guest_of(view: CartView) -> CartOwner:
    assert view.token, "a guest's cart has a token"
    return CartOwner(token=view.token)


@contextlib.contextmanager
def keyed(owner: CartOwner, key: str) -> Iterator[Outcome]:
    """As a gateway calls for this owner: under an idempotency key, which is the account's, else the guest's."""
    caller = Caller(audience="buyer", account_id=owner.account_id)
    with calls.scope(Call(caller=caller, guest=None if owner.account_id else owner.token, key=key)) as outcome:
        yield outcome


# ── carts ────────────────────────────────────────────────────────────────────────────────────────────────────


async def add(cart: Cart, owner: CartOwner, variant_id: str, quantity: int = 1) -> CartView:
    return await cart.add_item(owner, AddItem(variant_id, quantity))


async def fill(cart: Cart, owner: CartOwner, ids: Sequence[str], quantity: int = 1) -> None:
    """So many of each, in this order."""
    for variant_id in ids:
        await add(cart, owner, variant_id, quantity)


def quantities(view: CartView) -> list[tuple[str, int]]:
    """In the cart's order."""
    return [(item.variant_id, item.quantity) for item in view.items]


def problems(view: CartView) -> list[tuple[str, str]]:
    return [(problem.code, problem.variant_id) for problem in view.problems]


def as_lines(*wanted: tuple[str, int]) -> list[LineRequest]:
    return [LineRequest(variant_id, quantity) for variant_id, quantity in wanted]
