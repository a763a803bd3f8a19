from __future__ import annotations

from pathlib import Path

import pytest

from marketplace_core._supervisor.ports import free_port
from tests.core.cli.programs import FILE


@pytest.fixture
def file(short_folder: Path) -> Path:
    path = short_folder / "shop.toml"
    path.write_text(FILE.format(port=free_port(None)))
    return path
