"""Where something is sent: an address as prometheus_client reads it, ``gateway:9091`` being ``http://gateway:9091``."""

from __future__ import annotations

import re
from dataclasses import field
from urllib.parse import quote, unquote, urlsplit

from pytest_sergas.core import kinds
from pytest_sergas.core.frozen import dataclass

_ALLOWED = "allowed: http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:9091"
_BLANK = r"[\x00-\x20\x7f]"


@dataclass(frozen=True, slots=True)
class Address:
    """An address taken apart.

    Attributes:
        url: without credentials and without a slash at the end.
        username, password: what stood before the ``@``, or "".
    """

    url: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)


def split(address: str) -> Address:
    """Take an address apart.

    Raises:
        kinds.NotAllowed: nothing can be sent there; the text shows nothing of the address.
    """
    written = address.strip()
    try:
        parts = urlsplit(written if "://" in written else f"http://{written}")
        host, port = parts.hostname or "", parts.port
        host = f"[{host}]" if ":" in host else host.encode("idna").decode()
    except ValueError:  # among them UnicodeError, for a host that can have no such name
        raise kinds.NotAllowed(f"not a URL; {_ALLOWED}") from None
    if parts.scheme not in {"http", "https"} or not host or port == 0 or re.search(_BLANK, written + host):
        raise kinds.NotAllowed(f"not a URL of a gateway; {_ALLOWED}")
    if "?" in written or "#" in written:
        raise kinds.NotAllowed(f"a query or a fragment is of no use here; {_ALLOWED}")
    path = quote(parts.path.rstrip("/"), safe="/%:@!$&'()*+,;=~")
    place = f"{parts.scheme}://{host}{'' if port is None else f':{port}'}{path}"
    return Address(place, unquote(parts.username or ""), unquote(parts.password or ""))


def is_url(value: str) -> bool:
    """Whether ``value``, which may also be the name of a file, is meant as an address."""
    return "://" in value


def file_or_text(value: object) -> str:
    """Return ``value`` when it is the name of a file, or an address with its scheme.

    Raises:
        kinds.NotAllowed: it is neither.
    """
    written = kinds.text(value)
    return text(written) if is_url(written) else written


def text(value: object) -> str:
    """Return ``value`` when it is an address as text.

    Raises:
        kinds.NotAllowed: it is none.
    """
    written = kinds.text(value)
    split(written)
    return written
