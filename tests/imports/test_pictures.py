"""A picture is looked at whole, and costs no more than it may."""

from __future__ import annotations

import io
import json
import os
import struct
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from PIL import Image

from marketplace_core.capabilities.catalog import Catalog
from marketplace_core.capabilities.sellers import Sellers
from marketplace_core.cli._imports import products
from marketplace_core.cli._imports.pictures import find_picture
from marketplace_core.cli._imports.text import NotAProductFile, look_at
from marketplace_core.pictures import BadPicture, Picture, PictureSizes
from marketplace_core.testing.marketplace import Marketplace


def _png(width: int, height: int) -> bytes:
    """The head of a picture of that size, which is all that has to be read of a bomb."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")


def _jpeg(**options: object) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "red").save(out, "JPEG", **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (_png(16_000, 16_000), "range"),
        (_png(9_000, 9_000), "range"),
        (_png(100, 100), "format"),
        (_jpeg()[:-200], "format"),
        (b"no picture", "format"),
        (b"", "format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "format"),
        (b"x" * (11 << 20), "range"),
        (None, "not_found"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, content: bytes | None, code: str) -> None:
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(BadPicture) as error:
        find_picture(tmp_path, "a.png")
    assert (error.value.code, "a.png" in error.value.detail) == (code, True)


@pytest.mark.parametrize("name", ["pipe", "folder", "../a.png", "/etc/passwd", "a\0b", "/dev/zero"])
def test_what_is_no_file(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadPicture) as error:
        find_picture(tmp_path, name)
    assert error.value.code == "not_found"


def test_a_pipe_is_no_product_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(NotAProductFile, match="is not a file"):
        look_at(tmp_path / "pipe.csv")


def test_a_photograph_that_lies_on_its_side_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.jpg").write_bytes(_jpeg(exif=exif))
    (tmp_path / "b.jpg").write_bytes(_jpeg())
    turned = find_picture(tmp_path, "a.jpg").renditions["page"]
    plain = find_picture(tmp_path, "b.jpg").renditions["page"]
    assert (turned.width, turned.height, plain.width) == (30, 40, 40)
    with Image.open(io.BytesIO(turned.content)) as image:
        assert (image.format, image.size, dict(image.getexif())) == ("WEBP", (30, 40), {})
    assert find_picture(tmp_path, "a.jpg").renditions["page"] == turned


async def test_a_picture_is_drawn_once_for_all_variants_that_name_it(
    tmp_path: Path, marketplace: Callable[..., Awaitable[Marketplace]], monkeypatch: pytest.MonkeyPatch
) -> None:
    market = await marketplace(["catalog", "sellers"], worker=False)
    (tmp_path / "a.jpg").write_bytes(_jpeg())
    common = {
        "product": "pot",
        "title": "Pot",
        "seller": "Ann",
        "price": "9.95",
        "currency": "EUR",
        "stock": 1,
        "image": "a.jpg",
    }
    lines = [json.dumps({**common, "sku": size, "image": "a.jpg", "options": {"size": size}}) for size in "SML"]
    lines.append(json.dumps({**common, "sku": "XL", "options": {"size": "XL"}, "image": "none.jpg"}))
    (tmp_path / "products.jsonl").write_text("\n".join(lines))
    looked_at: list[str] = []

    def counted(folder: Path, name: str, sizes: PictureSizes | None) -> Picture:
        looked_at.append(name)
        return find_picture(folder, name, sizes)

    monkeypatch.setattr(products, "find_picture", counted)
    ports = market.port(Catalog), market.port(Sellers), market.process.blobs
    report = await products.import_products(tmp_path / "products.jsonl", *ports)
    assert (report.variants.written, [(row.line, row.code) for row in report.rejected]) == (3, [(4, "not_found")])
    assert sorted(looked_at) == ["a.jpg", "none.jpg"]
