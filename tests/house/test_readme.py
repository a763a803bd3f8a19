"""What the README says is true: its plugin works as it stands there, and its picture is that of the embedded deployment."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

from marketplace_core._plugins.graph import mermaid
from marketplace_core.deployment import DEFAULT_FILE, load_all

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
FILE = """
[deployment]
name = "readme"
profile = "test"
currency = "EUR"
secret = "file:{folder}/secret"
[resources]
main = "postgres://localhost/readme"
lasting = "redis://localhost:6379/0"
cache = {{ url = "redis://localhost:6379/1", role = "cache" }}
[services.market]
plugins = ["hello"]
[plugins.hello]
greeting = "Good day"
"""


class Entry:
    """An entry point of the README's module."""

    def load(self) -> ModuleType:
        [code] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
        module = ModuleType("marketplace_hello")
        exec(compile(code, "README.md", "exec"), module.__dict__)  # noqa: S102 - our own README
        return module


async def test_the_first_plugin_works(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("5f0c2b1de94a47d7a3b86c1f7e2d9a60b4c8-Tq7Vw1Zm9Kx3")
    file = tmp_path / "readme.toml"
    file.write_text(FILE.format(folder=tmp_path))
    loaded = load_all(file, found={"hello": Entry()})
    [route] = loaded.declared["hello"].routes
    assert (route.audience, route.method, route.path, route.summary) == ("buyer", "GET", "/hello/{name}", "Greet somebody.")
    greeting = await route.handler(name="Ada")
    assert greeting.text == "Good day, Ada!"


def test_the_picture_is_that_of_the_embedded_deployment() -> None:
    [picture] = re.findall(r"```mermaid\n(.*?)```", README, re.DOTALL)
    assert picture.strip() == mermaid(load_all(DEFAULT_FILE, secrets=False)).strip()


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / target).exists(), target
