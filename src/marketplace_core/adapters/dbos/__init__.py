"""Sagas on DBOS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily

if TYPE_CHECKING:
    from marketplace_core.adapters.dbos.connections import SCHEMA, WORKFLOW, engine_url
    from marketplace_core.adapters.dbos.engine import DbosSagas

__all__ = ["SCHEMA", "WORKFLOW", "DbosSagas", "engine_url"]

__getattr__ = lazily(__name__, {"DbosSagas": "engine"} | dict.fromkeys(("SCHEMA", "WORKFLOW", "engine_url"), "connections"))
