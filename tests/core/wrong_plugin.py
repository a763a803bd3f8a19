"""A small plugin of somebody else's, right in everything, that a test makes one mistake in.

It has one of each thing that a plugin may have; its package is not called as ours are.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["FILES", "write"]

FILES = {
    "gifts.py": """
from __future__ import annotations
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING
from msgspec import Struct
from marketplace_core.capabilities import declare
from marketplace_core.errors import declare_codes
from marketplace_core.events import Event, event
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, query
if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

class Wish(Struct, frozen=True):
    product_id: str

class Gift(Struct, frozen=True):
    id: str

@event("gifts.given", key="gift_id")
class GiftGiven(Event, frozen=True, kw_only=True):
    gift_id: str

declare_codes(409, "gifts.gone")

class Gifts(ABC):
    @abstractmethod
    @query
    async def list_gifts(self, account_id: str) -> list[Gift]: ...

    @abstractmethod
    @mutation(retriable=True)
    async def give(self, account_id: str, wish: Wish) -> Gift: ...

class GiftsHooks:
    @hookspec
    def provide_gifts(self, context: PluginContext) -> Gifts: ...

declare(__name__)
""",
    "service.py": """
from __future__ import annotations
from typing import Any
from msgspec import Struct
from marketplace_core.capabilities.catalog import Catalog, ProductChanged
from marketplace_core.errors import Conflict
from marketplace_core.metrics import Counter
from marketplace_core.ports import UnitOfWork, Units, command, handler, natural
from acme_gifts.gifts import Gift, GiftGiven, Gifts, Wish

class Wrap(Struct, frozen=True):
    gift_id: str

class GiftsService(Gifts):
    def __init__(self, units: Units, store: Any, catalog: Catalog, given: Counter) -> None:
        self.units, self._store, self._catalog, self._given = units, store, catalog, given

    async def list_gifts(self, account_id: str) -> list[Gift]:
        return []

    @command
    async def give(self, uow: UnitOfWork, account_id: str, wish: Wish) -> Gift:
        if not wish.product_id:
            raise Conflict("gifts.gone", "It is gone.")
        uow.emit(GiftGiven(gift_id="1"))
        uow.enqueue("gifts.wrap", Wrap("1"))
        self._given.labels("yes").inc()
        return Gift("1")

    @handler(ProductChanged)
    async def on_product_changed(self, uow: UnitOfWork, event: ProductChanged) -> None: ...

    @natural
    async def wrap(self, uow: UnitOfWork, args: Wrap) -> None: ...

    async def tidy(self) -> None: ...

    async def watch(self) -> None: ...

class Other:
    async def tidy(self) -> None: ...
""",
    "router.py": """
from __future__ import annotations
from marketplace_core.http.routing import Request, Router
from acme_gifts.gifts import Gift, Gifts, Wish

def routers(gifts: Gifts) -> list[Router]:
    buyer = Router("buyer", "gifts")

    @buyer.get("/gifts", access="account")
    async def list_gifts(request: Request) -> list[Gift]:
        return await gifts.list_gifts(request.account_id)

    @buyer.post("/gifts")
    async def give(request: Request, body: Wish) -> Gift:
        return await gifts.give(request.account_id, body)

    return [buyer]
""",
    "plugin.py": """
from __future__ import annotations
from datetime import timedelta
from msgspec import Struct
from marketplace_core.capabilities.auth import Auth
from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.hookspecs import Job, PluginInfo, Schedule, Task, hookimpl, migrations_of
from acme_gifts import router
from acme_gifts.gifts import Gifts
from acme_gifts.service import GiftsService, Other, Wrap

class GiftsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    ribbon: str = "red"

STORES = {"postgres": lambda context: context.database}

@hookimpl
def info():
    return PluginInfo(name="gifts", version="1.0", provides="gifts", requires=("catalog",), stores=("postgres",))

@hookimpl
def settings():
    return GiftsConfig

@hookimpl
def migrations():
    return migrations_of(__package__)

@hookimpl
def provide_gifts(context):
    given = context.metrics.counter("given", "Gifts.", ("wrapped",))
    return GiftsService(context.units, context.store(STORES), context.port(Catalog), given)

@hookimpl
def routers(context):
    return router.routers(context.port(Gifts))

@hookimpl
def subscriptions():
    return [GiftsService.on_product_changed]

@hookimpl
def jobs():
    return [Job("gifts.wrap", GiftsService.wrap, Wrap)]

@hookimpl
def schedules():
    return [Schedule("gifts.tidy", GiftsService.tidy, timedelta(hours=1))]

@hookimpl
def tasks():
    return [Task("gifts.watch", GiftsService.watch)]
""",
    "migrations/postgres/0001_gifts.sql": """CREATE TABLE gifts.gifts (id text PRIMARY KEY);
CREATE INDEX ON gifts.gifts (id);
""",
}


def write(folder: Path, *changes: tuple[str, str, str], files: dict[str, str] | None = None) -> None:
    """The package ``acme_gifts`` in ``folder``: each change is a file, what stands there once, and what comes in its place."""
    texts = {**FILES, **(files or {})}
    for name, old, new in changes:
        assert texts[name].count(old) == 1, f"{old!r} stands {texts[name].count(old)} times in {name}"
        texts[name] = texts[name].replace(old, new)
    package = folder / "acme_gifts"
    for name, text in {"__init__.py": "", **texts}.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text.removeprefix("\n"))
