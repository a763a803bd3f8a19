"""Calls a port of another process, in turn with its floor: aiohttp that posts the same bytes and headers.

As a program it is given both addresses, seconds of a run and the number of pairs; it prints seconds per call as JSON.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec
import uvloop
from rpc_server import KEY, NAME, Shelf

from marketplace_core import calls
from marketplace_core._rpc.client import CALL, DEADLINE, Target, authorization, far_port
from marketplace_core._rpc.codec import port_methods
from marketplace_core.capabilities.catalog import ProductQuery
from marketplace_core.values import Caller, new_id

AT_ONCE = (1, 32)
QUERY = ProductQuery(category="kitchen", sort="price")


def call() -> calls.Call:
    caller = Caller(audience="buyer", account_id=new_id(), session_id=new_id())
    return calls.Call(caller=caller, key="an-idempotency-key", request_id=new_id(), trace=calls.new_trace())


async def seconds_per_call(act: Callable[[], Awaitable[object]], at_once: int, seconds: float) -> float:
    until, count = time.perf_counter() + seconds, 0

    async def again() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await act()
            count += 1

    began = time.perf_counter()
    await asyncio.gather(*(again() for _ in range(at_once)))
    return (time.perf_counter() - began) / count


async def main(far: str, bare: str, seconds: float, runs: int) -> None:
    target = Target(NAME, far, KEY)
    port = far_port(NAME, Shelf, target)
    one = call()
    body = port_methods(Shelf)["list_products"].encode_arguments((QUERY,), {})
    headers = {
        "authorization": authorization(KEY),
        "content-type": "application/msgpack",
        CALL: base64.b64encode(msgspec.msgpack.encode(one)).decode(),
        DEADLINE: "10000",
    }
    url = f"{bare}/_rpc/{NAME}/list_products"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def floor() -> bytes:
            async with session.post(url, data=body, headers=headers) as answer:
                return await answer.read()

        async def ours() -> object:
            return await port.list_products(QUERY)

        found: dict[str, list[list[float]]] = {}
        with calls.scope(one):
            for at_once in AT_ONCE:
                await seconds_per_call(ours, at_once, seconds / 5)  # warm
                await seconds_per_call(floor, at_once, seconds / 5)
                taken = [
                    (await seconds_per_call(ours, at_once, seconds), await seconds_per_call(floor, at_once, seconds))
                    for _ in range(runs)
                ]
                found[str(at_once)] = [[pair[0] for pair in taken], [pair[1] for pair in taken]]
    await target.close()
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), int(sys.argv[4])))
