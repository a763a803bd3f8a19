"""Deployments that name the plugin: what the file alone does, what `check` says, and the README's lines as they stand there."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from marketplace_core.deployment import DeploymentErrors, load_all
from marketplace_core.testing.deployments import elsewhere, up

FOLDER = Path(__file__).parents[1]
MARKET, README = FOLDER / "market.toml", (FOLDER / "README.md").read_text()
TIERS = 'tiers = [{ name = "Silver", percent = 5, spent = { EUR = 2000 } }]'


def problems(folder: Path, text: str) -> list[str]:
    (folder / "shop.toml").write_text(text)
    try:
        load_all(folder / "shop.toml", secrets=False)
    except DeploymentErrors as errors:
        return [f"{problem.key}: {problem.cause}" for problem in errors.problems]
    return []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (r"tiers = \[\n.*?\n\]", "", ["plugins.loyalty.tiers: it is missing"]),
        (r"percent = 10", "percent = 5", ["plugins.loyalty: the tier 'Gold' must ask and give more than 'Silver'"]),
        (r"percent = 10", "percent = 100", ["plugins.loyalty.tiers[1].percent: "]),
        (r', "loyalty"\]', "]", ["plugins.loyalty: no service runs 'loyalty'"]),
        (
            r'\[plugins.orders\]\n|"orders", ',
            "",
            ["plugins.loyalty: no plugin provides 'orders', which 'loyalty' needs"],
        ),
        (r'main = "embedded:postgres"\n|, sagas = "main"', "", ["deployment.on.sagas: no resource can play 'sagas'"]),
    ],
    ids=["tiers", "order", "percent", "service", "orders", "database"],
)
def test_check_says_what_is_missing(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    text, count = re.subn(old, new, MARKET.read_text(), flags=re.DOTALL)
    assert count
    found = problems(tmp_path, text)
    assert len(found) == len(expected), found
    for one, beginning in zip(found, expected, strict=True):
        assert one.startswith(beginning), found


def test_the_file_of_a_split_deployment_takes_it_too(tmp_path: Path) -> None:
    """Only that file changes: a table, and a name in a service. Its rule is drawn to orders, which run elsewhere."""
    split = (FOLDER.parent / "split.toml").read_text()
    split = split.replace(
        "[plugins.orchestrator]", f'[plugins.loyalty]\non = {{ postgres = "users" }}\n{TIERS}\n[plugins.orchestrator]'
    )
    assert problems(tmp_path, split) == ["plugins.loyalty: no service runs 'loyalty'"]
    split = split.replace('plugins = ["users", ', 'plugins = ["loyalty", "users", ')
    assert problems(tmp_path, split) == []
    loaded = load_all(tmp_path / "shop.toml", secrets=False)
    assert loaded.declared["loyalty"].extensions == ("price_rules",)
    assert loaded.deployment.service_of("loyalty").name == "market" != loaded.deployment.service_of("orders").name


def test_the_files_of_the_readme_are_there() -> None:
    package = FOLDER / "src" / "marketplace_loyalty"
    for name in re.findall(r"`([\w/]+\.(?:py|toml)|[\w/]+/)`", README.partition("## The files")[2].partition("## Tests")[0]):
        assert (FOLDER / name).exists() or (package / name).exists(), name
    [table] = re.findall(r"```toml\n(\[plugins.loyalty\].*?)\n\n", README, re.DOTALL)
    assert tomllib.loads(table)["plugins"]["loyalty"] == tomllib.loads(MARKET.read_text())["plugins"]["loyalty"]


# ── market.toml, as the README has it ────────────────────────────────────────────────────────────────────────


async def test_the_lines_of_the_readme_do_what_it_says(short_folder: Path, tmp_path: Path) -> None:
    [lines] = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    data = short_folder / "data"
    with up(elsewhere(MARKET, short_folder), data) as running:
        for written, here in (("http://127.0.0.1:8000", running.said["url"]), ("data=.data", f"data={data}")):
            assert written in lines
            lines = lines.replace(written, here)
        bash = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", lines, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        told, errors = await asyncio.wait_for(bash.communicate(), 90)
    assert (bash.returncode, errors) == (0, b"")
    decoder, text, answers = json.JSONDecoder(), told.decode().strip(), []
    while text:
        answer, end = decoder.raw_decode(text)
        answers.append(answer)
        text = text[end:].strip()
    before, after, [discount] = answers
    assert [one["items"][0]["tier"] for one in (before, after)] == [None, {"name": "Silver", "percent": 5}]
    assert discount.pop("amount")["amount"] > 0
    [printed] = re.findall(r"`\[(\{\"code\".*), \"amount\": …\}\]`", README)
    assert discount == json.loads(printed + "}")
