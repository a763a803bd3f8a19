"""Settings of ``[plugins.moderation]``."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["CHECKS", "ModerationConfig"]

CHECKS = ("words", "contact", "alphabets", "prices", "texts", "pictures", "classifier")
Share = Annotated[float, Meta(gt=0, le=1)]


class ModerationConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Which checks there are, and what they come to.

    ``checks``: those that are made, of ``words``, ``contact``, ``alphabets``, ``prices``, ``texts``, ``pictures`` and
    ``classifier``; the last finds nothing until it is trained. ``hold`` and ``reject``: by the highest score of a submission,
    from 0 to 1, a person decides, or it is rejected at once; below it is approved.
    ``claim_minutes``: for how long a moderator has what was claimed.
    ``words``: further banned words by language (``en``, ``de``, ``es``, ``fr``, ``pt``, or any other name).
    ``allowed_hosts``: links to them, and mail addresses at them, are no contact data.
    ``alike_words``: texts of fewer words may be alike. ``alike``: the share of their parts from which on others are copied.
    ``blocked_pictures``: perceptual hashes (16 hexadecimal digits) of those that are rejected.
    """

    checks: tuple[str, ...] = CHECKS
    hold: Share = 0.5
    reject: Share = 0.95
    claim_minutes: Annotated[int, Meta(ge=1, le=24 * 60)] = 15
    words: dict[str, list[str]] = {}
    allowed_hosts: tuple[str, ...] = ()
    alike_words: Annotated[int, Meta(ge=5, le=1000)] = 15
    alike: Share = 0.85
    blocked_pictures: tuple[Annotated[str, Meta(pattern=r"^[0-9a-f]{16}\Z")], ...] = ()

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.checks) - set(CHECKS)):
            raise ValueError(f"there is no check {', '.join(unknown)}; there are {', '.join(CHECKS)}")
        if self.hold > self.reject:
            raise ValueError("hold is not above reject: what is rejected would have been held")
