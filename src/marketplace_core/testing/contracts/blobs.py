"""What every :class:`~marketplace_core.ports.Blobs` must do."""

from __future__ import annotations

import asyncio
import io
import os
from datetime import UTC, datetime, timedelta

import pytest

from marketplace_core.errors import Invalid
from marketplace_core.ports import BlobEntry, Blobs

__all__ = ["BlobsContract"]

_BAD_KEYS = ["", "/etc/passwd", "../secret", "a/../../b", "a//b", "a/", "./a", ".hidden", "a/.b", "a\\b", "a b", "a?b", "ä",
             "a\n", "a\0b", "x" * 201]  # fmt: skip


class _Large(io.BytesIO):
    """It is on disk because it is not to be in memory."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= 1 << 20:
            raise AssertionError("all of a file is read at once")
        return super().read(size)


class BlobsContract:
    """Fixture: ``blobs``."""

    async def test_what_is_put_is_got(self, blobs: Blobs) -> None:
        items = {"catalog/ab/cdef.webp": os.urandom(300_000), "empty": b"", "users/export-1_2.zip": b"\0\xff"}
        await blobs.put(items)
        assert {key: await blobs.get(key) for key in items} == items

    async def test_what_is_not_there_is_none(self, blobs: Blobs) -> None:
        await blobs.put({"catalog/a": b"1"})
        for key in ("nothing", "catalog", "catalog/a/b", "catalog/b"):
            assert await blobs.get(key) is None

    async def test_a_file_is_read_from_its_beginning_by_parts_and_left_open(self, blobs: Blobs) -> None:
        content = os.urandom(3_000_000)
        with _Large(content) as file:
            file.seek(1_000_000)
            await blobs.put({"a/file": file, "a/bytes": b"1"})
            assert await blobs.get("a/file") == content
            assert await blobs.get("a/bytes") == b"1"
            await blobs.put({"a/again": file})
        assert await blobs.get("a/again") == content

    async def test_a_repeat_changes_nothing(self, blobs: Blobs) -> None:
        for _ in range(2):
            await blobs.put({"catalog/a": b"same"})
        await asyncio.gather(*(blobs.put({"catalog/a": b"same"}) for _ in range(8)))
        assert await blobs.get("catalog/a") == b"same"

    async def test_what_is_deleted_is_gone(self, blobs: Blobs) -> None:
        await blobs.put({"a/1": b"1", "a/2": b"2", "a/3": b"3"})
        await blobs.delete(["a/1", "a/3", "never"])
        assert [await blobs.get(f"a/{n}") for n in (1, 2, 3)] == [None, b"2", None]
        await blobs.put({"a/1": b"again"})
        assert await blobs.get("a/1") == b"again"

    async def test_what_is_put_is_listed_in_order_page_by_page(self, blobs: Blobs) -> None:
        keys = ["a-b/1", "a.b/1", "a/1-2", "a/12", "a/b/c/d", "a0", "b/1", "b/2", "b10", "c/1"]
        began = datetime.now(UTC) - timedelta(seconds=2)
        await blobs.put({key: key.encode() for key in reversed(keys)})
        found: list[BlobEntry] = []
        while True:
            page = await blobs.list(after=found[-1].key if found else "", limit=3)
            found += page
            if len(page) < 3:
                break
        assert [(entry.key, entry.size) for entry in found] == [(key, len(key)) for key in keys]
        assert all(began <= entry.put_at <= datetime.now(UTC) + timedelta(seconds=2) for entry in found)
        assert [entry.key for entry in await blobs.list(after="a/12x")] == keys[keys.index("a/12") + 1 :]

    async def test_a_listing_is_of_a_prefix(self, blobs: Blobs) -> None:
        await blobs.put(dict.fromkeys(("catalog/ab/1", "catalog/ab/2", "catalog/ac/1", "catalogue", "users/1"), b""))
        for prefix, count in (("", 5), ("catalog", 4), ("catalog/", 3), ("catalog/ab", 2), ("catalog/ab/2", 1), ("c/", 0)):
            assert len(await blobs.list(prefix)) == count
        assert [entry.key for entry in await blobs.list("catalog/", after="catalog/ab/1")] == ["catalog/ab/2", "catalog/ac/1"]
        assert [entry.key for entry in await blobs.list("catalog/", after="a", limit=1)] == ["catalog/ab/1"]
        assert await blobs.list("catalog/", after="d") == []

    async def test_what_is_deleted_is_not_listed(self, blobs: Blobs) -> None:
        assert await blobs.list() == []
        await blobs.put({"a/1": b"1", "a/2": b"2"})
        await blobs.delete(["a/1"])
        assert [entry.key for entry in await blobs.list()] == ["a/2"]
        await blobs.delete(["a/2"])
        assert await blobs.list() == []

    async def test_a_url_has_the_key(self, blobs: Blobs) -> None:
        assert blobs.url("catalog/ab/cdef.webp").endswith("/catalog/ab/cdef.webp")
        assert blobs.url("a") != blobs.url("b")

    @pytest.mark.parametrize(
        ("keys", "content_type"),
        [
            (("a/good.webp", "a/page.html"), "image/webp"),
            (("a/good.webp", "a/other.png"), "image/webp"),
            (("a/good.webp",), "text/html"),
            (("a/good",), "image/webp"),
            (("a.webp/good",), "image/webp"),
        ],
    )
    async def test_a_key_that_says_another_type_is_refused(
        self, blobs: Blobs, keys: tuple[str, ...], content_type: str
    ) -> None:
        await blobs.put({"a/1.webp": b"1", "b.webp": b"2"}, "image/webp")
        await blobs.put({"a/1.pdf": b"1"}, "application/pdf")
        assert [await blobs.get(key) for key in ("a/1.webp", "b.webp", "a/1.pdf")] == [b"1", b"2", b"1"]
        with pytest.raises(Invalid) as refused:
            await blobs.put(dict.fromkeys(keys, b"<script>"), content_type)
        assert [each.code for each in refused.value.errors] == ["blobs.bad_type"]
        assert [await blobs.get(key) for key in keys] == [None] * len(keys)

    @pytest.mark.parametrize("key", _BAD_KEYS)
    async def test_a_bad_key_is_refused(self, blobs: Blobs, key: str) -> None:
        with pytest.raises(Invalid):
            await blobs.put({"good": b"", key: b""})
        with pytest.raises(Invalid):
            await blobs.get(key)
        with pytest.raises(Invalid):
            await blobs.delete([key])
        with pytest.raises(Invalid):
            blobs.url(key)
        assert await blobs.get("good") is None

    async def test_a_reader_never_sees_a_part(self, blobs: Blobs) -> None:
        """While keys are written they are whole or not there."""
        data = os.urandom(2_000_000)
        writing = asyncio.create_task(blobs.put({f"big/{n}": data for n in range(8)}))
        seen = set()
        while not writing.done():
            found = await asyncio.gather(*(blobs.get(f"big/{n}") for n in range(8)))
            seen |= {None if each is None else len(each) for each in found}
        await writing
        assert seen <= {None, len(data)}
