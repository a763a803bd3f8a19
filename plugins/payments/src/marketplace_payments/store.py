"""The store ports of payments: payments with their operations, and the ledger. Webhooks are kept by core's."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from marketplace_core.ports import UnitOfWork
from marketplace_core.values import Money
from marketplace_payments.domain import Operation, Payment
from marketplace_payments.ledger import EntrySet

__all__ = ["LedgerStore", "PaymentStore", "StoredSale"]


@dataclass(frozen=True)
class StoredSale:
    """What a set of the ledger left a seller, ``amount``, and whether that can be paid out."""

    set_id: str
    order_id: str
    package_id: str
    seller_id: str
    amount: Money
    released: bool = False


class PaymentStore(ABC):
    @abstractmethod
    async def insert(self, uow: UnitOfWork, payment: Payment, operation: Operation | None, ask_at: datetime | None) -> bool:
        """False: the order has a payment already. Two that insert for one order wait for each other."""

    @abstractmethod
    async def insert_missing(
        self, uow: UnitOfWork, payments: Sequence[Payment], operations: Sequence[Operation]
    ) -> tuple[set[str], set[str]]:
        """Those of orders that have none, each with its operations: the ids that were written, and those that were there."""

    @abstractmethod
    async def lock(self, uow: UnitOfWork, order_id: str) -> Payment | None:
        """The order's payment, held until the unit ends."""

    @abstractmethod
    async def save(self, uow: UnitOfWork, payment: Payment, ask_at: datetime | None) -> None:
        """``ask_at``: when the gateway is to be asked unless something is heard before; None: never."""

    @abstractmethod
    async def get(self, payment_or_order_id: str) -> Payment | None: ...

    @abstractmethod
    async def due(self, now: datetime, limit: int) -> list[Payment]:
        """About which the gateway is to be asked by now, the longest waiting first."""

    @abstractmethod
    async def find(self, gateway: str, gateway_id: str, reference: str | None) -> Payment | None:
        """The gateway's payment; by ``reference``, the order's id, where the gateway has not told us its own yet."""

    # operations

    @abstractmethod
    async def add_operation(self, uow: UnitOfWork, operation: Operation) -> bool:
        """False: there is one with its key."""

    @abstractmethod
    async def save_operation(self, uow: UnitOfWork, operation: Operation) -> None: ...

    @abstractmethod
    async def operations(self, payment_id: str, uow: UnitOfWork | None = None) -> list[Operation]:
        """In the order in which they were written."""

    @abstractmethod
    async def get_operation(self, operation_id: str) -> tuple[Operation, Payment] | None: ...


class LedgerStore(ABC):
    @abstractmethod
    async def lock_order(self, uow: UnitOfWork, order_id: str, *, completed: bool) -> bool:
        """Hold the order's part of the ledger until the unit ends. Whether it is completed, by this call or before."""

    @abstractmethod
    async def post(self, uow: UnitOfWork, entries: EntrySet) -> bool:
        """Append a set and move the balances. False: it was posted before, and nothing happens."""

    @abstractmethod
    async def add_sale(self, uow: UnitOfWork, sale: StoredSale) -> None: ...

    @abstractmethod
    async def release_sales(self, uow: UnitOfWork, order_id: str) -> list[StoredSale]:
        """Those that were not released yet; from now on they are."""

    @abstractmethod
    async def balances(self, accounts: Sequence[str]) -> dict[str, list[Money]]:
        """By account, one per currency in the order of their codes."""
