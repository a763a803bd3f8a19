"""The API process of a running marketplace without its encoded reads: every public read goes to the plugin and its SQL.

As a program it is given the data folder and prints its address.
"""

from __future__ import annotations

import sys
from pathlib import Path

import uvloop

from marketplace_core._runtime import serve as process_main
from marketplace_core.deployment import DEFAULT_FILE, load
from marketplace_core.http.logging import configure_logging


async def main(data: Path) -> None:
    configure_logging()
    process_main.EncodedReads = lambda _redis: None  # type: ignore[assignment,attr-defined,misc]
    async with (
        process_main.opened(load(DEFAULT_FILE), data) as process,
        process_main.serving(process_main.application(process)) as url,
    ):
        print(url, flush=True)
        await process_main._terminated()


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
