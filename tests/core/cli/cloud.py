"""Terraform, octoDNS, and what answers as AWS on this machine: moto's server, a child of one test.

Terraform and its provider come by no package client: who has both runs these tests, and others are told why not.
The provider is looked for where Terraform looks, in folders of /opt, and in MARKETPLACE_TERRAFORM_PLUGINS.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest

from marketplace_core._supervisor.ports import free_port
from marketplace_core.adapters.native.cloud import CLOUD
from marketplace_core.adapters.native.errors import EmbeddedError

TERRAFORM = shutil.which("terraform")
REGION = "eu-central-1"
_FOLDERS = ("~/.terraform.d/plugins", "/usr/local/share/terraform/plugins", "/usr/share/terraform/plugins", "/opt/*")
_KEYS = {
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ACCESS_KEY_ID": "shop",
    "AWS_SECRET_ACCESS_KEY": "shop",
    "CLOUDFLARE_TOKEN": "none",
}


def provider() -> Path | None:
    """The folder of Terraform's provider of AWS."""
    for folder in (os.environ.get("MARKETPLACE_TERRAFORM_PLUGINS"), *_FOLDERS):
        if folder:
            pattern = (
                f"{os.path.expanduser(folder).lstrip('/')}/registry.terraform.io/hashicorp/aws/*/*/terraform-provider-aws*"
            )
            if found := sorted(Path("/").glob(pattern)):
                return found[-1].parent
    return None


needs_terraform = pytest.mark.skipif(
    TERRAFORM is None or provider() is None, reason="install Terraform with its provider hashicorp/aws"
)


#: moto leaves out of its list of health checks whether it is whole, which AWS always says.
_SERVER = """
from moto.core.responses import ActionResult
from moto.route53.responses import Route53
from moto.server import main

Route53.list_health_checks = lambda self: ActionResult(
    {"HealthChecks": self.backend.list_health_checks(), "IsTruncated": False, "MaxItems": 100, "Marker": ""}
)
main()
"""


class Terraform:
    """In a folder of its own, which it needs no `init` for. ``endpoint``: who answers as AWS; None: nobody is asked."""

    def __init__(self, folder: Path, texts: dict[str, str], variables: dict[str, Any], endpoint: str | None = None) -> None:
        self._folder = folder / "aws"
        self._folder.mkdir()
        for name, text in texts.items():
            (self._folder / name).write_text(text)
        (self._folder / "test.auto.tfvars.json").write_text(json.dumps(variables))
        (self._folder / "test_override.tf").write_text(_override(asked=endpoint is not None))
        config = folder / "terraformrc"
        config.write_text(f'provider_installation {{\n  dev_overrides {{\n    "hashicorp/aws" = "{provider()}"\n  }}\n}}\n')
        self._env = {**os.environ, **_KEYS, "TF_CLI_CONFIG_FILE": str(config), "CHECKPOINT_DISABLE": "1"}
        if endpoint is not None:
            self._env["AWS_ENDPOINT_URL"] = endpoint

    def run(self, *arguments: str, good: Sequence[int] = (0,)) -> str:
        """What it prints. :raises AssertionError: with that, too, where it fails."""
        assert TERRAFORM is not None
        done = subprocess.run(
            [TERRAFORM, *arguments], cwd=self._folder, env=self._env, capture_output=True, text=True, check=False
        )
        assert done.returncode in good, done.stdout[-4000:] + done.stderr
        return done.stdout

    def planned(self) -> list[dict[str, Any]]:
        """What an apply would change: of each resource that does not stay as it is ``address``, ``type`` and ``change``."""
        self.run("plan", "-input=false", "-no-color", "-out=plan")
        found = json.loads(self.run("show", "-json", "plan"))["resource_changes"]
        return [one for one in found if one["change"]["actions"] != ["no-op"]]


def _override(*, asked: bool) -> str:
    """An account for moto is one like any other; where nobody is asked, there is none."""
    known = "" if asked else "  skip_requesting_account_id = true\n"
    return (
        f'provider "aws" {{\n{known}  skip_credentials_validation = true\n'
        "  skip_metadata_api_check = true\n  s3_use_path_style = true\n}\n"
    )


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[str]:
    """Where it answers. Skips the test where it cannot be installed; in CI that is a failure."""
    try:
        CLOUD.install()
    except EmbeddedError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    port = free_port()
    with (folder / "moto.log").open("wb") as log:
        argv = [CLOUD.python, "-c", _SERVER, "-p", str(port)]
        child = subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, **_KEYS})
    try:
        _answers(child, f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait()


def _answers(child: subprocess.Popen[bytes], endpoint: str) -> None:
    client = aws("sts", endpoint)
    for _ in range(600):
        assert child.poll() is None, "moto has ended"
        with contextlib.suppress(Exception):
            client.get_caller_identity()
            return
        time.sleep(0.1)
    raise AssertionError("moto does not answer")


def aws(service: str, endpoint: str) -> Any:
    """A client of one of AWS's services there."""
    keys = {"aws_access_key_id": "shop", "aws_secret_access_key": "shop"}
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, **keys)


def octodns(command: str, config: Path, endpoint: str, *arguments: str) -> str:
    """Run ``octodns-<command>``; gives its log. :raises AssertionError: it fails."""
    argv: list[str | Path] = [CLOUD.python, "-c", f"from octodns.cmds.{command} import main; main()", "--config-file", config]
    env = {**os.environ, **_KEYS, "AWS_ENDPOINT_URL": endpoint}
    done = subprocess.run([*argv, *arguments], cwd=config.parent, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def records(endpoint: str, zone: str) -> dict[tuple[str, str], Any]:
    """What Route 53 has in a zone, by name and type: the values, or the name that an alias stands for."""
    client = aws("route53", endpoint)
    [found] = [one for one in client.list_hosted_zones()["HostedZones"] if one["Name"] == f"{zone}."]
    sets = client.list_resource_record_sets(HostedZoneId=found["Id"])["ResourceRecordSets"]
    return {(one["Name"].rstrip("."), one["Type"]): _values(one) for one in sets if one["Type"] != "SOA"}


def _values(record: dict[str, Any]) -> Any:
    if alias := record.get("AliasTarget"):
        return alias["DNSName"].rstrip(".")
    return [value["Value"].rstrip(".") for value in record["ResourceRecords"]]
