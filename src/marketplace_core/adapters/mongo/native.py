"""What speaks MongoDB's protocol out of a wheel: SecantusDB, on WiredTiger, which says that it is a replica set of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from marketplace_core.adapters.native.installed import HOST, InstalledServer, listens
from marketplace_core.adapters.native.programs import Wheels

__all__ = ["SECANTUS", "EmbeddedMongo"]

SECANTUS = Wheels(
    "secantusdb",
    "0.7.0b3",
    wheels=(
        "dnspython==2.9.2",
        "future==1.0.0",
        "numpy==2.4.6",
        "pymongo==4.20.1",
        "python-dateutil==4.0.0",
        "s2sphere==0.2.5",
        "SecantusDB==0.7.0b3",
        "shapely==2.2.0",
        "tzdata==2026.6",
    ),
)


class EmbeddedMongo(InstalledServer):
    """An acknowledged write is on the disk: by default it would not be, and a SIGKILL lost some."""

    _title, _process = "SecantusDB", "python"
    program, name = SECANTUS, "mongo"

    def url(self, database: str = "marketplace") -> str:
        """Of a database, whether it is there or not."""
        return f"mongodb://{self.address}/{database}"

    def _command(self) -> Sequence[str | Path]:
        settings = self._files / "secantusd.toml"  # or it looks for one in the home folder and in /etc
        settings.touch()
        storage: list[str | Path] = ["--config", settings, "--storage-path", self._files / "db", "--sync-on-commit"]
        listen = ["--host", HOST, "--port", str(self.port), "--log-level", "WARNING", "--cache-size", "256M"]
        return [SECANTUS.python, "-c", "from secantus.cli import main; main()", *listen, *storage]

    async def _ready(self) -> bool:
        return await listens(self.port)
