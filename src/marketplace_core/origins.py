"""Where people may be sent back to: pages of the deployment's own clients."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import SplitResult, urlsplit

__all__ = ["Origins"]

#: What browsers and parsers of addresses read alike: no blanks, no controls, no backslash, and nobody's name before the host.
_PLAIN = re.compile(r"[!-\[\]-~]+")
_PORTS = {"https": 443, "http": 80}


class Origins:
    """``listed``: origins (``https://shop.example``) of the deployment's clients; none: every one that has TLS.

    ``loopback``: this machine, without TLS, too.
    """

    def __init__(self, listed: Iterable[str] = (), *, loopback: bool = False) -> None:
        self._listed = frozenset(filter(None, map(_origin_of, listed)))
        self._loopback = loopback

    def problem(self, url: str) -> str | None:
        """Why nobody is sent to ``url``, in a sentence, or None."""
        parts = _split(url)
        if parts is None:
            return "Give a whole address, as a browser shows it."
        if self._loopback and _is_loopback(parts.hostname or ""):
            return None
        if parts.scheme != "https":
            return "Give an address that begins with https://."
        if self._listed and _origin(parts) not in self._listed:
            return "It is of no origin of this marketplace's clients."
        return None


def _split(url: str) -> SplitResult | None:
    if not _PLAIN.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        known = parts.scheme in _PORTS and parts.hostname and (parts.port or 1) > 0 and "@" not in parts.netloc
    except ValueError:
        return None
    return parts if known else None


def _origin_of(url: str) -> str | None:
    parts = _split(url)
    return None if parts is None else _origin(parts)


def _origin(parts: SplitResult) -> str:
    return f"{parts.scheme}://{parts.hostname}:{parts.port or _PORTS[parts.scheme]}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
