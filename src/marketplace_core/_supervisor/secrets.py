"""Secrets that a data folder makes for itself, once; only its owner may read them."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path

from marketplace_core._runtime.keys import Keys, RootKeys, read_granted
from marketplace_core.commands import Failed
from marketplace_core.deployment._model import Deployment
from marketplace_core.deployment._secrets import KEYS

__all__ = ["deployment_secret", "process_keys", "root_keys", "simulator_secret"]


def process_keys(deployment: Deployment, data: Path, name: str) -> Keys:
    """What the file that ``MARKETPLACE_KEYS`` names grants to the process ``name``; without it all of the root secrets.

    :raises Failed: the file is of another process.
    """
    granted = os.environ.get(KEYS)
    if granted is None:
        return root_keys(deployment, data)
    try:
        return read_granted(Path(granted), deployment, name)
    except ValueError as error:
        raise Failed(str(error), "write it by: marketplace secrets FILE SERVICE", 2) from None


def root_keys(deployment: Deployment, data: Path) -> RootKeys:
    """:raises marketplace_core.deployment.MissingReference: what the file names is not there."""
    former = [deployment.resolve(deployment.former_secret).encode()] if deployment.former_secret is not None else []
    return RootKeys(deployment_secret(deployment, data), *former)


def deployment_secret(deployment: Deployment, data: Path) -> bytes:
    """The deployment's secret: what its reference names, else that of the data folder, made if absent.

    :raises marketplace_core.deployment.MissingReference: what the file names is not there.
    """
    if deployment.secret is not None:
        return deployment.resolve(deployment.secret).encode()
    return _kept(data / "secret", lambda: secrets.token_hex(32)).encode()


def simulator_secret(data: Path) -> str:
    """What the simulators of a data folder sign their webhooks with, as Standard Webhooks writes it."""
    return _kept(data / "simulators" / "secret", lambda: "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())


def _kept(path: Path, make: Callable[[], str]) -> str:
    if path.exists():
        return path.read_text().strip()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(file, f"{make()}\n".encode())
        os.fsync(file)
    finally:
        os.close(file)
    with contextlib.suppress(FileExistsError):
        os.link(fresh, path)  # unlike a rename, it does not replace what another process has just made
    fresh.unlink()
    return path.read_text().strip()
