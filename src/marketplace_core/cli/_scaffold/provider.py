"""A provider of a capability that there is."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["provider_of"]


def provider_of(capability: str, port: type, own: Mapping[str, str]) -> dict[str, str]:
    raise NotImplementedError
