"""Pictures that people send: kept at once, drawn anew at once, a bad one alone, and swept once nobody refers to them."""

from __future__ import annotations

import io
import os
import random
import struct
import time
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from marketplace_core import calls
from marketplace_core._runtime.pools import ProcessPool, ThreadPool
from marketplace_core.adapters.folder.blobs import FolderBlobs
from marketplace_core.http.egress import Egress
from marketplace_core.http.routing import Upload
from marketplace_core.pictures import BadPicture, PictureRecord, Pictures, PictureSizes, read_picture, work
from marketplace_core.ports import BlobEntry
from marketplace_core.values import Caller

#: Always the same: of a random one the sizes may be those of a bomb.
NOISE = random.Random(1).randbytes(500)
SECRET = b"<script>alert('where I live')</script>"


def drawn(form: str = "JPEG", size: tuple[int, int] = (640, 480), mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, "red").save(out, form, **options)
    return out.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A picture of that size in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    packed = zlib.compress(b"\0" * ((width // 8 + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def located() -> bytes:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    exif.get_ifd(0x8825)[2] = (51.0, 30.0, 0.0)
    return drawn(exif=exif, comment=SECRET)


def noted() -> bytes:
    info = PngInfo()
    info.add_text("note", SECRET.decode())
    return drawn("PNG", pnginfo=info)


def moving(frames: int) -> bytes:
    one = drawn("GIF", (200, 200), "P")
    start = one.index(b"\x2c")  # where its only frame begins
    return one[:start] + one[start:-1] * frames + b";"


# ── one of them ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "sizes"),
    [
        (drawn(size=(3200, 1600)), [(1600, 800), (480, 240), (160, 80)]),
        (drawn(size=(600, 900)), [(600, 900), (320, 480), (107, 160)]),
        (drawn("PNG", (100, 50)), [(100, 50)] * 3),
        (drawn("PNG", (1, 1)), [(1, 1)] * 3),
        (drawn("PNG", (12_000, 1)), [(1600, 1), (480, 1), (160, 1)]),
        (drawn("PNG", (500, 500), "RGBA"), [(500, 500), (480, 480), (160, 160)]),
        (drawn("GIF", (500, 500), "P"), [(500, 500), (480, 480), (160, 160)]),
        (drawn("WEBP", (500, 500)), [(500, 500), (480, 480), (160, 160)]),
        (drawn("JPEG", (500, 500), "CMYK"), [(500, 500), (480, 480), (160, 160)]),
        (drawn("PNG", (500, 500), "I;16"), [(500, 500), (480, 480), (160, 160)]),
    ],
)
@pytest.mark.behaviour("catalog-4")
def test_a_picture_is_drawn_in_each_size_and_never_larger(content: bytes, sizes: list[tuple[int, int]]) -> None:
    found = read_picture(content, "It").renditions
    assert [(found[name].width, found[name].height) for name in ("page", "card", "thumb")] == sizes
    for one in found.values():
        with Image.open(io.BytesIO(one.content)) as image:
            assert (image.format, image.size) == ("WEBP", (one.width, one.height))


@pytest.mark.parametrize(
    "content",
    [located(), noted(), drawn() + SECRET, drawn("GIF", (40, 30), "P") + b"PK\x03\x04" + SECRET, drawn("WEBP", xmp=SECRET)],
    ids=["exif", "text", "polyglot", "archive", "xmp"],
)
def test_nothing_else_that_is_in_a_file_is_shown(content: bytes) -> None:
    assert SECRET in content
    for one in read_picture(content, "It").renditions.values():
        assert SECRET not in one.content and b"Exif" not in one.content
        with Image.open(io.BytesIO(one.content)) as image:
            assert dict(image.getexif()) == {}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (bomb(20_000, 20_000), "range"),
        (bomb(9_000, 9_000), "range"),
        (b"", "format"),
        (drawn()[:-200], "format"),
        (drawn("PNG")[:60], "format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "format"),
        (drawn("BMP"), "format"),
        (drawn("TIFF"), "format"),
        (b"\x89PNG\r\n\x1a\n" + NOISE, "format"),
        (b"GIF89a\x10\x00\x10\x00" + NOISE, "format"),
        (b"RIFF\x24\x00\x00\x00WEBPVP8 " + NOISE, "format"),
        (b"\xff\xd8\xff\xe0" + NOISE, "format"),
    ],
)
def test_what_is_no_picture_says_why(content: bytes, code: str) -> None:
    with pytest.raises(BadPicture) as bad:
        read_picture(content, "It")
    assert bad.value.code == code


def test_of_ten_thousand_frames_one_is_looked_at() -> None:
    content, began = moving(10_000), time.process_time()
    found = read_picture(content, "It").renditions["page"]
    assert (found.width, found.height) == (200, 200)
    assert time.process_time() - began < 1.0


def test_a_picture_of_the_most_pixels_is_drawn() -> None:
    assert read_picture(bomb(7_000, 7_000), "It").renditions["page"].width == 1600


# ── many of them ─────────────────────────────────────────────────────────────────────────────────────────────


class Counted(FolderBlobs):
    """Notes every call."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, durable=False)
        self.asked: list[tuple[str, int]] = []

    async def put(self, items: Mapping[str, bytes | BinaryIO], content_type: str | None = None) -> None:
        self.asked.append(("put", len(items)))
        await super().put(items, content_type)

    async def get(self, key: str) -> bytes | None:
        self.asked.append(("get", 1))
        return await super().get(key)

    async def delete(self, keys: Sequence[str]) -> None:
        self.asked.append(("delete", len(keys)))
        await super().delete(keys)

    async def list(self, prefix: str = "", after: str = "", limit: int = 1000) -> list[BlobEntry]:
        self.asked.append(("list", 1))
        return await super().list(prefix, after, limit)


@pytest.fixture
def blobs(tmp_path: Path) -> Counted:
    return Counted(tmp_path)


@pytest.fixture
async def pictures(blobs: Counted) -> AsyncIterator[Pictures]:
    pool = ThreadPool("pictures", 2)
    yield Pictures("catalog", blobs, pool, lambda: Egress("catalog", private=True), PictureSizes())
    await pool.close()


class Spooled(io.BytesIO):
    """A file that is on disk because it is not to be in memory."""

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None and 0 <= size <= 1 << 20, "all of it is read at once"
        return super().read(size)

    def getvalue(self) -> bytes:
        raise AssertionError("all of it is read at once")


def sent(*contents: bytes) -> list[Upload]:
    return [Upload("file", f"{n}.png", "text/html", Spooled(each), len(each)) for n, each in enumerate(contents)]


def asked_by(account: str, key: str | None) -> calls.Call:
    return calls.Call(Caller(account_id=account), key=key)


async def test_what_may_be_a_picture_is_kept_at_once_and_by_parts(blobs: Counted, pictures: Pictures) -> None:
    photo = drawn(size=(2000, 2000)) + bytes(3_000_000)
    found = await pictures.keep(sent(photo, b"<svg/>", drawn("PNG"), b""))
    assert [(one.name, one.key is not None, one.code) for one in found] == [
        ("0.png", True, None),
        ("1.png", False, "format"),
        ("2.png", True, None),
        ("3.png", False, "format"),
    ]
    assert blobs.asked == [("put", 2)]
    assert await blobs.get(found[0].key or "") == photo


async def test_a_repeat_of_a_request_has_the_same_keys_and_nobody_else_has(pictures: Pictures) -> None:
    async def keys(account: str, key: str | None, content: bytes) -> str:
        with calls.scope(asked_by(account, key)):
            [one] = await pictures.keep(sent(content))
        return one.key or ""

    first = await keys("ada", "k", drawn())
    assert await keys("ada", "k", drawn()) == first
    others = [await keys("bob", "k", drawn()), await keys("ada", "l", drawn()), await keys("ada", "k", drawn("PNG"))]
    others += [await keys("ada", None, drawn()), await keys("ada", None, drawn())]
    assert len({first, *others}) == 6


async def test_all_sizes_of_all_pictures_are_put_at_once_and_a_bad_one_fails_alone(blobs: Counted, pictures: Pictures) -> None:
    files = [drawn(size=(2000, 1000)), drawn()[:-200], drawn("PNG"), bomb(9_000, 9_000), drawn("PNG")]
    records, items = pictures.accept(await pictures.keep(sent(*files)), room=9)
    assert [item.status for item in items] == ["pending"] * 5
    blobs.asked.clear()
    made = await pictures.make(records)
    assert [(one.status, one.code) for one in made] == [
        ("ready", None),
        ("rejected", "format"),
        ("ready", None),
        ("rejected", "range"),
        ("ready", None),
    ]
    assert blobs.asked == [("get", 1)] * 5 + [("put", 9)]
    assert len({one.key for one in made if one.key}) == 3, "of the same file twice each has its own"
    assert (made[0].width, made[0].height, made[0].source) == (1600, 800, None)
    for key in (made[0].key, made[0].key_of("card"), made[0].key_of("thumb")):
        assert key.endswith(".webp") and await blobs.get(key) is not None
    assert await pictures.make(records) == made, "a job that is done again does the same"


async def test_there_is_room_for_so_many(pictures: Pictures) -> None:
    records, items = pictures.accept(await pictures.keep(sent(*[drawn("PNG")] * 3, b"no")), room=2)
    assert len(records) == 2
    assert [(item.id is not None, item.status, item.code) for item in items] == [
        (True, "pending", None),
        (True, "pending", None),
        (False, "rejected", "length"),
        (False, "rejected", "format"),
    ]


async def test_what_is_gone_is_rejected(pictures: Pictures) -> None:
    [made] = await pictures.make([PictureRecord("p", "", "pending", source="uploads/catalog/ab/cd")])
    assert (made.status, made.code) == ("rejected", "not_found")


def dies(*_: object) -> None:
    os._exit(1)


async def test_what_ends_its_reader_is_rejected_alone(blobs: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = ProcessPool("pictures", 1)
    pictures = Pictures("catalog", blobs, pool, lambda: Egress("catalog"), PictureSizes())
    first, second = pictures.accept(await pictures.keep(sent(drawn("PNG"), drawn("PNG"))), room=2)[0]
    monkeypatch.setattr(work, "read_picture", dies)
    [made] = await pictures.make([first])
    monkeypatch.undo()
    [other] = await pictures.make([second])
    await pool.close()
    assert (made.status, made.code, other.status) == ("rejected", "format", "ready")


# ── once nobody refers to them ───────────────────────────────────────────────────────────────────────────────


async def test_what_nobody_refers_to_is_swept_once_it_is_old(
    blobs: Counted, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "SWEPT_AT_ONCE", 3)
    old = [*(f"catalog/ab/{n}.webp" for n in range(7)), "uploads/catalog/ab/1", "uploads/catalog/ab/2"]
    others = ["reviews/ab/1.webp", "catalogue/1.webp", "uploads/reviews/ab/1"]
    young = ["catalog/ab/9.webp", "uploads/catalog/ab/9"]
    await blobs.put(dict.fromkeys((*old, *others, *young), b""))
    before = time.time() - timedelta(days=3).total_seconds()
    for key in (*old, *others):
        os.utime(tmp_path / key, (before, before))
    kept = {"catalog/ab/3.webp", "uploads/catalog/ab/2"}

    async def referred(keys: Sequence[str]) -> set[str]:
        assert set(keys) <= set(old), "it is asked for what is old and its own alone"
        return kept & set(keys)

    assert await pictures.sweep(referred) == 7
    left = {entry.key for entry in await blobs.list()}
    assert left == {*kept, *others, *young}
    assert await pictures.sweep(referred) == 0


def test_what_was_kept_before_there_were_keys_is_its_address(blobs: Counted, pictures: Pictures) -> None:
    assert pictures.url("catalog/ab/c.webp") == "/media/catalog/ab/c.webp"
    for kept in ("/media/catalog/ab/c.png", "https://cdn.example/catalog/ab/c.png"):
        assert pictures.url(kept) == kept
