"""The tests of the plugin's own code read it, and the server kind's, where they stand."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parents[1]
for src in (HERE / "src", HERE.parent / "sqlite" / "src"):
    if str(src) not in sys.path:
        sys.path.insert(0, str(src))
