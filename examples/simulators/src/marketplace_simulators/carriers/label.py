"""A label as a PDF, written by hand: one page, one standard font, no compression."""

from __future__ import annotations

from marketplace_simulators.carriers.domain import Address, Shipment

__all__ = ["label"]

_TOP = 390
_LINE = 20


def label(shipment: Shipment) -> bytes:
    lines = [
        f"Simulated carrier - {shipment.service}",
        shipment.tracking_number,
        "",
        "From:",
        *_address(shipment.content.from_),
        "",
        "To:",
        *_address(shipment.content.to),
        "",
        f"{shipment.content.weight_g} g",
    ]
    text = b"".join(b"(%s) Tj 0 -%d Td\n" % (_escaped(line), _LINE) for line in lines)
    return _document(b"BT /F1 13 Tf 20 %d Td\n%sET" % (_TOP, text))


def _address(address: Address) -> list[str]:
    town = " ".join(part for part in (address.postal_code, address.city, address.country) if part)
    return [part for part in (address.name, address.line1, address.line2, town) if part]


def _escaped(text: str) -> bytes:
    """Latin letters as they are, others as a question mark."""
    raw = "".join(letter if letter.isprintable() else " " for letter in text).encode("cp1252", "replace")
    return raw.replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")


def _document(content: bytes) -> bytes:
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 298 420] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    document = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    offsets = []
    for number, content_of in enumerate(objects, 1):
        offsets.append(len(document))
        document += b"%d 0 obj\n%s\nendobj\n" % (number, content_of)
    start = len(document)
    document += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    document += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    document += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(document)
