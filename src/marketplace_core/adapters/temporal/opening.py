"""A Temporal namespace as one process uses it, and the role that it plays there."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from marketplace_core.adapters.temporal.kind import TemporalSettings
from marketplace_core.errors import Unavailable
from marketplace_core.ports.engine import Journal, SagaEngine, StepServer
from marketplace_core.ports.servers import Opening, Server
from marketplace_core.sagas import Performer, Saga
from marketplace_core.values import Clock

if TYPE_CHECKING:
    from temporalio.client import Client

__all__ = ["PATIENCE", "TemporalServer", "open_server", "sagas"]

#: How long an answer may take, by the clock of the machine.
PATIENCE = timedelta(seconds=5)


class TemporalServer(Server):
    """``temporal://[:KEY@]HOST[:7233][/NAMESPACE]``."""

    def __init__(self, url: str, settings: TemporalSettings | None = None) -> None:
        parts = urlsplit(url)
        self._target = f"{parts.hostname}:{parts.port or 7233}"
        self._key = unquote(parts.password) if parts.password else None
        self._tls = (settings or TemporalSettings()).tls
        self.namespace = parts.path.strip("/") or "default"
        self._client: Client | None = None
        self._connecting = asyncio.Lock()

    @property
    def connection(self) -> TemporalServer:
        return self

    async def client(self) -> Client:
        """One for all. :raises Unavailable: it is not there."""
        from temporalio.client import Client, KeepAliveConfig  # noqa: PLC0415 - 40 MB that only who speaks to it needs

        from marketplace_core.adapters.temporal.values import CONVERTER  # noqa: PLC0415

        async with self._connecting:
            if self._client is None:
                try:
                    async with asyncio.timeout(PATIENCE.total_seconds()):
                        self._client = await Client.connect(
                            self._target,
                            namespace=self.namespace,
                            data_converter=CONVERTER,
                            tls=self._tls,
                            api_key=self._key,
                            keep_alive_config=KeepAliveConfig(interval_millis=5000, timeout_millis=5000),
                        )
                except (RuntimeError, TimeoutError) as error:
                    raise Unavailable("Temporal does not answer.") from error
            return self._client

    async def ready(self) -> None:
        """It answers, and has the namespace."""
        from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest  # noqa: PLC0415

        asked = DescribeNamespaceRequest(namespace=self.namespace)
        await (await self.client()).workflow_service.describe_namespace(asked, timeout=PATIENCE)

    async def close(self) -> None:
        self._client = None  # its library has nothing to close


def open_server(opening: Opening) -> TemporalServer:
    return TemporalServer(opening.url, opening.settings if isinstance(opening.settings, TemporalSettings) else None)


def sagas(
    server: Any,
    declared: Sequence[Saga],
    performer: Performer,
    clock: Clock,
    journal: Journal,
    served: Collection[str] = (),
) -> SagaEngine:
    from marketplace_core.adapters.temporal.engine import TemporalSagas  # noqa: PLC0415 - who only asks if it is ready needs none

    return TemporalSagas(server, declared, performer, clock, journal, served)


def steps(server: Any, capabilities: Collection[str], performer: Performer) -> StepServer:
    from marketplace_core.adapters.temporal.steps import TemporalSteps  # noqa: PLC0415 - as above

    return TemporalSteps(server, capabilities, performer)
