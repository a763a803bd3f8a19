"""Blobs as everybody sees them, with the content type that their keys say."""

from __future__ import annotations

import mimetypes
from pathlib import Path

import pytest
from http_serving import app_of, served

from marketplace_core.adapters.folder.blobs import FolderBlobs


@pytest.mark.parametrize(
    ("key", "type_"),
    [("p/1.webp", "image/webp"), ("p/1.avif", "image/avif"), ("p/1.html", "application/octet-stream"),
     ("p/1.svg", "application/octet-stream"), ("p.png/1", "application/octet-stream"), ("png", "application/octet-stream")],
)  # fmt: skip
async def test_what_a_picture_is_does_not_depend_on_the_machine(
    tmp_path: Path, key: str, type_: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container that has no /etc/mime.types."""
    monkeypatch.setattr(mimetypes, "_db", mimetypes.MimeTypes(()))
    monkeypatch.setattr(mimetypes, "inited", True)
    blobs = FolderBlobs(tmp_path)
    await blobs.put({key: b"content"})
    async with served(app_of(media=blobs)) as client:
        answer = await client.get(f"/media/{key}")
        assert (answer.status, answer.content_type) == (200, type_)
