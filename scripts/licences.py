"""Writes `docs/reference/licences.md`: what is installed beside ours, by the metadata of each distribution."""

from __future__ import annotations

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from lock import LOCK, ROOT, locked

PAGE = ROOT / "docs" / "reference" / "licences.md"
HEAD = """# Licences

Every distribution of `requirements.lock` that this platform installs, with the licence that it declares. Made by `tox -e lock`.

| distribution | version | licence |
|---|---|---|
"""
#: The classifiers that name a family and not a licence.
_VAGUE = {"OSI Approved"}
#: Whose metadata says nothing, by the file that they carry or publish.
_READ = {"psqlpy": "MIT"}


def licence_of(found: Distribution) -> str:
    told = found.metadata.get("License-Expression")
    classified = [
        text.rsplit(" :: ", 1)[-1] for text in found.metadata.get_all("Classifier") or () if text.startswith("License ::")
    ]
    written = (found.metadata.get("License") or "").strip().split("\n")[0]
    named = [text for text in classified if text not in _VAGUE]
    return told or ", ".join(named) or (written if len(written) < 80 else "") or _READ.get(found.name, "see its files")


def page() -> str:
    rows = []
    for name in locked(LOCK.read_text()):
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # of another platform
        rows.append(f"| {name} | {found.version} | {re.sub(r'[|]', '/', licence_of(found))} |")
    return HEAD + "\n".join(rows) + "\n"


def main() -> int:
    text = page()
    PAGE.write_text(text)
    print(f"{PAGE.relative_to(ROOT)}: {text.count(chr(10)) - HEAD.count(chr(10))} distributions")
    return 0


if __name__ == "__main__":
    sys.exit(main())
