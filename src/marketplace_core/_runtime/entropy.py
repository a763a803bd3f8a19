"""Random bytes of the kernel, fetched by the page: for an id of 8 bytes the call costs more than all the rest."""

from __future__ import annotations

import os
import threading

__all__ = ["random_bytes"]

_PAGE = 4096

_lock = threading.Lock()
_page = b""
_used = 0


def random_bytes(count: int) -> bytes:
    """As ``os.urandom``, for ``count`` up to 4096. No byte is given out twice, not even to a child by ``fork``."""
    global _page, _used
    with _lock:
        if len(_page) - _used < count:
            _page, _used = os.urandom(_PAGE), 0
        start, _used = _used, _used + count
        return _page[start:_used]


def _forget() -> None:
    global _lock, _page, _used
    _lock, _page, _used = threading.Lock(), b"", 0


os.register_at_fork(after_in_child=_forget)
