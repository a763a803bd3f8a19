"""Distributions of strangers, installed for a test: what pip leaves of one, in a folder that Python looks into."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from textwrap import dedent

__all__ = ["install"]


def install(folder: Path, name: str, code: str, *, groups: Sequence[str] = ("marketplace.plugins",)) -> None:
    """The plugin ``name`` in a package ``acme_<name>`` of one module; ``groups`` are those of entry points that name it."""
    package, info = folder / f"acme_{name}", folder / f"acme_{name}-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text(dedent(code))
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: acme-{name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("".join(f"[{group}]\n{name} = acme_{name}.plugin\n" for group in groups))
