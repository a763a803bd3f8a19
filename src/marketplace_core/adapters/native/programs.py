"""Programs of servers that no wheel brings: installed once, by the client of the ecosystem that has them, into a cache.

Each is a small frozen object that an adapter's ``native`` module holds beside its server (``adapters/kafka/native.py``):

.. code-block:: python

    TEMPORAL = Go("temporal", "v1.5.1", module="github.com/temporalio/cli/cmd/temporal")

:meth:`Program.install` gives the folder that it fills, ``<cache>/<name>-<version>-<digest>``, at once where it is there. It is
filled beside that and renamed, under a lock, so that who looks on finds all of it or nothing, and of several processes that
want it one installs it. The digest is of everything that says what is in it. Versions are pinned; what is brought is checked by
the client: Maven by the repository's checksums, Go by its checksum database, pip by those of its index.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.adapters.native.startup import last_lines

__all__ = ["CACHE", "Go", "Maven", "Program", "Wheels", "cache_folder"]

#: Where programs are kept, if not in the user's cache.
CACHE = "MARKETPLACE_SERVERS_CACHE"


def cache_folder() -> Path:
    if named := os.environ.get(CACHE):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "marketplace" / "servers"


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"marketplace: {text}", file=sys.stderr, flush=True)


@dataclass(frozen=True)
class Program(ABC):
    """``name`` is the server's, ``version`` that of what is installed."""

    name: str
    version: str

    #: The client that installs it, and how that is had.
    client: ClassVar[str]
    remedy: ClassVar[str]

    @abstractmethod
    def commands(self, folder: Path) -> Sequence[Sequence[str | Path]]:
        """What fills ``folder``, which is empty and is where they run. What they need beside it may be written now."""

    def environment(self, folder: Path) -> dict[str, str]:
        """What they are told beside our own environment."""
        return {}

    @property
    def folder(self) -> Path:
        """Where it is, or will be."""
        digest = hashlib.blake2b(repr(self).encode(), digest_size=4).hexdigest()
        return cache_folder() / f"{self.name}-{self.version}-{digest}"

    def install(self, say: Callable[[str], None] = _say) -> Path:
        """The folder with all of it.

        :raises EmbeddedError: the client is not there, or could not do it.
        """
        folder = self.folder
        if folder.exists():
            return folder
        if shutil.which(self.client) is None:
            raise EmbeddedError(f"{self.name} is installed by `{self.client}`, which is not there", self.remedy)
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.with_name(f"{self.name}.lock"), lambda: say(f"{self.name}: another process is installing it")):
            if not folder.exists():
                self._fill(folder, say)
        return folder

    def _fill(self, folder: Path, say: Callable[[str], None]) -> None:
        for left in folder.parent.glob(f"{self.name}.new-*"):
            shutil.rmtree(left, ignore_errors=True)
        say(f"{self.name} {self.version}: installing by {self.client}")
        began, log = time.monotonic(), folder.with_name(f"{self.name}.log")
        fresh = Path(tempfile.mkdtemp(prefix=f"{self.name}.new-", dir=folder.parent))
        fresh.chmod(0o755)
        with log.open("wb") as output:
            for command in self.commands(fresh):
                env = {**os.environ, **self.environment(fresh)}
                done = subprocess.run(
                    command, check=False, cwd=fresh, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
                if done.returncode != 0:
                    shutil.rmtree(fresh, ignore_errors=True)
                    cause = f"{self.name} could not be installed: {last_lines(log, 0)}"
                    raise EmbeddedError(cause, f"see {log}, and try it again once {self.client} reaches what it needs")
        fresh.rename(folder)
        say(f"{self.name} {self.version}: installed in {time.monotonic() - began:.0f} s")


@contextlib.contextmanager
def _alone(lock: Path, waiting: Callable[[], None]) -> Iterator[None]:
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class Go(Program):
    """One command of a module, built by ``go install``: ``folder/<binary>``."""

    module: str = field(kw_only=True)

    client = "go"
    remedy = "install Go (https://go.dev/doc/install, or golang-go of Debian)"

    @property
    def binary(self) -> Path:
        return self.folder / self.module.rpartition("/")[2]

    def commands(self, folder: Path) -> Sequence[Sequence[str | Path]]:
        # Without symbols for a debugger a linker has half the work.
        return [["go", "install", "-trimpath", "-ldflags=-s -w", f"{self.module}@{self.version}"]]

    def environment(self, folder: Path) -> dict[str, str]:
        return {"GOBIN": os.fspath(folder)}


_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion><groupId>marketplace</groupId><artifactId>{name}</artifactId><version>1</version>
<packaging>pom</packaging><dependencies>{dependencies}</dependencies></project>
"""
_DEPENDENCY = "<dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>"


@dataclass(frozen=True)
class Maven(Program):
    """Jars with all that they need: ``folder/libs/*.jar``. ``artifacts``: each as ``group:artifact:version``."""

    artifacts: tuple[str, ...] = field(kw_only=True)

    client = "mvn"
    remedy = "install Maven (maven of Debian, or https://maven.apache.org/install.html)"

    @property
    def classpath(self) -> str:
        return f"{self.folder}/libs/*"

    def commands(self, folder: Path) -> Sequence[Sequence[str | Path]]:
        dependencies = "".join(_DEPENDENCY.format(*artifact.split(":")) for artifact in self.artifacts)
        (folder / "pom.xml").write_text(_POM.format(name=self.name, dependencies=dependencies))
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
        return [["mvn", "--batch-mode", "--quiet", "--strict-checksums", goal, "-DoutputDirectory=libs"]]


@dataclass(frozen=True)
class Wheels(Program):
    """A virtual environment of its own, whose ``python`` has these and nothing else. ``wheels``: each as ``name==version``,
    with all that they need. Commands of theirs name the folder in which they were made: they are called by their modules."""

    wheels: tuple[str, ...] = field(kw_only=True)

    client = "python3"
    remedy = "install Python with its venv module (python3-venv of Debian)"

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    def commands(self, folder: Path) -> Sequence[Sequence[str | Path]]:
        pip: list[str | Path] = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        return [[sys.executable, "-m", "venv", folder], [*pip, "--no-deps", "--only-binary", ":all:", *self.wheels]]
