from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.core.deployment.files import GOOD

#: Nobody guesses it.
SECRET = "G7vYp2Qm9RkW4tZx8LdN3sHf6BcJ1aVe5UgTyKoM0iXq"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATLAS_SECRET", SECRET)
    monkeypatch.delenv("ABSENT", raising=False)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str = GOOD, *changes: tuple[str, str]) -> Path:
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        path = tmp_path / "shop.toml"
        path.write_text(text)
        return path

    return write
