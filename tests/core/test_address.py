"""Addresses that runs are sent to."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_sergas.core.address import split, text
from pytest_sergas.core.kinds import NotAllowed

pytestmark = pytest.mark.unit

ALLOWED = "allowed: http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:9091"


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        pytest.param("ftp://gateway", f"not a URL of a gateway; {ALLOWED}", id="scheme"),
        pytest.param("http://", f"not a URL of a gateway; {ALLOWED}", id="no host"),
        pytest.param("http://ga teway", f"not a URL of a gateway; {ALLOWED}", id="blank"),
        pytest.param("http://a\nb", f"not a URL of a gateway; {ALLOWED}", id="newline"),
        pytest.param("gateway:0", f"not a URL of a gateway; {ALLOWED}", id="port 0"),
        pytest.param("gateway:99999", f"not a URL; {ALLOWED}", id="port too large"),
        pytest.param("gateway:http", f"not a URL; {ALLOWED}", id="port is no number"),
        pytest.param("http://[::1", f"not a URL; {ALLOWED}", id="bracket"),
        pytest.param("http://a..b", f"not a URL; {ALLOWED}", id="empty part of a name"),
        pytest.param("http://u:p@ss@gateway:http", f"not a URL; {ALLOWED}", id="hidden"),
        pytest.param(
            "http://gw/?token=hunter2",
            f"a query or a fragment is of no use here; {ALLOWED}",
            id="query",
        ),
    ],
)
def test_malformed_address_is_not_allowed(address: str, fault: str) -> None:
    with pytest.raises(NotAllowed) as raised:
        split(address)

    assert str(raised.value) == fault


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("gateway", "http://gateway"),
        ("gateway:9091", "http://gateway:9091"),
        (" https://gateway/ ", "https://gateway"),
        ("HTTP://Gateway:80/push/", "http://gateway:80/push"),
        ("[::1]:9091", "http://[::1]:9091"),
        ("http://gäteway/ü", "http://xn--gteway-bua/%C3%BC"),
        ("ci:pw@gateway:9091", "http://gateway:9091"),
    ],
)
def test_address_is_read_as(address: str, url: str) -> None:
    assert split(text(address)).url == url


def test_credentials_are_taken_out_of_the_url_and_out_of_the_repr() -> None:
    address = split("http://ci:p%40ss@gateway:9091")

    assert (address.url, address.username, address.password) == ("http://gateway:9091", "ci", "p@ss")
    assert repr(address) == "Address(url='http://gateway:9091')"


@given(st.text())
@example("\u00af")  # the host's own encoding makes a blank of it
def test_any_text_is_taken_apart_or_not_allowed(written: str) -> None:
    try:
        address = split(written)
    except NotAllowed:
        return

    assert address.url.startswith(("http://", "https://"))
    assert split(address.url).url == address.url
