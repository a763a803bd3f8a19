"""``python -m marketplace_simulators.carriers``"""

from __future__ import annotations

import sys

from marketplace_simulators.carriers.program import Carriers
from marketplace_simulators.server import run


def main() -> int:
    return run(Carriers)


if __name__ == "__main__":
    sys.exit(main())
