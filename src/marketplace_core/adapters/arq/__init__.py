"""Jobs on Arq, which runs on Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketplace_core._runtime.lazy import lazily

if TYPE_CHECKING:
    from marketplace_core.adapters.arq.queue import ArqQueue, FailedJob
    from marketplace_core.adapters.arq.worker import ArqWorker

__all__ = ["ArqQueue", "ArqWorker", "FailedJob"]

__getattr__ = lazily(__name__, {"ArqQueue": "queue", "ArqWorker": "worker", "FailedJob": "queue"})
