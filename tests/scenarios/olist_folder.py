"""A small invented folder of the Olist data set, and what its import tells of it."""

from __future__ import annotations

from pathlib import Path

from marketplace_olist.history import OlistReport

__all__ = ["HEADERS", "WHOLE", "counts", "folder"]

HEADERS = {
    "sellers": "seller_id,seller_zip_code_prefix,seller_city,seller_state",
    "products": "product_id,product_category_name,product_weight_g,product_length_cm,product_height_cm,product_width_cm",
    "customers": "customer_id,customer_unique_id,customer_zip_code_prefix,customer_city,customer_state",
    "orders": "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,order_delivered_carrier_date,"
    "order_delivered_customer_date,order_estimated_delivery_date",
    "order_items": "order_id,order_item_id,product_id,seller_id,shipping_limit_date,price,freight_value",
    "order_payments": "order_id,payment_sequential,payment_type,payment_installments,payment_value",
    "order_reviews": "review_id,order_id,review_score,review_comment_title,review_comment_message,review_creation_date",
}
#: One order of every status, of four people; the tea pot is sold by two sellers, the spoon by none.
ROWS = {
    "sellers": ["kettle,1000,recife,PE", "lamp,2000,natal,RN"],
    "products": ["pot,bules,900,20,15,15", "lantern,luzes,400,,,", "spoon,,30,20,2,3"],
    "customers": [
        "c1,ana,1234,recife,PE",
        "c2,ana,1234,recife,PE",
        "c3,bia,50000,olinda,PE",
        "c4,caio,60000,fortaleza,CE",
        "c5,davi,70000,brasilia,DF",
        "c6,davi,70000,brasilia,DF",
    ],
    "orders": [
        "o1,c1,delivered,2017-01-02 10:00:00,2017-01-02 11:00:00,2017-01-03 09:00:00,2017-01-08 12:00:00,2017-01-20 00:00:00",
        "o2,c2,shipped,2017-02-02 10:00:00,2017-02-02 11:00:00,2017-02-03 09:00:00,,2017-02-20 00:00:00",
        "o3,c3,processing,2017-03-02 10:00:00,2017-03-02 11:00:00,,,2017-03-20 00:00:00",
        "o4,c4,canceled,2017-04-02 10:00:00,2017-04-02 11:00:00,,,2017-04-20 00:00:00",
        "o5,c5,unavailable,2017-05-02 10:00:00,2017-05-02 11:00:00,,,2017-05-20 00:00:00",
        "o6,c6,created,2017-06-02 10:00:00,,,,2017-06-20 00:00:00",
    ],
    "order_items": [
        "o1,1,pot,kettle,2017-01-05 00:00:00,100.5,10.25",
        "o1,2,pot,kettle,2017-01-05 00:00:00,100.5,10.25",
        "o1,3,lantern,lamp,2017-01-05 00:00:00,40,5",
        "o2,1,pot,lamp,2017-02-05 00:00:00,90,8",
        "o3,1,lantern,lamp,2017-03-05 00:00:00,41,5",
        "o4,1,lantern,lamp,2017-04-05 00:00:00,42,5",
    ],
    "order_payments": [
        "o1,2,voucher,1,66.5",
        "o1,1,credit_card,3,200.0",
        "o2,1,boleto,1,98.04",
        "o3,1,credit_card,1,46.06",
        "o4,1,credit_card,1,47",
        "o5,1,credit_card,1,12",
        "elsewhere,1,credit_card,1,free",
    ],
    "order_reviews": ['r1,o1,5,,"Boa, muito boa.",2017-01-10 00:00:00\n"r2","o2",4,,,2017-02-09 00:00:00'],
}


def folder(path: Path, **more: list[str]) -> Path:
    """The rows above, with ``more`` after them, by file."""
    for name, header in HEADERS.items():
        rows = [*ROWS[name], *more.get(name, [])]
        (path / f"olist_{name}_dataset.csv").write_text("\n".join([header, *rows]) + "\n")
    return path


def counts(report: OlistReport) -> dict[str, tuple[int, ...]]:
    names = ("sellers", "products", "customers", "orders", "items", "payments", "reviews")
    found = {name: getattr(report, name) for name in names}
    return {name: (one.read, one.written, one.unchanged, one.rejected, one.skipped) for name, one in found.items()}


WHOLE = {
    "sellers": (2, 2, 0, 0, 0),
    "products": (3, 3, 0, 0, 0),
    "customers": (4, 4, 0, 0, 0),
    "orders": (6, 6, 0, 0, 0),
    "items": (6, 6, 0, 0, 0),
    "payments": (7, 6, 0, 0, 1),
    "reviews": (2, 0, 0, 0, 2),
}
