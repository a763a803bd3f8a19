"""A worker in a process of its own that never ends its job."""

from __future__ import annotations

import asyncio
import sys

from marketplace_core.adapters.arq import ArqWorker


async def main(url: str, name: str, lease: str) -> None:
    async def hang(args: str) -> None:
        print(f"hang/{args}", flush=True)
        await asyncio.Event().wait()

    await ArqWorker(url, name, {"contract.hang": hang}, lease=float(lease)).run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
