"""Where people may be sent back to."""

from __future__ import annotations

import pytest

from marketplace_core.origins import Origins

LISTED = ("https://shop.example", "https://other.example:8443", "nonsense")


@pytest.mark.parametrize(
    ("url", "anywhere", "listed", "near"),
    [
        ("https://shop.example/return?a=b#c", True, True, True),
        ("HTTPS://Shop.Example:443/return", True, True, True),
        ("https://other.example:8443", True, True, True),
        ("https://other.example/", True, False, True),
        ("https://shop.example.evil.example/", True, False, True),
        ("http://shop.example/return", False, False, False),
        ("http://localhost:3000/return", False, False, True),
        ("http://127.0.0.1/", False, False, True),
        ("http://[::1]:8080/", False, False, True),
        ("http://127.0.0.1.evil.example/", False, False, False),
        ("javascript:alert(1)", False, False, False),
        ("data:text/html,x", False, False, False),
        ("//shop.example/return", False, False, False),
        ("https:/shop.example", False, False, False),
        ("https://shop.example@evil.example/", False, False, False),
        ("https://evil.example\\@shop.example/", False, False, False),
        ("https://shop.example/ a", False, False, False),
        ("https://shop.example/\r\nSet-Cookie:a", False, False, False),
        ("https://shop.example:x/", False, False, False),
        ("https://[::1", False, False, False),
        ("", False, False, False),
    ],
)
def test_where_people_may_be_sent(url: str, anywhere: bool, listed: bool, near: bool) -> None:
    assert (Origins().problem(url) is None) == anywhere
    assert (Origins(LISTED).problem(url) is None) == listed
    assert (Origins(loopback=True).problem(url) is None) == near
