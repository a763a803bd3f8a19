"""moderation: whether what people write may be shown. Whoever has content tells of it, and hears what was decided."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from marketplace_core.events import Event, event
from marketplace_core.hookspecs import hookspec

if TYPE_CHECKING:
    from marketplace_core.context import PluginContext

# ── values ───────────────────────────────────────────────────────────────────────────────────────────────────

Cause = Literal["new", "edited", "reported"]


class Content(Struct, frozen=True):
    """What is judged: ``kind`` (``product``, ``review``, ``reply``, ``image``, ``shop``, or ``<plugin>.<name>`` of a third
    party) and the id of one, as it was at ``version``, which counts its changes."""

    kind: str
    id: str
    version: int

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.id}"


# ── events ───────────────────────────────────────────────────────────────────────────────────────────────────


@event("moderation.submitted", key="subject")
class ContentSubmitted(Event, frozen=True, kw_only=True):
    """Content is to be judged, as a plugin has it that emits on the topic ``moderation``.

    ``subject`` is the key of the content. ``snapshot`` is what one decides by: texts by the field that they stand in;
    ``images`` are the keys of pictures' blobs. ``author_id`` is the account that wrote it. ``note``: what a report says.
    """

    subject: str
    content: Content
    cause: Cause
    author_id: str | None
    snapshot: dict[str, str]
    images: tuple[str, ...] = ()
    note: str = ""


@event("moderation.decided", key="subject")
class ContentDecided(Event, frozen=True, kw_only=True):
    """``content`` may be shown, or may not: then ``reason_code`` says why.

    Whoever has the content applies it by a handler, unless it has been changed since: a later version is judged by itself.
    """

    subject: str
    content: Content
    approved: bool
    reason_code: str | None = None


# ── port ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Moderation(ABC):  # noqa: B024 - what others may ask of it comes with the first who asks
    """Judges content. Where a deployment has none, whoever has content shows it without being told to."""


# ── hooks ────────────────────────────────────────────────────────────────────────────────────────────────────


class ModerationHooks:
    @hookspec
    def provide_moderation(self, context: PluginContext) -> Moderation:  # type: ignore[empty-body]
        """The capability's provider."""
