"""No two ids are alike, whoever asks for them."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from marketplace_core._runtime.entropy import random_bytes

FORKING = """
import os, sys
from marketplace_core._runtime.entropy import random_bytes
random_bytes(8)
if os.fork():
    os.wait()
sys.stdout.write(" ".join(random_bytes(16).hex() for _ in range(20)) + "\\n")
"""


def test_threads_never_share_bytes() -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: random_bytes(16), range(20_000)))
    assert len(set(found)) == 20_000
    assert {len(each) for each in found} == {16}


def test_a_forked_child_begins_a_page_of_its_own() -> None:
    said = subprocess.run([sys.executable, "-c", FORKING], capture_output=True, text=True, check=True).stdout.split()
    assert len(said) == len(set(said)) == 40
