"""What an API key may be allowed: per audience, names such as ``orders`` with ``orders:read`` and ``orders:write`` each."""

from __future__ import annotations

from marketplace_core.values import Audience

__all__ = ["declare_scopes", "scopes_of"]

_NAMES: dict[Audience, list[str]] = {}


def declare_scopes(audience: Audience, *names: str) -> None:
    """Add a capability's, or a plugin's own; a router names the one that its routes are under."""
    known = _NAMES.setdefault(audience, [])
    known += [name for name in names if name not in known]


def scopes_of(audience: Audience) -> tuple[str, ...]:
    """Every scope that a key of this audience can have, in alphabetical order."""
    from marketplace_core import capabilities  # noqa: PLC0415 - they import this module

    capabilities.load_all()
    return tuple(f"{name}:{act}" for name in sorted(_NAMES.get(audience, ())) for act in ("read", "write"))
