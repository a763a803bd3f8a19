"""Lists every line of BEHAVIOURS.md with the tests that show it. Lines that no test shows yet are listed as open.

The tests say what they show by ``@pytest.mark.behaviour("cart-3")``. An id that BEHAVIOURS.md does not have is an error.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LINE = re.compile(r"^- `([a-z]+-\d+)`", re.MULTILINE)
FOLDERS = ("tests", "plugins", "examples")


def promised(text: str) -> list[str]:
    return LINE.findall(text)


def shown() -> Iterator[tuple[str, str]]:
    """Id and test, from the sources alone: nothing is imported."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("test_*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    for decorator in node.decorator_list:
                        yield from ((id_, f"{path.relative_to(ROOT)}::{node.name}") for id_ in _ids(decorator))


def _ids(decorator: ast.expr) -> list[str]:
    if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.behaviour":
        return [argument.value for argument in decorator.args if isinstance(argument, ast.Constant)]  # type: ignore[misc]
    return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=ROOT / "docs" / "reference" / "behaviours.md")
    ids = promised(parser.parse_args().file.read_text())
    tests: dict[str, list[str]] = {id_: [] for id_ in ids}
    unknown = []
    for id_, test in shown():
        tests.setdefault(id_, []).append(test)
        if id_ not in ids:
            unknown.append(f"{test} shows {id_!r}, which is not promised")
    for id_ in ids:
        print(f"{id_}: {', '.join(tests[id_]) or 'open'}")
    covered = sum(bool(tests[id_]) for id_ in ids)
    print(f"{covered} of {len(ids)} behaviours are shown by tests, {len(ids) - covered} are open")
    for line in unknown:
        print(line, file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main())
