"""What a port costs across processes."""

from __future__ import annotations

import json

from figures import Bench, Line, figure
from floor import program

#: Calls at once, and how many times its floor a call may take.
GOALS = {"1": 1.6, "32": 1.8}


@figure("rpc")
async def rpc(bench: Bench) -> list[Line]:
    """A port call to another process, 20 products; the floor is aiohttp to a bare ASGI application with the same bytes."""
    bench.say("calling another process")
    async with program(bench.folder, "rpc_server") as addresses:
        arguments = (*addresses.split(), f"{bench.seconds:g}", str(bench.runs))
        async with program(bench.folder, "rpc_client", *arguments, patience=300) as line:
            found = json.loads(line)
    lines = []
    for at_once, (ours, floor) in found.items():
        milliseconds = [[1000 * each for each in side] for side in (ours, floor)]
        name = f"a port call to another process, {at_once} at once"
        note = "all headers, breaker and metrics on"
        lines.append(Line(name=name, unit="ms", ours=milliseconds[0], floor=milliseconds[1], at_most=GOALS[at_once], note=note))
    return lines
