"""Temporal by ``go install``: its development server, which is all of its services in one process, on SQLite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from marketplace_core._supervisor.ports import free_port
from marketplace_core.adapters.native.installed import HOST, InstalledServer, listens
from marketplace_core.adapters.native.programs import Go

__all__ = ["TEMPORAL", "EmbeddedTemporal"]

TEMPORAL = Go("temporal", "v1.5.1", module="github.com/temporalio/cli/cmd/temporal")


class EmbeddedTemporal(InstalledServer):
    """Every one has the namespace ``default``. It is without a page of its own: ``temporal server start-dev`` has one."""

    _title, _process = "Temporal", "temporal"
    program, name = TEMPORAL, "temporal"

    def url(self, namespace: str = "default") -> str:
        """Of a namespace, whether it is there or not."""
        return f"temporal://{self.address}/{namespace}"

    def _command(self) -> Sequence[str | Path]:
        # The one for operators is chosen by itself only where the other is as well.
        ports = ["--port", str(self.port), "--http-port", str(free_port(host=HOST))]
        file = self._files / "temporal.db"
        return [
            TEMPORAL.binary,
            "server",
            "start-dev",
            "--headless",
            "--ip",
            HOST,
            *ports,
            "--db-filename",
            file,
            *_QUIET,
            *_PROMPT,
        ]

    async def _ready(self) -> bool:
        """It listens once its services run."""
        return await listens(self.port)


_QUIET = ("--log-level", "error", "--disable-config-file", "--disable-config-env")
#: By default a timer, and so a pause between two tries, may come a second late.
_PROMPT = ("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="10ms"')
