"""The bench: how near the marketplace comes to what the same machine does without it.

``tox -e bench`` measures everything; ``tox -e bench -- reads login`` those figures; ``--quick`` takes short runs, whose
figures are only good for finding out whether they can be taken. Each is the median of runs in turn with its floor.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import apart
import big
import cart
import categories
import checkout
import events
import freshness
import hostile
import imports
import logins
import moderation
import pictures
import purge
import reads
import recommend
import reviews
import rpc
import search
import sink
import starts
import statements
import structlog
from figures import FIGURES, Bench, Line, as_json, table
from load import CONNECTIONS, install_wrk
from market import Market
from rich.console import Console

# Each registers its figures.
MODULES = (
    *(hostile, reads, cart, checkout, statements, logins, starts, rpc, events, apart, imports, categories, purge, moderation),
    *(search, recommend, freshness, reviews, pictures, big, sink),
)
WIDTH = 190


def main() -> int:
    """:returns: 0 where every goal is reached, 1 where one is missed, 2 for a wrong command."""
    options = _options()
    errors = Console(stderr=True)
    install_wrk()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))  # one figure has the API in here
    runs, seconds = (3, 1.0) if options.quick else (5, 5.0)
    lines = asyncio.run(_measure(options.figures or list(FIGURES), runs, seconds, options.quick, errors))
    screen = Console()
    if not screen.is_terminal:
        screen = Console(width=WIDTH)
    screen.print(table([line for found in lines.values() for line in found]))
    if options.json:
        document = {
            "machine": {"cores": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
            "runs": runs,
            "seconds": seconds,
            "connections": CONNECTIONS,
            "figures": {name: [as_json(line) for line in found] for name, found in lines.items()},
        }
        options.json.write_text(json.dumps(document, indent=1) + "\n")
    return 1 if any(line.reached is False for found in lines.values() for line in found) else 0


def _options() -> argparse.Namespace:
    about = "\n".join(f"  {name:<16} {measure.__doc__}" for name, measure in FIGURES.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"figures:\n{about}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="which, by name; all, if none")
    parser.add_argument("--quick", action="store_true", help="3 runs of 1 s instead of 5 of 5 s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was measured there, too")
    options = parser.parse_args()
    if unknown := set(options.figures) - set(FIGURES):
        parser.error(f"there is no figure {', '.join(sorted(unknown))}; there are {', '.join(FIGURES)}")
    return options


async def _measure(names: Sequence[str], runs: int, seconds: float, quick: bool, errors: Console) -> dict[str, list[Line]]:
    market = Market()
    began = time.monotonic()

    def say(text: str) -> None:
        errors.print(f"{time.monotonic() - began:6.0f} s  {text}", highlight=False)

    bench = Bench(market, seconds=seconds, runs=runs, quick=quick, say=say)
    try:
        return {name: await FIGURES[name](bench) for name in names}
    finally:
        await market.close()


if __name__ == "__main__":
    sys.exit(main())
