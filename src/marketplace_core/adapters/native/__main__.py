"""``python -m marketplace_core.adapters.native [NAME …]``: install what servers run on, all of it if none is named."""

from __future__ import annotations

import sys

from marketplace_core.adapters.native.errors import EmbeddedError
from marketplace_core.adapters.native.programs import Program
from marketplace_core.ports.servers import imported

#: Where each program is said to be.
PROGRAMS = {
    "kafka": "marketplace_core.adapters.kafka.native:KAFKA",
    "minio": "marketplace_core.adapters.s3.native:MINIO",
    "secantusdb": "marketplace_core.adapters.mongo.native:SECANTUS",
    "temporal": "marketplace_core.adapters.temporal.native:TEMPORAL",
    "opensearch": "marketplace_core.adapters.elasticsearch.native:OPENSEARCH",
    "moto": "marketplace_core.adapters.native.cloud:CLOUD",
    "toxiproxy": "marketplace_core.adapters.native.toxiproxy:TOXIPROXY",
}


def main(names: list[str]) -> int:
    if unknown := [name for name in names if name not in PROGRAMS]:
        print(f"marketplace: there is no server {unknown[0]!r}; use {', '.join(PROGRAMS)}", file=sys.stderr)
        return 2
    failed = 0
    for name in names or PROGRAMS:
        program: Program = imported(PROGRAMS[name])
        try:
            program.install(lambda text: print(f"marketplace: {text}", file=sys.stderr, flush=True))
        except EmbeddedError as error:
            print(f"marketplace: {error}", file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
