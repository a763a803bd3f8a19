"""The public names of core: what plugins may import. A name that goes away, or comes, is meant to."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = ROOT / "src" / "marketplace_core"
RECORD = Path(__file__).with_name("public_names.txt")


def public_names() -> list[str]:
    found = []
    for path in sorted(CORE.rglob("*.py")):
        parts = path.relative_to(CORE.parent).with_suffix("").parts
        if any(part.startswith("_") and part != "__init__" for part in parts):
            continue
        module = ".".join(part for part in parts if part != "__init__")
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                found += [f"{module}.{name}" for name in ast.literal_eval(node.value)]
    return sorted(found)


def test_the_public_names_are_those_on_record() -> None:
    recorded = RECORD.read_text().splitlines()
    assert public_names() == recorded, f"if it is meant so: python {Path(__file__).relative_to(ROOT)}"


if __name__ == "__main__":
    RECORD.write_text("\n".join(public_names()) + "\n")
