"""Load by wrk: one thread, 32 connections, on the same cores as what is measured."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
import subprocess
from asyncio.subprocess import PIPE
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["CONNECTIONS", "install_wrk", "post_script", "wrk"]

CONNECTIONS = 32
_numbers = itertools.count(1)


def install_wrk() -> None:
    """:raises SystemExit: it is not there and we may not install it."""
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "install", "-y", "-q", "wrk"], check=True)  # noqa: S607
        return
    raise SystemExit("The bench needs wrk: apt-get install wrk, or see https://github.com/wg/wrk")


async def wrk(
    url: str,
    seconds: float,
    folder: Path,
    *,
    script: str = "",
    headers: Mapping[str, str] | None = None,
    connections: int = CONNECTIONS,
) -> float:
    """Requests per second. ``script`` is wrk's, in Lua. :raises RuntimeError: an answer was not 2xx or 3xx."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s"]
    for name, value in (headers or {}).items():
        argv += ["-H", f"{name}: {value}"]
    if script:
        path = folder / f"wrk-{next(_numbers)}.lua"
        path.write_text(script)
        argv += ["-s", str(path)]
    process = await asyncio.create_subprocess_exec(*argv, url, stdout=PIPE, stderr=PIPE)
    output, errors = (text.decode() for text in await process.communicate())
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    if rate is None or "Non-2xx" in output or "Socket errors" in output:
        raise RuntimeError(f"wrk at {url}: {output} {errors}")
    return float(rate[1])


def post_script(requests: Sequence[tuple[Mapping[str, str], str]]) -> str:
    """A wrk script that posts these headers and JSON bodies in turn."""
    listed = ",\n".join(f"{{{_lua(headers)}, {_quoted(body)}}}" for headers, body in requests)
    return f"""
local listed = {{{listed}}}
local requests, n = {{}}, 0
function init(args)
  for i, each in ipairs(listed) do
    each[1]["Content-Type"] = "application/json"
    requests[i] = wrk.format("POST", nil, each[1], each[2])
  end
end
function request() n = n % #requests + 1; return requests[n] end
"""


def _lua(headers: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"[{_quoted(name)}] = {_quoted(value)}" for name, value in headers.items()) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
