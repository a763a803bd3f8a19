"""Files as sellers have them, each with what is wrong in it, and the report that a seller would want."""

from __future__ import annotations

import gzip
import json
from typing import Any

from msgspec import Struct

__all__ = ["DIRTY", "Dirty"]

HEAD = "product,sku,title,seller,price,currency,stock"


class Dirty(Struct, kw_only=True):
    """``written``: variants; ``rejected``: line and code; ``refused``: nothing of it is read, and what is said of that.

    In a content in text ``SHOP`` is a shop of the file's own.
    """

    content: str | bytes
    name: str = "products.csv"
    written: int = 0
    unchanged: int = 0
    rejected: tuple[tuple[int, str], ...] = ()
    refused: str = ""
    recognised: str = ""
    form: str | None = None
    constants: dict[str, str] = {}
    products: int | None = None
    titles: tuple[str, ...] = ()
    detail: str = ""


def rows(*lines: str, head: str = HEAD, end: str = "\n") -> str:
    return end.join([head, *lines, ""])


def row(n: int = 1, **changes: Any) -> str:
    said = {
        "product": f"p{n}",
        "sku": f"S{n}",
        "title": f"Pot {n}",
        "seller": "SHOP",
        "price": "9.95",
        "currency": "EUR",
        "stock": 3,
    }
    return ",".join(str(value) for value in (said | changes).values())


def of(seller: str, many: int = 1) -> str:
    return rows(*(row(n, seller=seller, title=f"Pot {n * 7919 % 1009}") for n in range(1, many + 1)))


def jsonl(*lines: Any) -> str:
    return "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)


def said(n: int = 1, **changes: Any) -> dict[str, Any]:
    return {
        "product": f"p{n}",
        "sku": f"S{n}",
        "title": f"Pot {n}",
        "seller": "SHOP",
        "price": "9.95",
        "currency": "EUR",
        "stock": 3,
        **changes,
    }


GOOD = row(1)
DEEP: Any = "leaf"
for _ in range(900):
    DEEP = {"a": DEEP}
CAFE = rows(row(1, title="Café crème")).replace("SHOP", "Boîte à café")
SEMICOLONS = rows(GOOD, row(2)).replace(",", ";")
J = {"name": "products.jsonl"}

DIRTY: dict[str, Dirty] = {
    # ── how it is written ────────────────────────────────────────────────────────────────────────────────────
    "a mark of UTF-8": Dirty(content=b"\xef\xbb\xbf" + rows(GOOD).encode(), written=1, recognised="UTF-8 with a mark"),
    "UTF-16 little": Dirty(content=rows(GOOD, row(2)).encode("utf-16"), written=2, recognised="UTF-16"),
    "UTF-16 big": Dirty(content=b"\xfe\xff" + of("Big").encode("utf-16-be"), written=1, recognised="UTF-16"),
    "UTF-16 without a mark": Dirty(content=of("Little").encode("utf-16-le"), written=1, recognised="UTF-16-LE"),
    "Windows": Dirty(content=CAFE.encode("cp1252"), written=1, titles=("Café crème",), recognised="Windows-1252"),
    "one byte that is not UTF-8": Dirty(
        content=rows(row(1, title="Café"), row(2, title="Bad"), row(3, title="Thé")).encode().replace(b"Bad", b"B\xe9d"),
        written=2,
        rejected=((3, "malformed"),),
    ),
    "semicolons": Dirty(content=SEMICOLONS, written=2, recognised="with semicolons"),
    "tabs": Dirty(content=SEMICOLONS.replace(";", "\t"), name="products.tsv", written=2, recognised="with tabs"),
    "returns of Windows": Dirty(content=rows(GOOD, row(2), end="\r\n"), written=2),
    "returns of a Macintosh": Dirty(content=rows(GOOD, row(2), end="\r"), written=2),
    "no end of the last line": Dirty(content=rows(GOOD, row(2)).rstrip("\n"), written=2),
    "compressed": Dirty(content=gzip.compress(of("Gzip").encode()), name="products.csv.gz", written=1, recognised="gzip"),
    "compressed lines of JSON": Dirty(
        content=gzip.compress(jsonl(said(seller="Gzip of JSON")).encode()), name="products.jsonl.gz", written=1
    ),
    "compressed and cut": Dirty(
        content=gzip.compress(of("Cut", 300).encode())[:-30],
        name="products.csv.gz",
        written=-1,
        rejected=((-1, "malformed"),),
    ),
    "another ending": Dirty(content=rows(GOOD), name="products.dat", written=1),
    "empty": Dirty(content="", refused="is empty"),
    "only blanks": Dirty(content="\n \n\n", refused="is empty"),
    "only a header": Dirty(content=rows()),
    "a picture": Dirty(content=b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", refused=""),
    # ── headers ──────────────────────────────────────────────────────────────────────────────────────────────
    "capitals and blanks in the header": Dirty(
        content=rows(GOOD, head=" Product ,SKU,Title,Seller,PRICE,Currency,Stock "), written=1
    ),
    "quoted headers": Dirty(content=rows(GOOD, head=",".join(f'"{name}"' for name in HEAD.split(","))), written=1),
    "a column without a name": Dirty(content=rows(GOOD + ",x", head=HEAD + ","), written=1),
    "a column that no product has": Dirty(content=rows(GOOD, head=HEAD + ",colour"), refused="a column 'colour'"),
    "a column is missing": Dirty(content="product,sku,title\n", refused="it has the columns product, sku, title"),
    "no seller": Dirty(
        content="product,sku,title,price,currency,stock\np,s,Pot,1,EUR,1\n", refused="lacks the column 'seller'"
    ),
    "the seller by option": Dirty(
        content="product,sku,title,price,currency,stock\np,s,Pot,1,EUR,1\n", constants={"seller": "By option"}, written=1
    ),
    # ── rows and cells ───────────────────────────────────────────────────────────────────────────────────────
    "an open quote": Dirty(
        content=rows(GOOD, 'p2,S2,"Pot 2,SHOP,9.95,EUR,3', row(3), row(4)), written=3, rejected=((3, "malformed"),)
    ),
    "an open quote, and one that is closed": Dirty(
        content=rows('p1,S1,"Pot,SHOP,9.95,EUR,3', 'p2,S2,"Pot, large",SHOP,9.95,EUR,3', row(3)),
        written=2,
        rejected=((2, "malformed"),),
    ),
    "an open quote at the end": Dirty(content=rows(GOOD, 'p2,"S2').rstrip(), written=1, rejected=((3, "malformed"),)),
    "a title of two lines": Dirty(content=rows('p1,S1,"Pot\nof iron",SHOP,9.95,EUR,3', row(2)), written=2),
    "quotes within": Dirty(content=rows('p1,S1,"Pot, 5"" wide",SHOP,9.95,EUR,3'), written=1, titles=('Pot, 5" wide',)),
    "an inch that is no quote": Dirty(content=rows(row(1, title='Nail 5" long')), written=1, titles=('Nail 5" long',)),
    "more cells than headers": Dirty(content=rows(GOOD + ",x", row(2)), written=1, rejected=((2, "unknown_field"),)),
    "empty cells beyond the header": Dirty(content=rows(GOOD + ",,,", row(2)), written=2),
    "fewer cells than headers": Dirty(content=rows("p1,S1,Pot", row(2)), written=1, rejected=((2, "required"),)),
    "empty lines": Dirty(content=rows(GOOD, "", ",,,,,,", "   ", row(2)), written=2),
    "a cell of 200,000 characters": Dirty(
        content=rows(GOOD, row(2, title="x" * 200_000), row(3)), written=2, rejected=((3, "length"),)
    ),
    "a line of two million": Dirty(
        content=rows(GOOD, row(2, title="x" * 2_000_000), row(3)), written=2, rejected=((3, "malformed"),)
    ),
    "a zero byte": Dirty(content=rows(GOOD, row(2, title="P\0t")), written=1, rejected=((3, "format"),)),
    "blanks around": Dirty(content=rows("  p1 , S1 ,  Pot , SHOP , 9.95 , EUR , 3 "), written=1, titles=("Pot",)),
    # ── what is said ─────────────────────────────────────────────────────────────────────────────────────────
    "a comma in the price": Dirty(
        content=SEMICOLONS.replace("9.95;EUR;3\np2", "10,50;EUR;3\np2"),
        written=1,
        rejected=((2, "range"),),
        detail="decimal = ','",
    ),
    "prices that are none": Dirty(
        content=rows(
            *(row(n, price=p) for n, p in enumerate(("0", "-1", "ten", "NaN", "Infinity", "1.999", "1e30", ""))), row(9)
        ),
        written=1,
        rejected=(*((n, "range") for n in range(2, 9)), (9, "required")),
    ),
    "the highest price, and one above it": Dirty(
        content=rows(row(1, price="90071992547409.91"), row(2, price="90071992547409.92"), row(3, price=9007199254740991)),
        written=1,
        rejected=((3, "range"), (4, "range")),
    ),
    "the highest price without decimals": Dirty(
        content=rows(row(1, price=2**53 - 1, currency="JPY"), row(2, price=2**53, currency="JPY")),
        written=1,
        rejected=((3, "range"),),
    ),
    "a price of a million digits": Dirty(
        content=jsonl(said(1, price="1e999999"), '{"price":1e999999}', said(2)),
        **J,
        written=1,
        rejected=((1, "range"), (2, "range")),
    ),
    "a price of a million digits in a table": Dirty(
        content=rows(row(1, price="1e999999"), row(2)), written=1, rejected=((2, "range"),)
    ),
    "stocks that are none": Dirty(
        content=rows(*(row(n, stock=s) for n, s in enumerate(("-1", "many", "1.5", "99999999999999999999"))), row(9)),
        written=1,
        rejected=((2, "range"), (3, "type"), (4, "type"), (5, "range")),
    ),
    "currencies that are none": Dirty(
        content=rows(row(1, currency="euro"), row(2, currency="€"), row(3)), written=1, rejected=((2, "format"), (3, "format"))
    ),
    "a seller of blanks": Dirty(
        content=jsonl(said(1, seller="   "), said(2, seller="\u3000"), said(3)),
        **J,
        written=1,
        rejected=((1, "length"), (2, "length")),
    ),
    "a title of blanks": Dirty(content=jsonl(said(1, title=" \t "), said(2)), **J, written=1, rejected=((1, "length"),)),
    "a category of a thousand characters": Dirty(
        content=jsonl(said(1, category="壺" * 1000), said(2, category="Pots")), **J, written=1, rejected=((1, "length"),)
    ),
    "a category of 500 levels": Dirty(
        content=jsonl(said(1, category=" > ".join("ABCDE"[n % 5] for n in range(500))), said(2)),
        **J,
        written=1,
        rejected=((1, "length"),),
    ),
    "attributes 900 deep": Dirty(content=jsonl(said(1, attributes=DEEP), said(2)), **J, written=1, rejected=((1, "length"),)),
    "attributes of a book": Dirty(
        content=jsonl(said(1, attributes={"text": "x" * 70_000}), said(2)), **J, written=1, rejected=((1, "length"),)
    ),
    "a number of 1e300": Dirty(
        content=jsonl(said(1, attributes={"n": 1e300}), said(2)), **J, written=1, rejected=((1, "range"),)
    ),
    "nothing said by null": Dirty(
        content=jsonl(said(1, description=None, category=None, options=None, image=None)), **J, written=1
    ),
    "lines that are no JSON": Dirty(
        content=jsonl("{", said(1), '"text"', "[1]", "{}", said(2)),
        **J,
        written=2,
        rejected=((1, "malformed"), (3, "type"), (4, "type"), (5, "required")),
    ),
    "twenty-one options": Dirty(
        content=jsonl(said(1, options={str(n): "x" for n in range(21)}), said(2)), **J, written=1, rejected=((1, "length"),)
    ),
    "an unknown field": Dirty(content=jsonl(said(1, colour="red"), said(2)), **J, written=1, rejected=((1, "unknown_field"),)),
    "a status that is none": Dirty(
        content=rows(GOOD + ",sold", row(2) + ",draft", head=HEAD + ",status"), written=1, rejected=((2, "unknown_value"),)
    ),
    "a reduction that is none": Dirty(
        content=rows(GOOD + ",5", row(2) + ",12", head=HEAD + ",compare_at"), written=1, rejected=((2, "range"),)
    ),
    # ── rows together ────────────────────────────────────────────────────────────────────────────────────────
    "a row twice": Dirty(content=rows(GOOD, GOOD, row(2)), written=2, rejected=((3, "duplicate"),)),
    "the same options twice": Dirty(content=rows(row(1), row(1, sku="S2"), row(3)), written=2, rejected=((3, "duplicate"),)),
    "two currencies of a product": Dirty(
        content=rows(row(1) + ",s", row(1, sku="S2", currency="USD") + ",m", head=HEAD + ",option.size"),
        written=1,
        rejected=((3, "unknown_value"),),
    ),
    "201 variants": Dirty(
        content=rows(*(row(1, sku=f"S{n}") + f",{n}" for n in range(201)), head=HEAD + ",option.n"),
        written=200,
        rejected=((202, "length"),),
    ),
    "shops in other letters": Dirty(
        content=rows(row(1, seller="SHOP a") + ",s", row(1, sku="S2", seller="SHOP A") + ",m", head=HEAD + ",option.size"),
        written=2,
        products=1,
    ),
    "rows of a product apart": Dirty(
        content=rows(row(1) + ",s", row(2) + ",s", row(1, sku="S3") + ",m", head=HEAD + ",option.size"), written=3, products=2
    ),
    "a picture that is not there": Dirty(
        content=rows(GOOD + ",no.png", row(2) + ",", head=HEAD + ",image"), written=1, rejected=((2, "not_found"),)
    ),
    "a picture elsewhere": Dirty(
        content=rows(GOOD + ",/etc/passwd", row(2) + ",../x.png", head=HEAD + ",image"),
        rejected=((2, "not_found"), (3, "not_found")),
    ),
    "nothing but bad rows": Dirty(content=rows(row(1, price=0), row(2, stock="x")), rejected=((2, "range"), (3, "type"))),
}
