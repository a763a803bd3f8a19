"""What a pool's process is asked for: by name, so that who asks does not import what does it."""

from __future__ import annotations

from collections.abc import Sequence

from marketplace_moderation.checks.alike import Seen

__all__ = ["see", "signatures"]


def signatures(texts: Sequence[str]) -> list[tuple[bytes, list[int]]]:
    """See :func:`marketplace_moderation.checks.likeness.signatures`."""
    from marketplace_moderation.checks import likeness  # noqa: PLC0415 - numpy and more come with it

    return likeness.signatures(texts)


def see(pictures: Sequence[bytes]) -> list[Seen]:
    """See :func:`marketplace_moderation.checks.likeness.see`."""
    from marketplace_moderation.checks import likeness  # noqa: PLC0415 - likewise

    return likeness.see(pictures)
