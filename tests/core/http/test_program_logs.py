from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, structlog
from marketplace_core.http.logging import configure_logging
configure_logging("info", json={json})
structlog.get_logger("shop").debug("unheard")
structlog.get_logger("shop").info("sold", at=1)
logging.getLogger("other").warning("from %s", "outside")
try: 1 / 0
except ZeroDivisionError: logging.getLogger("other").exception("bad")
"""


@pytest.mark.parametrize("as_json", [True, False])
def test_everything_goes_to_standard_error(as_json: bool) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(json=as_json)], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert "unheard" not in done.stderr
    if as_json:
        lines = [json.loads(line) for line in done.stderr.splitlines()]
        assert [(line["event"], line["logger"], line["level"]) for line in lines] == [
            ("sold", "shop", "info"),
            ("from outside", "other", "warning"),
            ("bad", "other", "error"),
        ]
        assert "ZeroDivisionError" in lines[2]["exception"]
    else:
        assert all(word in done.stderr for word in ("sold", "from outside", "ZeroDivisionError"))
