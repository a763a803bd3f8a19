"""Lines of a file, whatever wrote it: compressed or not, in UTF-8, UTF-16 or what Windows writes. Nothing is held whole."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from msgspec import Struct

__all__ = ["MAX_LINE", "Line", "NotAProductFile", "Place", "Text", "look_at", "read_lines", "regular"]

#: As much as a request may send; what is longer is no row.
MAX_LINE = 1_048_576
_CHUNK = 1 << 20
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"


class NotAProductFile(Exception):
    """The file cannot be read as what it should be: why, and what to do next."""

    def __init__(self, cause: str, remedy: str = "give JSON Lines or a table as docs/reference/imports.md says") -> None:
        super().__init__(cause)
        self.remedy = remedy


class Text(Struct, frozen=True):
    """What a file is written in; ``encoding`` is empty for a workbook. ``size`` in bytes, as it lies on the disk."""

    path: Path
    size: int
    encoding: str
    gzipped: bool = False
    workbook: bool = False


class Place:
    """How far a file has been read: ``share`` of its bytes, as they lie on the disk; None before the first."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.file: BinaryIO | None = None

    @property
    def share(self) -> float | None:
        if self.file is None or self.file.closed or not self._size:
            return None
        return self.file.tell() / self._size or None


class Line(Struct, frozen=True, gc=False):
    """``text`` with its end; None: it is longer than a row may be, or not in the file's encoding, as ``problem`` says."""

    number: int
    text: str | None
    problem: str = ""


def regular(path: Path) -> bool:
    """Whether it is a file: a named pipe would wait for ever for who writes into it, a device never end."""
    return stat.S_ISREG(path.stat().st_mode)


def look_at(path: Path) -> Text:
    """:raises NotAProductFile: it cannot be read."""
    try:
        if not regular(path):
            raise NotAProductFile(f"{path} is not a file", "give a file, and not a folder or a pipe")
        size = path.stat().st_size
        with path.open("rb") as file:
            gzipped = file.read(2) == _GZIP
        with _opened(path, gzipped) as file:
            start = _some(file, 65_536)
            if start.startswith(_ZIP):
                return Text(path, size, "", workbook=True)
            encoding = next((name for bom, name in _BOMS if start.startswith(bom)), None) or _utf16(start)
        return Text(path, size, encoding or _eight_bits(path, gzipped), gzipped)
    except OSError as error:
        raise NotAProductFile(f"{path} cannot be read ({error.strerror or error})") from error


def read_lines(text: Text, place: Place) -> Iterator[Line]:
    """Every line with its number, and its end as the file has it. ``place`` tells meanwhile how far that is."""
    with text.path.open("rb") as raw, _unpacked(raw) if text.gzipped else contextlib.nullcontext(raw) as file:
        place.file = raw
        if text.encoding.startswith("utf-16"):
            # A half of a pair stands alone as U+FFFD: it spoils its row and no other.
            wide = io.TextIOWrapper(cast("io.BufferedReader", file), encoding=text.encoding, errors="replace", newline="")
            source: Iterator[bytes] = (line.encode() for line in iter(lambda: wide.readline(MAX_LINE + 1), ""))
            yield from _decoded(source, "utf-8")
        else:
            yield from _decoded(_pieces(file), "utf-8" if text.encoding == "utf-8-sig" else text.encoding)


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[Line]:
    """``pieces`` of at most a line; a line that is longer than a row may be comes in several."""
    number, whole = 0, True
    for piece in pieces:
        begins, whole = whole, piece.endswith((b"\n", b"\r"))
        if not begins:
            continue  # the rest of a line that is told already
        number += 1
        if number == 1:
            piece = piece.removeprefix(codecs.BOM_UTF8)  # noqa: PLW2901
        if not whole and len(piece) > MAX_LINE:
            yield Line(number, None, f"The line is longer than {MAX_LINE:,} bytes.")
            continue
        try:
            yield Line(number, piece.decode(encoding))
        except UnicodeDecodeError as error:
            yield Line(number, None, f"The line is not {encoding.upper()} (byte {error.start + 1} of it).")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    try:
        if _ends_in_returns(file):
            yield from _by_returns(file)
        while piece := file.readline(MAX_LINE + 1):
            yield piece
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield b"\xff\xff the file ends in the midst of what is compressed"  # a last row that is in no encoding


def _ends_in_returns(file: BinaryIO) -> bool:
    """Whether lines end as on the first Macintoshes, which some still write."""
    start = _some(file, 65_536)
    file.seek(0)
    return b"\r" in start and b"\n" not in start


def _by_returns(file: BinaryIO) -> Iterator[bytes]:
    rest = b""
    while chunk := file.read(_CHUNK):
        *lines, rest = (rest + chunk).split(b"\r")
        yield from (line + b"\r" for line in lines)
        if len(rest) > MAX_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest


def _opened(path: Path, gzipped: bool) -> BinaryIO:
    return _unpacked(path) if gzipped else path.open("rb")


def _unpacked(source: Path | BinaryIO) -> BinaryIO:
    return cast("BinaryIO", gzip.open(source, "rb"))


def _some(file: BinaryIO, size: int) -> bytes:
    """The beginning, as far as it can be read."""
    found = b""
    with contextlib.suppress(EOFError, zlib.error, gzip.BadGzipFile):
        while len(found) < size and (piece := file.read(512)):
            found += piece
    return found


def _utf16(start: bytes) -> str | None:
    """Without a mark, by the zeros that plain letters have in it."""
    zeros = start[1::2].count(0), start[::2].count(0)
    if max(zeros) * 4 < len(start) or len(start) < 4:
        return None
    return "utf-16-le" if zeros[0] > zeros[1] else "utf-16-be"


def _eight_bits(path: Path, gzipped: bool) -> str:
    """UTF-8, unless no line beyond ASCII is: a single bad byte is one bad row, and not another encoding."""
    good = bad = 0
    try:
        with _opened(path, gzipped) as file:
            while chunk := file.readlines(_CHUNK):
                whole = b"".join(chunk)
                if whole.isascii():
                    continue
                try:
                    whole.decode()
                    good += 1
                except UnicodeDecodeError:
                    for line in chunk:
                        fits = _is_utf8(line)
                        good += fits and not line.isascii()
                        bad += not fits
    except (EOFError, zlib.error, gzip.BadGzipFile):
        pass  # told by who reads the rows
    return "cp1252" if bad and not good else "utf-8"


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
