from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from marketplace_core.cli._run import COMMANDS
from tests.core.cli.programs import marketplace
from tests.core.wrong_plugin import write


def test_check_of_a_good_file_says_nothing_on_standard_output(file: Path) -> None:
    done = marketplace("check", file)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", f"{file}: no problem\n")
    assert json.loads(marketplace("check", file, "--json").stdout) == {"problems": []}


def test_check_prints_every_problem_one_a_line(file: Path) -> None:
    text = file.read_text().replace('["auth", "catalog"]', '["auth", "catlog"]').replace('"EUR"', '"EUR"\nsecret = "env:NONE"')
    file.write_text(text)
    done = marketplace("check", "shop.toml", cwd=file.parent)
    assert done.returncode == 2
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "shop.toml: deployment.secret: the environment variable NONE is not set; export NONE",
        "shop.toml: services.market.plugins[1]: no plugin 'catlog' is installed; did you mean 'catalog'?",
    ]
    done = marketplace("check", file, "--no-secrets", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout) == {
        "problems": [
            {
                "key": "services.market.plugins[1]",
                "cause": "no plugin 'catlog' is installed",
                "remedy": "did you mean 'catalog'?",
            }
        ]
    }


def test_a_broken_third_party_plugin_is_found_by_its_entry_point(file: Path, tmp_path: Path) -> None:
    (tmp_path / "vendor.py").write_text("import vendorlib_that_is_not_there\n")
    meta = tmp_path / "vendor-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: vendor\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[marketplace.plugins]\nvendor = vendor\n")
    file.write_text(file.read_text().replace("[plugins.catalog]", "[plugins.catalog]\n[plugins.vendor]"))
    done = marketplace("check", file, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (2, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{file}: plugins.vendor: the plugin 'vendor' cannot be imported (ModuleNotFoundError: ")
    assert marketplace("up", file, "--data", tmp_path / "data", PYTHONPATH=str(tmp_path)).stderr.splitlines() == [line]
    assert not (tmp_path / "data").exists()


def test_check_of_a_plugin_alone(tmp_path: Path) -> None:
    assert marketplace("check", "--plugin", "catalog").stderr == "catalog: no problem\n"
    write(tmp_path, ("plugin.py", "timedelta(hours=1)", "7"))
    meta = tmp_path / "gifts-1.0.dist-info"
    meta.mkdir()
    (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: gifts\nVersion: 1.0\n")
    (meta / "entry_points.txt").write_text("[marketplace.plugins]\ngifts = acme_gifts.plugin\n")
    done = marketplace("check", "--plugin", "gifts", cwd=tmp_path, PYTHONPATH=str(tmp_path))
    said = (
        "its hook 'schedules' failed (TypeError: the schedule 'gifts.tidy' has every=7, write timedelta(seconds=7), at "
        "acme_gifts/plugin.py:47); mend it there, or tell the plugin's author"
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, f"acme_gifts/plugin.py: plugins.gifts: {said}\n", "")
    for arguments in ((), ("shop.toml", "--plugin", "gifts")):
        assert marketplace("check", *arguments).returncode == 2


def test_check_loads_no_server_and_no_client() -> None:
    code = "import sys; from marketplace_core.cli._run import run; run(['check', 'none.toml']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"quart", "granian", "psqlpy", "redis", "aiohttp", "arq", "uvloop"}
    assert heavy & set(done.stdout.split()) == set()


def test_plugins_shows_what_is_installed_and_what_is_deployed(file: Path) -> None:
    items = json.loads(marketplace("plugins", file, "--json").stdout)["items"]
    assert [item["name"] for item in items] == ["auth", "catalog"]
    catalog = items[1]
    assert catalog["provides"] == "catalog"
    assert "provide_catalog" in catalog["hooks"]
    assert "GET /buyer/v1/products" in catalog["routes"]
    installed = [item["name"] for item in json.loads(marketplace("plugins", "--json").stdout)["items"]]
    assert installed == sorted(installed)
    assert {"auth", "catalog"} <= set(installed)
    assert "    GET /buyer/v1/products\n" in marketplace("plugins", file).stdout


def test_graph_is_the_same_each_time(file: Path) -> None:
    first, second = (marketplace("graph", file, "--format", "mermaid", PYTHONHASHSEED=seed) for seed in ("1", "2"))
    assert first.returncode == 0
    assert first.stdout == second.stdout
    lines = first.stdout.splitlines()
    assert lines[0] == "flowchart LR"
    for line in (
        'gateway_market{{"market: buyer, seller, logistics, admin"}}',
        'subgraph service_market["market"]',
        'store_main[("main: postgres")]',
        "gateway_market --> plugin_catalog",
        "plugin_catalog ==> store_main",
    ):
        assert line in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chek"], "No such command 'chek'"),
        (["check"], "check takes either FILE or --plugin NAME"),
        (["check", "x", "--colour"], "No such option: --colour"),
        (["up", "--port", "70000"], "Invalid value for '--port'"),
        (["serve", "none.toml", "market"], "none.toml: file: it cannot be read"),
    ],
)
def test_wrong_input_is_one_line_and_2(arguments: list[str], said: str) -> None:
    done = marketplace(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert said in done.stderr


def test_every_command_has_its_help() -> None:
    everything = marketplace("--help")
    assert everything.returncode == 0
    for name in COMMANDS:
        done = marketplace(name, "--help")
        assert done.returncode == 0
        assert f"marketplace {name}" in done.stdout
        assert (name in everything.stdout) == (name != "demo")


def test_an_unforeseen_error_is_one_line_that_says_what_next(file: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import marketplace_core.deployment as d\n"
        "def load_all(*a, **k): raise ValueError('two\\nlines')\nd.load_all = load_all\n"
    )
    done = marketplace("check", file, PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "marketplace: it failed (ValueError: two lines); set MARKETPLACE_TRACEBACK=1 and run it again to see where\n"
    )
    assert "Traceback" in marketplace("check", file, PYTHONPATH=str(tmp_path), MARKETPLACE_TRACEBACK="1").stderr


def test_serve_and_work_name_what_there_is(file: Path) -> None:
    done = marketplace("serve", file, "markt", "--data", file.parent / "data")
    assert (done.returncode, done.stderr) == (2, "marketplace: the deployment has no service 'markt'; use one of market\n")
    done = marketplace("work", file, "market", "--worker", "night", "--data", file.parent / "data")
    assert (done.returncode, done.stderr) == (
        2,
        "marketplace: the service 'market' has no worker 'night'; use one of worker\n",
    )
