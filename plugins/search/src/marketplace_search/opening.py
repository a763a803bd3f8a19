"""An index in the data folder. Nothing here loads tantivy."""

from __future__ import annotations

from marketplace_core.adapters.folder.opening import NativeFolder

__all__ = ["NativeTantivy"]


class NativeTantivy(NativeFolder):
    within = "indexes"
