"""Who may ask: users with a password (HTTP Basic, RFC 7617) and bearer tokens (RFC 6750).

A bcrypt check costs some 50 ms of a CPU. So what was verified is remembered, bounded, and what was not is checked on
one thread beside the event loop, one at a time, with a bounded queue: guessing is slow, and nobody else waits for it.
What is remembered is the triple of name, hash and digest of the password, compared part by part: joined into
one text, two triples can be the same (CVE-2022-46146). A reload goes on with what is remembered, and with the queue:
users who were known get in at once, also under a flood of wrong passwords; one whose hash is another one, of the same
password, is checked whatever waits.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import bcrypt

from pytest_sergas.sidecar import session

CACHE_SIZE = 256
QUEUE_SIZE = 16
_PASSWORD_LIMIT_BYTES = 72  # bcrypt reads no further
# Checked for names that nobody has, so that they take as long as the others. No password has it.
_NOBODY = "$2b$10$lKRjRAd2bPsxLSKss/OpjelkvIYHHPqoTOIvEttX8Cos81C.38WLC"


class Verdict(Enum):
    """What became of an attempt to get in."""

    WELCOME = "welcome"
    UNKNOWN = "unknown"  # no credentials, or wrong ones
    BUSY = "busy"  # too many attempts wait already


class _Verified(NamedTuple):
    name: str
    hash: str
    password_digest: bytes


@dataclass(slots=True)
class _Memory:
    """What outlives a reload: what was verified, the one used last at the end, and who waits to be checked."""

    verified: OrderedDict[_Verified, None] = field(default_factory=OrderedDict)
    one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    queued: int = 0

    def knows(self, name: str, password_digest: bytes) -> bool:
        """Whether the password was right for this name, under whatever hash."""
        return any((one.name, one.password_digest) == (name, password_digest) for one in self.verified)


class Authentication:
    """Knows the users and tokens; without any of them, everybody is welcome.

    Args:
        users: name → bcrypt hash.
        tokens: bearer tokens.
        before: what was in force until now, whose memory this one goes on with.
    """

    def __init__(
        self, users: Mapping[str, str], tokens: tuple[str, ...] = (), before: Authentication | None = None
    ) -> None:
        self._users = dict(users)
        self._tokens = tuple(_digest(token.encode()) for token in tokens)
        self._memory: _Memory = before._memory if before else _Memory()  # noqa: SLF001  of this class

    @property
    def is_required(self) -> bool:
        return bool(self._users or self._tokens)

    @property
    def has_tokens_alone(self) -> bool:
        """Whether a browser cannot log in by itself: it asks for a name and a password, and there are none."""
        return bool(self._tokens and not self._users)

    def open_session(self, token: str, now_s: float) -> str | None:
        """Return the cookie of a session for ``token``; None where it is not accepted."""
        welcome = bool(token) and self._check_token(token.encode()) is Verdict.WELCOME
        return session.issue(_digest(token.encode()), now_s) if welcome else None

    def has_session(self, cookie: str, now_s: float) -> bool:
        """Whether ``cookie`` is of a session that goes on."""
        return session.is_valid(cookie, self._tokens, now_s)

    async def check(self, authorization: bytes) -> Verdict:
        """Judge the value of a request's Authorization header, which is empty where there is none."""
        if not self.is_required:
            return Verdict.WELCOME
        scheme, _, rest = authorization.strip().partition(b" ")
        match scheme.lower():
            case b"bearer":
                return self._check_token(rest.strip())
            case b"basic":
                return await self._check_user(rest.strip())
        return Verdict.UNKNOWN

    def _check_token(self, token: bytes) -> Verdict:
        digest = _digest(token)
        matches = [hmac.compare_digest(digest, known) for known in self._tokens]  # all of them, found or not
        return Verdict.WELCOME if any(matches) else Verdict.UNKNOWN

    async def _check_user(self, encoded: bytes) -> Verdict:
        try:
            name, colon, password = base64.b64decode(encoded, validate=True).partition(b":")
            user = name.decode()
        except (binascii.Error, UnicodeDecodeError):
            return Verdict.UNKNOWN
        if not self._users or not colon or len(password) > _PASSWORD_LIMIT_BYTES:
            return Verdict.UNKNOWN
        known = _Verified(user, self._users.get(user, _NOBODY), _digest(password))
        memory = self._memory
        if known in memory.verified:
            memory.verified.move_to_end(known)
            return Verdict.WELCOME
        if memory.queued >= QUEUE_SIZE and not (user in self._users and memory.knows(user, known.password_digest)):
            return Verdict.BUSY
        return await self._verify(known, password)

    async def _verify(self, known: _Verified, password: bytes) -> Verdict:
        memory = self._memory
        memory.queued += 1
        try:
            async with memory.one_at_a_time:
                if known in memory.verified:  # by the one before in the queue
                    return Verdict.WELCOME
                right = await asyncio.to_thread(bcrypt.checkpw, password, known.hash.encode())
        finally:
            memory.queued -= 1
        if not right or known.name not in self._users:
            return Verdict.UNKNOWN
        memory.verified[known] = None
        if len(memory.verified) > CACHE_SIZE:
            memory.verified.popitem(last=False)
        return Verdict.WELCOME


def _digest(secret: bytes) -> bytes:
    return hashlib.sha256(secret).digest()
