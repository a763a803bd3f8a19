"""Which locked distribution, or server out of a wheel, has a known vulnerability. No network is needed; exit 1 where one has.

`scripts/advisories.json` is what is known: `{"id", "package", "fixed": [versions], "summary"}`, a vulnerability of whatever is
below the fixed version of its line, or in a line that has none. Files that are named are records of the OSV schema, in which
advisories are published; they are added, and what is kept stays.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lock import LOCK, locked, name_of
from packaging.version import Version

KEPT = Path(__file__).with_name("advisories.json")


def read() -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = json.loads(KEPT.read_text())
    return kept


def is_affected(version: str, fixed: Iterable[str]) -> bool:
    """Fixed in 6.2.20 and 7.2.11: 6.2.14 and 7.2.1 are affected, and so is 5.0; 7.2.11, 6.2.20 and 8.0 are not."""
    found, lines = Version(version), sorted(map(Version, fixed))
    if not lines or found >= lines[-1]:
        return not lines
    return not any(found.release[:2] == line.release[:2] and found >= line for line in lines)


def findings(versions: Mapping[str, str], advisories: Iterable[Mapping[str, Any]]) -> list[str]:
    return [
        f"{name} {versions[name]}: {one['id']}: {one['summary']}; fixed: {', '.join(one['fixed']) or 'not yet'}"
        for one in advisories
        if (name := one["package"]) in versions and is_affected(versions[name], one["fixed"])
    ]


def add(records: Iterable[Path]) -> None:
    known = {(one["id"], one["package"]): one for one in read()}
    for record in records:
        told = json.loads(record.read_text())
        for affected in told["affected"]:
            name = name_of(affected["package"]["name"])
            events = [event for span in affected["ranges"] if span["type"] == "ECOSYSTEM" for event in span["events"]]
            fixed = [event["fixed"] for event in events if "fixed" in event]
            summary = " ".join([*told.get("aliases", [])[:1], told.get("summary") or told["details"].split("\n")[0]])
            known[told["id"], name] = {"id": told["id"], "package": name, "fixed": fixed, "summary": summary}
    rows = sorted(known.values(), key=lambda one: (one["package"], one["id"]))
    KEPT.write_text("[\n" + ",\n".join(json.dumps(one) for one in rows) + "\n]\n")


def main(arguments: list[str]) -> int:
    add(map(Path, arguments))
    versions = locked(LOCK.read_text())
    found = findings(versions, read())
    for line in found:
        print(line)
    print(f"{len(versions)} distributions, {len(read())} known vulnerabilities, {len(found)} found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
