"""A port in a process of its own, and beside it the floor: a bare ASGI application that answers the same bytes.

As a program it prints both addresses.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from marketplace_core._rpc.server import Allowed, InternalApplication
from marketplace_core._runtime import serve as process_main
from marketplace_core._supervisor.ports import free_port
from marketplace_core.capabilities.catalog import Card, Image, ProductQuery, Rating, SellerRef
from marketplace_core.http.logging import configure_logging
from marketplace_core.ports import query
from marketplace_core.values import Money, Page, new_id

KEY = b"k" * 32
NAME = "shelf"


class Shelf(ABC):
    @abstractmethod
    @query
    async def list_products(self, query: ProductQuery) -> Page[Card]: ...


class Made(Shelf):
    """Twenty products, as the catalogue gives a page of them."""

    def __init__(self) -> None:
        self._page = Page([_card(number) for number in range(20)], "a cursor that is as long as one is")

    async def list_products(self, query: ProductQuery) -> Page[Card]:
        return self._page


def _card(number: int) -> Card:
    title = f"A product with a title of the usual length, number {number}"
    image = Image(f"/media/products/{new_id()}-640.webp", 640, 480)
    seller = SellerRef(new_id(), "A seller with a name")
    price = Money(1999 + number, "EUR")
    return Card(new_id(), f"a-product-{number}", title, seller, price, None, image, Rating(4.25, 17), True)


def bare(body: bytes) -> Callable[..., Awaitable[None]]:
    headers = [(b"content-type", b"application/msgpack"), (b"content-length", str(len(body)).encode())]

    async def application(scope: Any, receive: Any, send: Any) -> None:
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return application


async def main() -> None:
    configure_logging()

    async def ready() -> dict[str, str]:
        return {}

    made = Made()
    body = msgspec.msgpack.encode(await made.list_products(ProductQuery()))
    port = free_port()
    floor = Server(bare(body), address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_access=False, log_enabled=False)
    serving = asyncio.create_task(floor.serve())
    await process_main._listening(serving, "127.0.0.1", port)
    async with process_main.serving(InternalApplication({NAME: (Shelf, made)}, {KEY: Allowed("other")}, ready)) as url:
        print(url, f"http://127.0.0.1:{port}", flush=True)
        await process_main._terminated()
    floor.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait({serving}, timeout=5)


if __name__ == "__main__":
    uvloop.run(main())
