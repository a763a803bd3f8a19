"""The orchestrator's routes."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_core.capabilities.orchestrator import Orchestrator, SagaQuery, SagaView
from marketplace_core.http.routing import Answer, Router
from marketplace_core.values import Page

__all__ = ["routers"]


def routers(orchestrator: Orchestrator) -> Sequence[Router]:
    router = Router("admin", "orchestrator", scope="sagas")

    @router.get("/sagas", access="staff")
    async def list_sagas(query: SagaQuery) -> Page[SagaView]:
        """Sagas, the latest first, without their steps."""
        return await orchestrator.list_sagas(query)

    @router.get("/sagas/{id}", access="staff")
    async def get_saga(id: str) -> SagaView:
        """A saga with its steps and the tries of each."""
        return await orchestrator.get_saga(id)

    @router.post("/sagas/{id}/retry", access="staff", status=202)
    async def retry(id: str) -> Answer[SagaView]:
        """Try the step again at which a saga waits for a person."""
        await orchestrator.retry(id)
        return Answer(await orchestrator.get_saga(id), location=f"/sagas/{id}")

    @router.post("/sagas/{id}/compensate", access="staff", status=202)
    async def compensate(id: str) -> Answer[SagaView]:
        """Give up a saga that waits: undo what it did, or leave out the undo at which it waits for a person."""
        await orchestrator.compensate(id)
        return Answer(await orchestrator.get_saga(id), location=f"/sagas/{id}")

    return (router,)
