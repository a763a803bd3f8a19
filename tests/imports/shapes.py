"""Files in the shape of other shops' exports, written by us."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from html import escape

__all__ = ["GOOGLE", "MAPPED", "MAPPING", "SHOPIFY", "WOOCOMMERCE", "workbook"]

SHOPIFY = """\
Handle,Title,Body (HTML),Vendor,Product Category,Type,Tags,Published,Option1 Name,Option1 Value,Variant SKU,Variant Grams,\
Variant Inventory Tracker,Variant Inventory Qty,Variant Price,Variant Compare At Price,Variant Barcode,Image Src,Status
iron-pot,Iron pot,"<p>Of <b>iron</b>.</p><ul><li>heavy</li></ul>",Smith,Home > Pots,,"iron, black",true,Size,S,POT-S,1200,\
shopify,5,24.90,29.90,4006381333931,,active
iron-pot,,,,,,,,,L,POT-L,1900,shopify,-2,34.90,,,,
iron-pot,,,,,,,,,,,,,,,,,side.png,
gift-card,Gift card,,Smith,,,,true,Title,Default Title,,0,,0,25.00,25.00,,,draft
"""
WOOCOMMERCE = """\
ID,Type,SKU,Name,Published,Short description,Description,In stock?,Stock,Weight (kg),Regular price,Sale price,Categories,Tags,\
Images,Parent,Attribute 1 name,Attribute 1 value(s)
10,variable,HOODIE,Hoodie,1,,<p>Warm.</p>,1,,0.5,,,"Clothing > Hoodies, Sale",warm,,,Colour,"Red, Blue"
11,variation,HOODIE-RED,Hoodie - Red,1,,,1,4,0.5,45,42,,,,HOODIE,Colour,Red
12,variation,,Hoodie - Blue,1,,,1,,0.5,45,,,,,HOODIE,Colour,Blue
13,simple,BEANIE,Beanie,0,Of wool.,,1,7,0.2,20,,Clothing,,,,Material,Wool
14,grouped,SET,A set,1,,,1,,,,,,,,,,
"""
GOOGLE = """\
id\ttitle\tdescription\tlink\timage_link\tavailability\tprice\tsale_price\tbrand\tgtin\tproduct_type\titem_group_id\tcolor\tsize
TEE-R-S\tTee\tCotton.\thttps://a.example/t\t\tin_stock\t15.00 EUR\t12.00 EUR\tLoom\t4006381333931\tClothes > Tees\tTEE\tred\tS
TEE-R-M\tTee\tCotton.\thttps://a.example/t\t\tout_of_stock\t15.00 EUR\t\tLoom\t\tClothes > Tees\tTEE\tred\tM
CAP\tCap\t\thttps://a.example/c\t\tin stock\t9.00 EUR\t\tLoom\t\tClothes\t\tblue\t
"""
MAPPING = """\
html = ["description"]
decimal = ","
unit = "kg"
ditto = ["title", "category"]

[columns]
"Artikel" = "product"
"Nummer" = "sku"
"Bezeichnung" = "title"
"Warengruppe" = "category"
"Preis" = "price"
"Bestand" = "stock"
"Gewicht" = "weight_g"
"Größe" = "option.size"

[constants]
seller = "Topf und Deckel"
currency = "EUR"
"""
MAPPED = """\
Artikel;Nummer;Bezeichnung;Warengruppe;Preis;Bestand;Gewicht;Größe
topf;T-1;Topf;Küche > Töpfe;1.024,90;3;2,5;S
topf;T-2;;;10,50;4;1.5;L
"""

_SHEET = (
    '<?xml version="1.0"?><worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}'
    "</sheetData></worksheet>"
)
_PARTS = {
    "[Content_Types].xml": '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/></Types>',
    "_rels/.rels": '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<?xml version="1.0"?><workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" '
    'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="a" sheetId="1" '
    'r:id="r1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<?xml version="1.0"?><Relationships '
    'xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="r1" '
    'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/>'
    "</Relationships>",
}


def workbook(rows: Sequence[Sequence[str | float]]) -> bytes:
    """The smallest file that is a workbook with these cells."""
    lines = "".join(f"<row>{''.join(_cell(value) for value in row)}</row>" for row in rows)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in {**_PARTS, "xl/worksheets/sheet1.xml": _SHEET.format(lines)}.items():
            archive.writestr(name, content)
    return out.getvalue()


def _cell(value: str | float) -> str:
    if isinstance(value, str):
        return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f"<c><v>{value}</v></c>"
