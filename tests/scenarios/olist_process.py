"""``import olist`` in a process of its own, which a test may kill.

Arguments: the deployment's file, its URLs as JSON, the folder, rows at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from marketplace_olist.history import Ports, import_olist

from marketplace_core._runtime.assembly import Assembly
from marketplace_core._runtime.serve import open_process
from marketplace_core.deployment import load
from marketplace_core.testing.marketplace import SECRET, Marketplace


async def start(market: Marketplace, folder: Path, *, batch: int = 500, failpoints: str = "") -> asyncio.subprocess.Process:
    """``failpoints``: where it dies by itself, as ``seed:mean``."""
    environment = {**os.environ, "MARKETPLACE_FAILPOINTS": failpoints}
    arguments = [__file__, str(market.file), json.dumps(market.urls), str(folder), str(batch)]
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, env=environment, stderr=asyncio.subprocess.DEVNULL)


async def main(file: str, urls: str, folder: str, batch: str) -> None:
    async with open_process(Assembly.of(load(Path(file))), json.loads(urls).__getitem__, SECRET) as process:
        await import_olist(Path(folder), Ports.of(process.port), batch=int(batch))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
