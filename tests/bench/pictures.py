"""Pictures that people send: how often the storage is asked for one, and what of the processor one takes."""

from __future__ import annotations

import io
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import psutil
from figures import Bench, Line, figure
from PIL import Image, ImageOps

from marketplace_core._runtime.pools import ProcessPool
from marketplace_core.adapters.folder.blobs import FolderBlobs
from marketplace_core.http.egress import Egress
from marketplace_core.http.routing import Upload
from marketplace_core.pictures import Pictures, PictureSizes
from marketplace_core.pictures.reading import EFFORT

FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "eshop" / "Pics"
AT_ONCE = 10
SIZES = PictureSizes()


class Counted(FolderBlobs):
    """How often it was asked."""

    asked = 0

    async def put(self, items: Mapping[str, bytes | BinaryIO], content_type: str | None = None) -> None:
        self.asked += 1
        await super().put(items, content_type)

    async def get(self, key: str) -> bytes | None:
        self.asked += 1
        return await super().get(key)


@figure("pictures")
async def pictures(bench: Bench) -> list[Line]:
    """From files of a request to all sizes in the storage, ten a request, of the 101 of eshop; the floor is Pillow alone."""
    if not FOLDER.is_dir():
        return [Line(name="pictures", unit="", ours=[0.0], note=f"{FOLDER} is not there")]
    files = [path.read_bytes() for path in sorted(FOLDER.iterdir())]
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    pool = ProcessPool("pictures", 1)
    ours: list[float] = []
    floor: list[float] = []
    asked: list[float] = []
    try:
        for run in range(bench.runs + 1):
            blobs = Counted(bench.folder / f"pictures-{run}")
            worked = Pictures("bench", blobs, pool, lambda: Egress("bench"), SIZES)
            began = _processor(before)
            for at in range(0, len(files), AT_ONCE):
                await _sent(worked, files[at : at + AT_ONCE])
            drawn = _processor(before)
            for content in files:
                _alone(content)
            ended = _processor(before)
            if run:  # in the first one processes start, and Pillow is imported
                ours.append(len(files) / (drawn - began))
                floor.append(len(files) / (ended - drawn))
                asked.append(blobs.asked / len(files))
    finally:
        await pool.close()
    note = f"{len(files)} pictures, {AT_ONCE} a request, into a folder"
    return [
        Line(name="pictures in a second of the processor", unit="/s", ours=ours, floor=floor, at_least=0.8, note=note),
        Line(name="… times that the storage is asked for one", unit="", ours=asked, note=note),
    ]


async def _sent(worked: Pictures, contents: Sequence[bytes]) -> None:
    """What a request and its job do: kept as they came, read again, drawn, and kept in all sizes."""
    uploads = [
        Upload("files", f"{number}.webp", "image/webp", io.BytesIO(content), len(content))
        for number, content in enumerate(contents)
    ]
    records, _ = worked.accept(await worked.keep(uploads), len(uploads))
    made = await worked.make(records)
    if len(made) != len(contents) or any(record.status != "ready" for record in made):
        raise RuntimeError(f"not all are ready: {[record.code for record in made]}")


def _processor(others: Container[int]) -> float:
    """Seconds of this process and those that it has started since, threads included."""
    own = psutil.Process()
    every = [own, *(child for child in own.children(recursive=True) if child.pid not in others)]
    return sum(times.user + times.system for times in (each.cpu_times() for each in every))


def _alone(content: bytes) -> None:
    """The same sizes in the same way, by Pillow and nothing else."""
    with Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (SIZES.page, SIZES.page))
        drawn = ImageOps.exif_transpose(image)
        drawn = drawn.convert("RGBA" if drawn.has_transparency_data else "RGB")
        for number, edge in enumerate((SIZES.page, SIZES.card, SIZES.thumb)):
            if number == 0 or max(drawn.size) > edge:
                drawn.thumbnail((edge, edge), Image.Resampling.LANCZOS, reducing_gap=2.0)
                drawn.save(io.BytesIO(), "WEBP", quality=SIZES.quality, method=EFFORT)
