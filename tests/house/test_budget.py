"""No test costs more CPU than a test may, unless it says why."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = "pytester"

TESTS = """
import subprocess, sys, time, pytest

def test_sleeps():
    time.sleep(0.6)

def test_burns():
    until = time.process_time() + 0.6
    while time.process_time() < until:
        pass

def test_has_it_burnt_by_a_process_that_runs_on():
    global process
    burning = "import time\\nwhile time.process_time() < 0.8: pass\\nprint(flush=True)\\ntime.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", burning], stdout=subprocess.PIPE)
    process.stdout.readline()

def test_ends_it():
    process.kill()
    process.communicate()

def test_comes_first_of_those_that_share_what_burns():
    from marketplace_core.testing._costs import shared
    with shared():
        subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.8: pass"])

@pytest.mark.costly("it is what it is about")
def test_says_why():
    subprocess.run([sys.executable, "-c", "import time\\nwhile time.process_time() < 0.8: pass"])
"""


def test_what_costs_too_much_fails(pytester: pytest.Pytester) -> None:
    pytester.makeconftest((Path(__file__).parents[2] / "conftest.py").read_text())
    pytester.makeini("[pytest]\ncpu_seconds = 0.4\nmarkers =\n    costly\n")
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess("-p", "no:marketplace", "-p", "no:cacheprovider", "-rA")
    told = result.stdout.str()
    result.assert_outcomes(passed=6, errors=2)
    assert "test_burns took 0.6 s of CPU, and a test may take 0.4" in told
    assert "::test_has_it_burnt_by_a_process_that_runs_on took 0." in told


def test_what_may_cost_more_says_why(request: pytest.FixtureRequest) -> None:
    marks = [mark for item in request.session.items for mark in item.iter_markers("costly")]
    assert all(len(mark.args) == 1 and len(str(mark.args[0]).split()) > 2 for mark in marks)
