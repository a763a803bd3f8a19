"""Imports of real files, in rows per second, and what PostgreSQL's COPY takes for the rows that they became."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
from asyncio.subprocess import PIPE
from pathlib import Path
from typing import Any

import psutil
from figures import Bench, Line, figure
from market import CLI, PATIENCE, Market

from marketplace_core.adapters.postgres import Database

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"


@figure("imports")
async def imports(bench: Bench) -> list[Line]:
    """Rows per second of `import olist` and of an online_retail file; beside each, COPY of the rows that they became."""
    if not DATA.is_dir():
        return [Line(name="imports", unit="", ours=[0.0], note=f"{DATA} is not there")]
    products = bench.folder / "online_retail.jsonl"
    source = DATA / "online_retail" / "online_retail.csv.xz"
    await _run(*CLI, "convert", "online_retail", os.fspath(source), "-o", os.fspath(products))
    return [
        await _imported(bench, "import products, online_retail", "products", products),
        await _imported(bench, "import olist", "olist", DATA / "olist"),
    ]


@figure("imports_large")
async def imports_large(bench: Bench) -> list[Line]:
    """Rows per second of a file of any size, and of the same file again, and the memory of the process that reads it."""
    products = 4_000 if bench.quick else 200_000
    source = bench.folder / "large.csv"
    await asyncio.to_thread(_write_large, source, products)
    market = Market()
    try:
        command = (*CLI, "import", "products", os.fspath(source), "--json", "--data", os.fspath(market.data))
        lines = []
        for name, least in (("import products, large", 8_000.0), ("import products, large, again", 20_000.0)):
            bench.say(name)
            output, memory = await _measured(*command)
            report = json.loads(output.splitlines()[-1])
            rate = report["variants"]["read"] / report["seconds"]
            note = f"{products * VARIANTS:,} rows of {products:,} products in {report['seconds']:.0f} s"
            lines.append(Line(name=name, unit="rows/s", ours=[rate], at_least=least, note=note))
            lines.append(Line(name=f"{name}: memory", unit="MB", ours=[memory], at_most=200.0))
        return lines
    finally:
        await market.close()


VARIANTS = 5


def _write_large(path: Path, products: int) -> None:
    with path.open("w") as file:
        file.write("product,sku,title,description,category,seller,price,currency,stock,option.size,attr.colour\n")
        for n in range(products):
            category = f"Top {n % 20} > Mid {n % 400} > Leaf {n % 7000}"
            for size in range(VARIANTS):
                common = f"p{n},s{n}-{size},Product {n},{'Of iron. ' * 12},{category},Seller {n % 50}"
                file.write(f"{common},{n % 900 + 1}.95,EUR,{n % 100},{size},{n % 7}\n")


async def _measured(*argv: str) -> tuple[str, float]:
    """What a command says, and the most memory that it had, in MB."""
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE)
    watching = asyncio.create_task(_most_memory(process.pid))
    output, errors = await process.communicate()
    memory = await watching
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[:4])}: {errors.decode()[-400:]}")
    return output.decode(), memory


async def _most_memory(pid: int) -> float:
    most = 0
    with contextlib.suppress(psutil.Error):
        watched = psutil.Process(pid)
        while watched.is_running() and watched.status() != psutil.STATUS_ZOMBIE:
            most = max(most, watched.memory_info().rss)
            await asyncio.sleep(0.2)
    return most / 1e6


async def _imported(bench: Bench, name: str, kind: str, source: Path) -> Line:
    """Into a marketplace of its own, whose servers the command starts."""
    market = Market()
    try:
        bench.say(name)
        output = await _run(*CLI, "import", kind, os.fspath(source), "--json", "--data", os.fspath(market.data))
        report = json.loads(output.splitlines()[-1])
        server = market.postgres
        await server.start()
        try:
            database = market.database()
            rows, seconds = await _copied(database, _shared(market.folder / "copy"))
            await database.close()
        finally:
            await server.stop()
        written = sum(part["written"] for part in report.values() if isinstance(part, dict) and "written" in part)
        taken = report["seconds"]
        note = f"{written:,} rows of the files in {taken:.0f} s, which are {rows:,} in PostgreSQL"
        return Line(name=name, unit="rows/s", ours=[rows / taken], floor=[rows / seconds], note=note)
    finally:
        await market.close()


async def _copied(database: Database, folder: Path) -> tuple[int, float]:
    """How many rows there are in all the tables, and the seconds that it takes to COPY them into empty ones like them."""
    tables: list[Any] = await database.fetch(
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema)' ORDER BY 1"
    )
    await database.execute("CREATE SCHEMA copied")
    rows, seconds = 0, 0.0
    for number, table in enumerate(tables):
        file = folder / str(number)
        rows += await database.value(f"SELECT count(*) FROM {table['name']}")  # noqa: S608 - names out of the catalogue
        await database.execute(f"COPY {table['name']} TO '{file}'")
        await database.execute(f"CREATE TABLE copied.t{number} (LIKE {table['name']} INCLUDING ALL)")
        began = time.perf_counter()
        await database.execute(f"COPY copied.t{number} FROM '{file}'")
        seconds += time.perf_counter() - began
    return rows, seconds


def _shared(folder: Path) -> Path:
    """A folder in which the server, another user, may read and write."""
    folder.mkdir()
    folder.chmod(0o777)
    return folder


async def _run(*argv: str) -> str:
    process = await asyncio.create_subprocess_exec(*argv, stdout=PIPE, stderr=PIPE)
    async with asyncio.timeout(5 * PATIENCE):
        output, errors = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(argv[:4])}: {errors.decode()[-400:]}")
    return output.decode()
