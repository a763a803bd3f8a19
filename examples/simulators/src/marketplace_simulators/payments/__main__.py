"""``python -m marketplace_simulators.payments``"""

from __future__ import annotations

import sys

from marketplace_simulators.payments.program import Payments
from marketplace_simulators.server import run


def main() -> int:
    return run(Payments)


if __name__ == "__main__":
    sys.exit(main())
