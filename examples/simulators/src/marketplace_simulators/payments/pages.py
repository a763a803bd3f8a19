"""The page on which the holder of a card answers."""

from __future__ import annotations

from html import escape
from urllib.parse import quote, urlsplit, urlunsplit

from marketplace_simulators.payments.domain import Payment

__all__ = ["challenge", "return_address", "settled"]

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Simulated 3-D Secure</title>
<style>body{{font:16px/1.5 sans-serif;max-width:28rem;margin:4rem auto;padding:0 1rem}}
button{{font:inherit;padding:.5rem 1rem}}</style>
<h1>Simulated 3-D Secure</h1>
<p>Order <code>{reference}</code>, {amount} {currency} (minor units).</p>
{content}
</html>
"""

_FORM = """<form method="post">
<button name="outcome" value="succeed">Succeed</button>
<button name="outcome" value="fail">Fail</button>
</form>"""


def return_address(payment: Payment) -> str | None:
    """The return URL with ``order_id`` behind whatever query it has."""
    if payment.return_url is None:
        return None
    parts = urlsplit(payment.return_url)
    added = f"order_id={quote(payment.reference, safe='')}"
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def challenge(payment: Payment) -> str:
    return _render(payment, _FORM)


def settled(payment: Payment) -> str:
    address = return_address(payment)
    link = "" if address is None else f' <a href="{escape(address)}">Back to the shop</a>'
    return _render(payment, f"<p>This payment is {payment.status}.{link}</p>")


def _render(payment: Payment, content: str) -> str:
    return _PAGE.format(reference=escape(payment.reference), amount=payment.amount, currency=payment.currency, content=content)
