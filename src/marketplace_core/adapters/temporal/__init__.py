"""Sagas on Temporal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily

if TYPE_CHECKING:
    from marketplace_core.adapters.temporal.engine import TemporalSagas

__all__ = ["TemporalSagas"]

__getattr__ = lazily(__name__, {"TemporalSagas": "engine"})
