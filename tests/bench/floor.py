"""A floor: a bare Quart route on the same Granian that does what it is told for each request and answers fixed bytes.

As a program it is given a file with a :class:`Spec` and prints its address.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

__all__ = ["Sent", "Spec", "Sql", "floor", "program"]

_numbers = itertools.count(1)


class Sent(Struct, frozen=True):
    """Commands to one Redis, one after the other."""

    url: str
    commands: list[tuple[bytes, ...]]


class Sql(Struct, frozen=True):
    """Explicit or not, and per statement its text and parameters: see ``replay``."""

    explicit: bool
    steps: list[tuple[str, tuple[str | None, ...]]]


class Spec(Struct, frozen=True, kw_only=True):
    """``values`` take turns: each request replaces these texts in what it sends. ``fresh`` are replaced by new UUIDs.
    ``bare``: no Quart, only ASGI."""

    body: bytes
    redis: list[Sent] = []
    dsn: str = ""
    sql: list[Sql] = []
    values: list[dict[str, str]] = []
    fresh: list[str] = []
    bare: bool = False


@contextlib.asynccontextmanager
async def floor(spec: Spec, folder: Path) -> AsyncIterator[str]:
    """Run it as a process of its own; gives its address."""
    path = folder / f"floor-{next(_numbers)}.spec"
    path.write_bytes(msgspec.msgpack.encode(spec))
    async with program(folder, "floor", str(path)) as line:
        yield line


@contextlib.asynccontextmanager
async def program(folder: Path, name: str, *arguments: str, patience: float = 60) -> AsyncIterator[str]:
    """A module of the bench as a program, until the end of the block; gives the first line that it prints, ``patience``
    seconds after its start at the latest.

    Its log is a file in ``folder``, as that of the marketplace is.
    """
    argv = (sys.executable, str(Path(__file__).with_name(f"{name}.py")), *arguments)
    with (folder / f"{name}.log").open("ab") as log:
        # In a session of its own, as the marketplace's processes are: a kernel may share the cores out by session.
        process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=log, start_new_session=True)
    try:
        if process.stdout is None:
            raise RuntimeError("the program has no output")
        async with asyncio.timeout(patience):
            line = (await process.stdout.readline()).decode().strip()
        if not line:
            raise RuntimeError(f"{name} did not start: {(folder / f'{name}.log').read_text()}")
        yield line
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


# ── the program ──────────────────────────────────────────────────────────────────────────────────────────────

Work = Callable[[], Awaitable[None]]


def _work(spec: Spec) -> Work:
    turns = itertools.cycle(spec.values or [{}])
    redis = [_redis_work(sent) for sent in spec.redis]
    sql = _sql_work(spec) if spec.sql else None

    async def work() -> None:
        values = next(turns)
        if spec.fresh:
            values = {**values, **_fresh(spec.fresh)}
        for send in redis:
            await send(values)
        if sql is not None:
            await sql(values)

    return work


def _fresh(names: Sequence[str]) -> dict[str, str]:
    from replay import fresh  # noqa: PLC0415

    return fresh(names)


def _redis_work(sent: Sent) -> Callable[[dict[str, str]], Awaitable[None]]:
    from marketplace_core.adapters.redis.server import connect  # noqa: PLC0415

    client = connect(sent.url)

    async def work(values: dict[str, str]) -> None:
        for command in sent.commands:
            await client.execute_command(*(_replaced(command, values) if values else command))  # type: ignore[no-untyped-call]

    return work


def _replaced(command: Sequence[bytes], values: dict[str, str]) -> list[bytes]:
    found = list(command)
    for old, new in values.items():
        raw = old.encode()
        found = [argument.replace(raw, new.encode()) if raw in argument else argument for argument in found]
    return found


def _sql_work(spec: Spec) -> Callable[[dict[str, str]], Awaitable[None]]:
    import replay  # noqa: PLC0415

    connections = replay.pool(spec.dsn)
    wanted = [replay.Replayed(t.explicit, [replay.Step(sql, params) for sql, params in t.steps]) for t in spec.sql]

    async def work(values: dict[str, str]) -> None:
        await replay.run(connections, wanted, values)

    return work


def _asgi(spec: Spec) -> Any:
    work, headers = _work(spec), [(b"content-type", b"application/json")]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await work()
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": spec.body})

    return app


async def _serve(spec: Spec) -> None:
    from granian.constants import Interfaces  # noqa: PLC0415
    from granian.server.embed import Server  # noqa: PLC0415
    from quart import Quart, Response  # noqa: PLC0415

    from marketplace_core._runtime.serve import _listening, _terminated  # noqa: PLC0415
    from marketplace_core._supervisor.ports import free_port  # noqa: PLC0415

    body = spec.body
    app: Any = Quart("floor")
    if spec.redis or spec.sql:
        work = _work(spec)

        @app.route("/", methods=["GET", "POST"])
        async def working() -> Response:
            await work()
            return Response(body, content_type="application/json")
    else:

        @app.route("/", methods=["GET", "POST"])
        async def fixed() -> Response:
            return Response(body, content_type="application/json")

    port = free_port()
    if spec.bare:
        app = _asgi(spec)
    server = Server(app, address="127.0.0.1", port=port, interface=Interfaces.ASGINL, log_access=False, log_enabled=False)
    serving = asyncio.create_task(server.serve())
    await _listening(serving, "127.0.0.1", port)
    print(f"http://127.0.0.1:{port}/", flush=True)
    await _terminated()
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait({serving}, timeout=5)


if __name__ == "__main__":
    import uvloop

    uvloop.run(_serve(msgspec.msgpack.decode(Path(sys.argv[1]).read_bytes(), type=Spec)))
