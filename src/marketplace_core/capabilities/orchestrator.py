"""orchestrator: starts sagas from the events that begin them, and shows and mends those that need a person."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from msgspec import Meta, Struct

from marketplace_core.errors import declare_codes
from marketplace_core.hookspecs import hookspec
from marketplace_core.ports import mutation, query
from marketplace_core.scopes import declare_scopes
from marketplace_core.values import Page, PageQuery

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────


class SagaStep(Struct, frozen=True):
    name: str
    status: str
    attempts: int
    error: str | None
    at: datetime | None


class SagaView(Struct, frozen=True):
    """``status``: running, waiting (for a person), done, refused (and undone), failed (by a mistake, and not undone)."""

    id: str
    name: str
    key: str
    status: str
    steps: list[SagaStep]


class SagaQuery(PageQuery, frozen=True, kw_only=True):
    """``done`` finds the refused ones too: both have ended."""

    status: Literal["running", "waiting", "done", "failed", "cancelled"] | None = None
    name: Annotated[str, Meta(max_length=200)] | None = None


# ── errors ───────────────────────────────────────────────────────────────────────────────────────────────────

declare_codes(409, "orchestrator.wrong_state")
declare_scopes("admin", "sagas")


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Orchestrator(ABC):
    @abstractmethod
    @query
    async def list_sagas(self, query: SagaQuery) -> Page[SagaView]: ...

    @abstractmethod
    @query
    async def get_saga(self, saga_id: str) -> SagaView: ...

    @abstractmethod
    @mutation(retriable=True)
    async def retry(self, saga_id: str) -> None:
        """Try the step again that waits for a person, or at which the saga failed; what was done before is not done again.

        :raises Conflict: ``orchestrator.wrong_state``: there is none, or the saga is to be compensated.
        """

    @abstractmethod
    @mutation(retriable=True)
    async def compensate(self, saga_id: str) -> None:
        """Give up a saga that waits for a person or for a signal, or failed. Again: nothing.

        Its undos run in reverse, then what it does at a refusal, with the failure ``<plugin>.cancelled_by_operator`` of the
        plugin that declares it; it ends ``refused``. A signal that came before it goes on with. Of a saga that is being
        undone already, the undo that was refused and waits for a person is left out, and the rest is undone. One that failed is
        undone if it fails again at that place; it goes on if the mistake was mended meanwhile.

        :raises Conflict: ``orchestrator.wrong_state``: it neither waits nor failed, or is to be retried.
        """

    @abstractmethod
    @query
    async def runnable(self) -> int:
        """How many sagas could go on by themselves now: neither ended nor waiting for somebody."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class OrchestratorHooks:
    @hookspec
    def provide_orchestrator(self, context: PluginContext) -> Orchestrator:  # type: ignore[empty-body]
        """The capability's provider."""
