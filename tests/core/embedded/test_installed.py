"""Servers whose programs are installed into the cache: once, whole or not at all; children like the others."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from marketplace_core.adapters.native.__main__ import PROGRAMS, main
from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.adapters.native.installed import InstalledServer, listens
from marketplace_core.adapters.native.java import java
from marketplace_core.adapters.native.programs import CACHE, Go, Maven, Program
from marketplace_core.ports.servers import imported


@dataclass(frozen=True)
class Script(Program):
    """Installed by the shell."""

    script: str = "echo whole > file"
    client = "sh"
    remedy = "install a shell"

    def commands(self, folder: Path) -> Sequence[Sequence[str | Path]]:
        return [["sh", "-c", self.script]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_it_is_installed_once_by_whoever_comes_first(cache: Path) -> None:
    script = Script("once", "1", script="sleep 0.2; echo x >> $HOME/times; echo whole > file")
    os.environ["HOME"], home = str(cache.parent), os.environ["HOME"]
    said: list[str] = []
    try:
        threads = [threading.Thread(target=script.install, args=[said.append]) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        os.environ["HOME"] = home
    assert (cache.parent / "times").read_text() == "x\n"
    assert (script.install() / "file").read_text() == "whole\n"
    assert said[-1].startswith("once 1: installed in") and len([text for text in said if "another process" in text]) == 2


def test_what_failed_leaves_nothing_and_says_why(cache: Path) -> None:
    with pytest.raises(EmbeddedError, match="bad could not be installed: no such thing"):
        Script("bad", "1", script="touch half; echo no such thing; exit 3").install()
    assert [path.name for path in cache.iterdir() if path.is_dir()] == []


def test_what_was_killed_while_it_was_installed_is_begun_anew(cache: Path) -> None:
    (cache / "killed.new-x").mkdir(parents=True)
    assert (Script("killed", "1").install() / "file").exists()
    assert not (cache / "killed.new-x").exists()


def test_a_client_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for program in (Go("some", "v1", module="example.org/some"), Maven("other", "1", artifacts=("a:b:1",))):
        with pytest.raises(EmbeddedError, match=rf"{program.name} is installed by `{program.client}`.*: install (Go|Maven)"):
            program.install()


def test_other_contents_are_another_folder() -> None:
    one, other = (Maven("some", "1", artifacts=(f"a:b:{n}",)) for n in (1, 2))
    assert one.folder != other.folder


def test_no_java_is_new_enough() -> None:
    assert java(8).exists()
    with pytest.raises(EmbeddedError, match="there is no Java 999 or later: install one"):
        java(999)


def test_every_program_is_pinned(capsys: pytest.CaptureFixture[str]) -> None:
    for name, place in PROGRAMS.items():
        program = imported(place)
        assert (program.name, program.version != "latest") == (name, True)
    assert main(["kafkaa"]) == 2
    assert "use kafka, minio, secantusdb, temporal" in capsys.readouterr().err


# ── what runs ────────────────────────────────────────────────────────────────────────────────────────────────


class Listening(InstalledServer):
    """It listens, and does nothing."""

    _title, _process = "Listening", "sleeper"
    program, name = Script("listening", "1", script=f"ln -s {sys.executable} sleeper"), "listening"

    def _command(self) -> Sequence[str | Path]:
        listen = f"import socket, time; s = socket.create_server(('127.0.0.1', {self.port})); print('up'); time.sleep(60)"
        return [self.program.folder / "sleeper", "-u", "-c", listen]

    async def _ready(self) -> bool:
        return await listens(self.port)


async def test_it_keeps_its_port_and_is_found_at_it_after_a_crash(short_folder: Path) -> None:
    server = Listening(short_folder / "d")
    await server.start()
    assert server.child is not None
    first, port = server.child.pid, Listening(short_folder / "d").port
    assert await listens(port)
    server.kill()
    await server.child.wait()
    await server.start()
    assert (server.port, server.child.pid != first) == (port, True)
    await server.stop()
    assert server.log.read_text() == "up\nup\n" and not psutil.pid_exists(first)


async def test_it_does_not_outlive_its_starter(short_folder: Path) -> None:
    program = textwrap.dedent(f"""
        import asyncio, sys
        from pathlib import Path
        from tests.core.embedded.test_installed import Listening
        async def main():
            server = Listening(Path({str(short_folder / "d")!r}))
            await server.start()
            print(server.child.pid, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
    """)
    starter = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE)
    assert starter.stdout is not None
    pid = int(await starter.stdout.readline())
    assert psutil.pid_exists(pid)
    starter.send_signal(signal.SIGKILL)
    await starter.wait()
    async with asyncio.timeout(10):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
