from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from simulator_harness import PATIENCE, SECRET, Receiver, Simulator, environment


async def run(*arguments: str) -> tuple[int | None, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "marketplace_simulators.payments", *arguments),
        env=environment(MARKETPLACE_SIMULATOR_SECRET=""),
        stdout=PIPE,
        stderr=PIPE,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@pytest.mark.asyncio
async def test_wrong_options_end_with_2_and_a_sentence(tmp_path: Path) -> None:
    database = ("--database", str(tmp_path / "x.db"))
    url = ("--webhook-url", "http://127.0.0.1:1/")
    garbage = tmp_path / "garbage.db"
    garbage.write_text("not a database, not at all, " * 100)
    for arguments, cause in (
        ((), "--database"),
        ((*database, "--port", "70000"), "port"),
        ((*database, "--late-delay", "-1"), "seconds"),
        ((*database, "--webhook-url", "ftp://x"), "URL"),
        ((*database, *url), "MARKETPLACE_SIMULATOR_SECRET"),
        ((*database, *url, "--webhook-secret", "whsec_c2hvcnQ="), "24 to 64"),
        (("--database", str(garbage)), "not a database"),
    ):
        code, out, err = await run(*arguments)
        assert (code, out) == (2, "")
        assert cause in err


@pytest.mark.asyncio
async def test_a_port_that_is_taken_ends_with_1(tmp_path: Path, payments: Simulator) -> None:
    port = payments.url.rpartition(":")[2]
    code, out, err = await run("--database", str(tmp_path / "x.db"), "--port", port)
    assert (code, out) == (1, "")
    assert "in use" in err


@pytest.mark.asyncio
async def test_both_signals_end_it_with_0_and_it_speaks_one_line(tmp_path: Path) -> None:
    for name in ("SIGTERM", "SIGINT"):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "marketplace_simulators.carriers", "--database", str(tmp_path / "x.db")),
            *("--webhook-secret", SECRET),
            env=environment(),
            stdout=PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await process.stdout.readline()
            process.terminate() if name == "SIGTERM" else process.send_signal(2)
            rest, _ = await process.communicate()
        assert (process.returncode, rest) == (0, b"")
        assert json.loads(line)["url"].startswith("http://127.0.0.1:")


@pytest.mark.asyncio
async def test_without_a_webhook_address_none_is_made(tmp_path: Path) -> None:
    async with Simulator("payments", tmp_path / "x.db", None) as simulator:
        assert await simulator.get("/healthz") == {"status": "ok"}
        assert (await simulator.pay()).status == 201
        assert (await simulator.call("GET", "/quiesce")).body == {"webhooks": 0}


@pytest.mark.asyncio
async def test_the_delays_unless_told_otherwise(tmp_path: Path) -> None:
    async with Simulator("payments", tmp_path / "x.db", None, "--return-delay", "0") as simulator:
        begun = time.monotonic()
        assert (await simulator.pay("tok_slow")).status == 201
        assert 3 <= time.monotonic() - begun < 4


@pytest.mark.asyncio
async def test_a_webhook_can_be_made_to_wait_after_the_answer(tmp_path: Path, receiver: Receiver) -> None:
    async with Simulator("payments", tmp_path / "x.db", receiver, "--return-delay", "0.5") as simulator:
        id_ = (await simulator.pay("tok_3ds")).body["id"]
        await simulator.call("POST", f"/challenges/{id_}", {"outcome": "succeed"})
        answered = time.monotonic()
        (delivery,) = await receiver.wait(1)
        assert delivery.at - answered > 0.4


@pytest.mark.asyncio
async def test_links_begin_with_the_public_address(tmp_path: Path) -> None:
    options = ("--public-url", "https://pay.example/sim/", "--host", "127.0.0.1")
    async with Simulator("payments", tmp_path / "x.db", None, *options) as simulator:
        body = (await simulator.pay("tok_3ds")).body
        assert body["action"]["url"] == f"https://pay.example/sim/challenges/{body['id']}"
