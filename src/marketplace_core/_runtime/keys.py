"""The keys of a process: derived from the deployment's root secrets, or granted to it without them.

Each key has a name and is derived by HKDF (RFC 5869), so that knowing one tells nothing of another: a plugin has one of its
own, from which its purposes are derived again; each pair of processes that call has one; and the seed by which auth signs
access tokens is one of auth's. Two secrets may be active: the first makes what is new, both know what was made.
"""

from __future__ import annotations

import base64
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from marketplace_core import tokens
from marketplace_core.deployment._model import Deployment

__all__ = ["OPERATORS", "TOKENS", "GrantedKeys", "KeyMissing", "Keys", "RootKeys", "grant", "read_granted"]

#: Purposes of auth's seeds, and who calls that is no process of the file: a command on this machine, which has the root.
TOKENS, OPERATORS = "tokens", "operators"

_SALT = b"marketplace-core"
_BYTES = 32


class KeyMissing(LookupError):
    """A process asks for a key that it was not given."""


class Keys(ABC):
    """Each answer is of one key at least, the one that makes what is new first."""

    @abstractmethod
    def named(self, name: str) -> tuple[bytes, ...]:
        """:raises KeyMissing: this process has no such key."""

    @abstractmethod
    def of_plugin(self, plugin: str, purpose: str) -> tuple[bytes, ...]:
        """What a plugin derives for one purpose. :raises KeyMissing: the plugin does not live in this process."""

    @abstractmethod
    def public(self, auth: str) -> tuple[bytes, ...]:
        """The public keys of what the plugin ``auth`` signs."""

    def between(self, caller: str, service: str) -> tuple[bytes, ...]:
        """By which ``service`` knows ``caller``."""
        return self.named(f"rpc:{caller}:{service}")


class RootKeys(Keys):
    """``roots``: the secret of now, and perhaps the one before it."""

    def __init__(self, *roots: bytes) -> None:
        self._roots = roots

    def named(self, name: str) -> tuple[bytes, ...]:
        return tuple(_derived(root, name) for root in self._roots)

    def of_plugin(self, plugin: str, purpose: str) -> tuple[bytes, ...]:
        own = tuple(_derived(key, purpose) for key in self.named(f"plugin:{plugin}"))
        return own + tuple(_as_in_0_1_0(root, purpose) for root in self._roots)

    def public(self, auth: str) -> tuple[bytes, ...]:
        seeds = (_derived(key, TOKENS) for key in self.named(f"plugin:{auth}"))
        return tuple(tokens.public_key(seed) for seed in seeds)


class GrantedKeys(Keys):
    """What ``marketplace secrets`` wrote for one process."""

    def __init__(self, keys: Mapping[str, Sequence[bytes]]) -> None:
        self._keys = keys

    def named(self, name: str) -> tuple[bytes, ...]:
        if name not in self._keys:
            raise KeyMissing(f"this process was given no key {name!r}; write its secrets anew by: marketplace secrets")
        return tuple(self._keys[name])

    def of_plugin(self, plugin: str, purpose: str) -> tuple[bytes, ...]:
        return tuple(_derived(key, purpose) for key in self.named(f"plugin:{plugin}"))

    def public(self, auth: str) -> tuple[bytes, ...]:
        return self.named("public")


def _derived(key: bytes, name: str) -> bytes:
    return HKDF(SHA256(), _BYTES, _SALT, name.encode()).derive(key)


def _as_in_0_1_0(secret: bytes, purpose: str) -> bytes:
    """What that release made (guests' tokens, names of labels, refresh tokens) is known still."""
    return hashlib.blake2b(purpose.encode(), key=hashlib.blake2b(secret).digest(), digest_size=_BYTES).digest()


# ── without the root ─────────────────────────────────────────────────────────────────────────────────────────


class _Granted(Struct, forbid_unknown_fields=True):
    deployment: str
    process: str
    keys: dict[str, list[str]]


def grant(keys: Keys, deployment: Deployment, process: str, plugins: Sequence[str], auth: str | None) -> str:
    """As JSON, all that a service or a gateway needs, and nothing of which another's key could be derived.

    ``plugins`` run in it; ``auth`` is the one that signs access tokens.
    """
    service = deployment.services.get(process)
    names = [f"plugin:{plugin}" for plugin in plugins]
    if service is not None and service.internal is not None:
        names += [f"rpc:{caller}:{process}" for caller in callers(deployment) if caller != process]
    names += [f"rpc:{process}:{other}" for other in deployment.services if other != process]
    found = {name: keys.named(name) for name in names}
    if auth is not None:
        found["public"] = keys.public(auth)
    written = {name: [base64.b64encode(key).decode() for key in each] for name, each in found.items()}
    return msgspec.json.format(msgspec.json.encode(_Granted(deployment.name, process, written)), indent=1).decode()


def read_granted(path: Path, deployment: Deployment, process: str | None) -> GrantedKeys:
    """:raises ValueError: it is not what ``marketplace secrets`` writes for this process."""
    try:
        read = msgspec.json.decode(path.read_bytes(), type=_Granted)
        keys = {name: [base64.b64decode(key, validate=True) for key in each] for name, each in read.keys.items()}
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise ValueError(f"{path} holds no secrets of a process ({type(error).__name__})") from None
    if (read.deployment, read.process) != (deployment.name, process):
        raise ValueError(f"{path} is of {read.process!r} of {read.deployment!r}, not of {process!r} of {deployment.name!r}")
    return GrantedKeys(keys)


def callers(deployment: Deployment) -> list[str]:
    """Who calls services of a deployment: its processes, by the names of their services and gateways, and operators."""
    gateways = [name for name, gateway in deployment.gateways.items() if gateway.service is None]
    return [*deployment.services, *gateways, OPERATORS]
