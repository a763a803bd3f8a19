"""Words of letters from several alphabets, which look like others and are not found by them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from marketplace_core.capabilities.moderation import Finding, Submission
from marketplace_moderation.checks.folding import text_of

__all__ = ["check_alphabets"]

SCORE = 0.6

_LATIN = "A-Za-z\u00c0-\u024f"
#: Without Greek letters that are signs of units and constants.
_OTHER = (
    r"\u0370-\u0390\u0395-\u0398\u039a-\u03a2\u03a4\u03a5\u03ac\u03ad\u03ae\u03af\u03b0"
    r"\u03b5-\u03ba\u03bd-\u03bf\u03c1-\u03c8\u03ca-\u03ff\u0400-\u052f"
)
_MIXED = re.compile(rf"\w*(?:[{_LATIN}][{_OTHER}]|[{_OTHER}][{_LATIN}])\w*")


def check_alphabets(submissions: Sequence[Submission]) -> list[Finding]:
    found = []
    for submission in submissions:
        text = text_of(submission.snapshot)
        if text.isascii():
            continue
        used = list(dict.fromkeys(_MIXED.findall(text)))
        if used:
            found.append(Finding(submission.content.key, "alphabets", SCORE, ", ".join(used), "alphabets"))
    return found
