"""Sessions of browsers, for deployments that have tokens alone: signed cookies, and how often a token may be guessed.

A cookie is ``EXPIRY.SIGNATURE``: seconds since the epoch, and an HMAC of them whose key is the digest of the token that
was entered. So nothing is kept here, a restart ends no session, and removing a token ends those that it opened.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Sequence

COOKIE = "sergas_session"
LASTS_S = 12 * 3600
ATTEMPTS = 5
ATTEMPTS_S = 60.0
CLIENTS = 10_000  # of which wrong attempts are remembered
_ABOUT = b"sergas session "


def issue(token_digest: bytes, now_s: float) -> str:
    """Return the cookie of a session that begins now."""
    expiry = str(int(now_s) + LASTS_S)
    return f"{expiry}.{_signature(token_digest, expiry)}"


def is_valid(cookie: str, token_digests: Sequence[bytes], now_s: float) -> bool:
    """Whether a cookie was issued for one of the tokens and has not expired."""
    expiry, _, signature = cookie.partition(".")
    if not (expiry.isascii() and expiry.isdigit() and len(expiry) <= 12 and signature.isascii()):
        return False
    matches = [hmac.compare_digest(signature, _signature(digest, expiry)) for digest in token_digests]
    return any(matches) and now_s < int(expiry) <= now_s + LASTS_S


def _signature(token_digest: bytes, expiry: str) -> str:
    return hmac.new(token_digest, _ABOUT + expiry.encode(), hashlib.sha256).hexdigest()


class Attempts:
    """Counts wrong tokens by the address of the client: at most `ATTEMPTS` in `ATTEMPTS_S` seconds."""

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, list[float]] = OrderedDict()

    def wait_s(self, client: str, now_s: float) -> float:
        """Return for how long ``client`` may not try again; 0 when it may.

        Args:
            now_s: on the monotonic clock.
        """
        recent = [at_s for at_s in self._wrong.get(client, ()) if now_s - at_s < ATTEMPTS_S]
        return recent[-ATTEMPTS] + ATTEMPTS_S - now_s if len(recent) >= ATTEMPTS else 0.0

    def wrong(self, client: str, now_s: float) -> None:
        """Note a wrong token."""
        self._wrong[client] = [*self._wrong.get(client, ()), now_s][-ATTEMPTS:]
        self._wrong.move_to_end(client)
        if len(self._wrong) > CLIENTS:
            self._wrong.popitem(last=False)
