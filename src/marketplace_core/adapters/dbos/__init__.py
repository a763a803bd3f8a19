"""Sagas on DBOS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily

if TYPE_CHECKING:
    from marketplace_core.adapters.dbos.engine import (
        FAILED,
        SCHEMA,
        STATUS,
        WORKFLOW,
        DbosReader,
        DbosSagas,
        EngineSaga,
        Waits,
        engine_url,
    )

__all__ = ["FAILED", "SCHEMA", "STATUS", "WORKFLOW", "DbosReader", "DbosSagas", "EngineSaga", "Waits", "engine_url"]

__getattr__ = lazily(__name__, dict.fromkeys(__all__, "engine"))
