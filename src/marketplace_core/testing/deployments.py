"""``marketplace up`` on a deployment's file, as a reader would run it: for tests of examples and of plugins' own files."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from marketplace_core._supervisor.ports import free_port
from marketplace_core.testing._forks import command

__all__ = ["Running", "elsewhere", "up"]

OURS = [sys.executable, "-m", "marketplace_core.cli"]
STOP_SECONDS, GONE_SECONDS = 30, 5


def elsewhere(file: Path, folder: Path) -> Path:
    """A copy in ``folder`` that listens on ports which are free now."""
    text = re.sub(r"(127\.0\.0\.1|0\.0\.0\.0):\d+", lambda _: f"127.0.0.1:{free_port()}", file.read_text())
    (folder / file.name).write_text(text)
    return folder / file.name


class Running:
    """``said`` is what ``up --json`` says once all of it runs: ``url``, ``audiences``, ``accounts``."""

    def __init__(self, file: Path, data: Path, env: Mapping[str, str], options: Sequence[str] = ()) -> None:
        self._file, self._data, self._env = file, data, {**os.environ, **env}
        argv = [*OURS, "up", os.fspath(file), "--demo", "--json", "--data", os.fspath(data), *options]
        data.parent.mkdir(parents=True, exist_ok=True)
        errors = data.parent / f"{data.name}.err"
        with errors.open("w") as stderr:
            self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=stderr, text=True, env=self._env)
        try:
            line = self.process.stdout.readline() if self.process.stdout else ""
            if not line:
                raise AssertionError(errors.read_text())
        except BaseException:  # the time of the test may be over: what was started must not outlive it
            self.end()
            raise
        self.said: dict[str, Any] = json.loads(line)

    def end(self) -> None:
        """At once, if it has not ended."""
        self.process.kill()
        self.process.communicate()

    def run(self, *arguments: str, given: str = "") -> str:
        """What another command on its data prints; ``given`` is typed in. It is a failure if the command fails."""
        done = command(*arguments, "--data", self._data, given=given, env=self._env)
        if done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout

    def on_file(self, *arguments: str, given: str = "") -> str:
        """The same of a command that takes the deployment by ``--file``."""
        return self.run(*arguments, "--file", os.fspath(self._file), given=given)

    def names(self) -> dict[str, int]:
        """Its processes by name."""
        return {item["name"]: item["pid"] for item in self._processes()}

    def memory(self) -> dict[str, int]:
        """Bytes of each by name, shared pages by its share of them."""
        return {item["name"]: item["memory"] for item in self._processes()}

    def _processes(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("ps", "--json"))["items"]
        return found


@contextlib.contextmanager
def up(file: Path, data: Path, *options: str, **env: str) -> Iterator[Running]:
    """``up --demo`` and ``options`` on ``file`` until this is left, as by Ctrl-C; nothing that it started runs on then.

    ``data`` has to have a short path, which PostgreSQL's user may pass: see the fixture ``short_folder``. ``env`` are further
    environment variables.
    """
    running = Running(file, data, env, options)
    try:
        below = psutil.Process(running.process.pid).children(recursive=True)
        yield running
        running.process.send_signal(signal.SIGINT)
        if (status := running.process.wait(STOP_SECONDS)) != 0:
            raise AssertionError(f"it ended with {status}")
    finally:
        running.end()
    deadline = time.monotonic() + GONE_SECONDS
    while left := [process for process in below if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]:
        if time.monotonic() > deadline:
            raise AssertionError(f"these run on: {left}")
        time.sleep(0.05)
