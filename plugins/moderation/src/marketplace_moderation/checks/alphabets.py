"""Words of letters from several alphabets, which look like others and are not found by them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from marketplace_core.capabilities.moderation import Finding
from marketplace_moderation.checks.folding import Written

__all__ = ["check_alphabets"]

SCORE = 0.6

_LATIN = "A-Za-z\u00c0-\u024f"
#: Without Greek letters that are signs of units and constants.
_OTHER = (
    r"\u0370-\u0390\u0395-\u0398\u039a-\u03a2\u03a4\u03a5\u03ac\u03ad\u03ae\u03af\u03b0"
    r"\u03b5-\u03ba\u03bd-\u03bf\u03c1-\u03c8\u03ca-\u03ff\u0400-\u052f"
)
_MAY_BE_MIXED = re.compile(f"[{_OTHER}]")
_MIXED = re.compile(rf"\w*(?:[{_LATIN}][{_OTHER}]|[{_OTHER}][{_LATIN}])\w*")


def check_alphabets(texts: Sequence[Written]) -> list[Finding]:
    found = []
    for written in texts:
        if written.text.isascii() or not _MAY_BE_MIXED.search(written.text):
            continue
        used = list(dict.fromkeys(_MIXED.findall(written.text)))
        if used:
            found.append(Finding(written.key, "alphabets", SCORE, ", ".join(used), "alphabets"))
    return found
