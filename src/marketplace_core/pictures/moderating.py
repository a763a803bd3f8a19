"""Pictures as content that moderation judges: each of kind ``image``, with a snapshot of what it belongs to."""

from __future__ import annotations

from collections.abc import Callable

from marketplace_core.capabilities.moderation import Content, ContentDecided, ContentSubmitted, Show
from marketplace_core.pictures.values import PictureRecord
from marketplace_core.ports.units import UnitOfWork

__all__ = ["ImageName", "decided_of", "name_of", "submission", "submit"]

KIND = "image"


class ImageName(tuple[str, str]):
    """Of which of a plugin's things, and which of its pictures."""

    __slots__ = ()


def submission(
    plugin: str, owner: str, picture: PictureRecord, author_id: str | None, snapshot: dict[str, str]
) -> ContentSubmitted:
    """A picture of ``owner`` is to be judged. It never changes, so that it has one version."""
    content = Content(KIND, f"{plugin}.{owner}.{picture.id}", 1)
    return ContentSubmitted(
        subject=content.key,
        content=content,
        cause="new",
        author_id=author_id,
        snapshot=snapshot,
        images=(picture.key,),
    )


def submit(
    uow: UnitOfWork,
    show: Show,
    plugin: str,
    owner: str,
    picture: PictureRecord,
    author_id: str | None,
    snapshot: dict[str, str],
) -> None:
    """A picture that was made goes to moderation, and is shown meanwhile or waits. One that could not be made does not go."""
    if picture.status == "ready":
        picture.status = "pending" if show == "approved" else "ready"
        uow.emit(submission(plugin, owner, picture, author_id, snapshot))


def decided_of(plugin: str) -> Callable[[ContentDecided], bool]:
    """For a handler: whether a decision is about a picture of this plugin."""
    return lambda event: event.content.kind == KIND and event.content.id.startswith(f"{plugin}.")


def name_of(content: Content) -> tuple[str, str]:
    """Whose picture it is, and the id of that."""
    rest, _, id_ = content.id.rpartition(".")
    return rest.partition(".")[2], id_
