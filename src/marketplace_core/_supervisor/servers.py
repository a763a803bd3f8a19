"""The embedded servers of a deployment, kept like any other process."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from marketplace_core._supervisor.children import Child
from marketplace_core._supervisor.keeper import Runnable
from marketplace_core._supervisor.state import Kind
from marketplace_core.adapters.native.server import EmbeddedServer
from marketplace_core.deployment._kinds import natives
from marketplace_core.deployment._model import Deployment

__all__ = ["KeptServer", "prepare", "servers_of"]

#: Of a start, until the server answers.
PATIENCE_SECONDS, LONGEST_PATIENCE_SECONDS = 60.0, 480.0


class KeptServer(Runnable):
    """An embedded server: it is ready when its start has returned."""

    kind: Kind = "server"

    def __init__(self, name: str, server: EmbeddedServer) -> None:
        self.name, self.server, self.log = name, server, server.log
        self._patience = PATIENCE_SECONDS

    async def start(self) -> Child:
        """Who was not ready in time has twice as long the next time: what needs a minute to come back would never be there."""
        patience, self._patience = self._patience, min(2 * self._patience, LONGEST_PATIENCE_SECONDS)
        await self.server.start(patience)
        self._patience = PATIENCE_SECONDS
        if self.server.child is None:
            raise RuntimeError(f"{self.name} has no process after its start")
        return self.server.child

    async def ready(self) -> bool:
        return True

    async def stop(self) -> None:
        await self.server.stop()

    def kill(self) -> None:
        self.server.kill()


def servers_of(deployment: Deployment, data: Path) -> list[KeptServer]:
    """Those of its embedded resources, in the order in which the file names them."""
    return [KeptServer(name, server) for native in natives(deployment, data) for name, server in native.servers()]


async def prepare(deployment: Deployment, data: Path, when: Literal["before", "after"]) -> None:
    """Make what the embedded resources need before their servers are started, or after. :raises EmbeddedError:"""
    for native in natives(deployment, data):
        await native.prepare(when)
