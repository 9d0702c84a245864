"""The body of a request: read in pieces, decompressed in pieces, and bounded before it is in memory."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from starlette.types import Receive

_PIECE_BYTES = 64 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class BodyTooLargeError(Exception):
    """There is more than is allowed."""


class BadGzipError(Exception):
    """The body says that it is gzip, and is not."""


class ClientGoneError(Exception):
    """The connection ended before the body did."""


async def read_body(receive: Receive, max_bytes: int, *, gzipped: bool) -> bytes:
    """Return the whole body, decompressed.

    Args:
        max_bytes: the most that it may have, before and after it is decompressed.

    Raises:
        BodyTooLargeError: it has more.
        BadGzipError: ``gzipped``, and it is not, or it is cut off.
        ClientGoneError: it did not come whole.
    """
    body = bytearray()
    gunzip = _Gunzip(max_bytes) if gzipped else None
    received_bytes = 0
    async for piece in _pieces(receive):
        received_bytes += len(piece)
        if received_bytes > max_bytes:
            raise BodyTooLargeError
        if gunzip is None:
            body += piece
        else:
            gunzip.feed(piece)
    return bytes(body) if gunzip is None else gunzip.close()


async def _pieces(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        yield message.get("body", b"")
        more = message.get("more_body", False)


class _Gunzip:
    """Decompresses a stream of one or more members, never more than ``max_bytes``."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._plain = bytearray()
        self._member = zlib.decompressobj(_GZIP)
        self._is_empty = True

    def feed(self, data: bytes) -> None:
        while data:
            self._is_empty = False
            if self._member.eof:
                self._member = zlib.decompressobj(_GZIP)
            try:
                self._plain += self._member.decompress(data, _PIECE_BYTES)
            except zlib.error as error:
                raise BadGzipError(str(error)) from None
            if len(self._plain) > self._max_bytes:
                raise BodyTooLargeError
            data = self._member.unconsumed_tail or self._member.unused_data

    def close(self) -> bytes:
        if self._is_empty:
            raise BadGzipError("it is empty")
        # What is not consumed because the piece was full has been asked for in feed; the last piece may still be held.
        self._plain += self._member.flush()
        if len(self._plain) > self._max_bytes:
            raise BodyTooLargeError
        if not self._member.eof:
            raise BadGzipError("it is cut off")
        return bytes(self._plain)
