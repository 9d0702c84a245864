"""The /metrics pages of other programs: one source for each target, so that one that hangs costs only itself.

They are read as Prometheus reads them, with ``honor_labels: true`` and ``honor_timestamps: true``. Their series feed
rules and the page, and are not exposed here again: a Prometheus scrapes the targets itself. Redirects are not followed
and no proxy is used, because what is scraped is what the configuration names. A page is bounded in time and in size,
unpacked; what is beyond is down, with the reason.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pytest_sergas.collectors import Context, Measured, Source
from pytest_sergas.config.collect import Target
from pytest_sergas.core.series import canonical
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import CollectError, ConfigurationError
from pytest_sergas.version import VERSION

_ACCEPT = "text/plain;version=0.0.4;q=1,*/*;q=0.1"
_SECRET_LIMIT_BYTES = 64 * 1024
_PIECE_BYTES = 64 * 1024
_REASON_LIMIT = 200


def create(context: Context) -> Sequence[Source]:
    faults: list[str] = []
    sources = []
    for target in context.settings.targets:
        headers = _headers(target, context.root, faults)
        ca_file = context.root / target.ca_file if target.ca_file else None
        if ca_file is not None and not ca_file.is_file():
            faults.append(f"[collect.targets] ca_file = {target.ca_file!r}: {ca_file} is no file")
        labels = canonical({**target.labels, "job": target.job, "instance": target.instance}.items())
        sources.append(
            Source(
                f"scrape {target.job} {target.instance}{_more(target)}",
                Scrape(target.url, int(target.max_mb * 1e6), headers, ca_file),
                target.interval if target.interval is not None else context.settings.interval,
                target.timeout if target.timeout is not None else context.settings.timeout,
                labels,
            )
        )
    if faults:
        raise ConfigurationError(tuple(faults))
    return sources


def _more(target: Target) -> str:
    return "".join(f" {name}={value}" for name, value in sorted(target.labels.items()))


@dataclass(frozen=True, slots=True)
class Scrape:
    """One page.

    Attributes:
        limit_bytes: largest page, unpacked.
        headers: what shows that we may; secret.
        ca_file: certificate authorities to trust instead of the usual ones.
    """

    url: str
    limit_bytes: int
    headers: Sequence[tuple[str, str]] = field(default=(), repr=False)
    ca_file: Path | None = None

    def collect(self, remaining_s: Callable[[], float]) -> Iterable[Measured]:
        from pytest_sergas.core.exposition import ExpositionError
        from pytest_sergas.core.exposition.scraped import parse_scraped

        page, content_type = self._page(remaining_s)
        try:
            return parse_scraped(page, content_type)
        except ExpositionError as error:
            raise CollectError(one_line(f"its page is no text format: {error}", _REASON_LIMIT)) from error

    def _page(self, remaining_s: Callable[[], float]) -> tuple[bytes, str]:
        """Return the page, unpacked, and its content type."""
        import httpcore2

        from pytest_sergas.collectors.connection import connections, parsed

        headers = [
            ("Accept", _ACCEPT),
            ("Accept-Encoding", "gzip"),
            ("User-Agent", f"pytest-sergas/{VERSION}"),
            *self.headers,
        ]
        try:
            with (
                connections(self.ca_file, remaining_s) as pool,
                pool.stream("GET", parsed(self.url), headers=headers) as answer,
            ):
                fields = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
                encoding = fields.get("content-encoding", "identity").lower()
                _refuse(answer.status, encoding)
                page = b"".join(self._pieces(answer.iter_stream(), zipped=encoding == "gzip"))
                return page, fields.get("content-type", "")
        except httpcore2.TimeoutException as error:
            raise CollectError("no complete answer in time") from error
        except httpcore2.ConnectError as error:
            raise CollectError(one_line(f"no connection: {error}", _REASON_LIMIT)) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise CollectError(one_line(f"{type(error).__name__}: {error}", _REASON_LIMIT)) from error
        except zlib.error as error:
            raise CollectError("its page is not gzip, which it says it is") from error

    def _pieces(self, stream: Iterable[bytes], *, zipped: bool) -> Iterator[bytes]:
        """Return the page piece by piece; nothing is unpacked at once that may be a thousand times as large."""
        unpack = zlib.decompressobj(wbits=31) if zipped else None
        left = self.limit_bytes
        for raw in stream:
            data = raw
            while data:
                piece = unpack.decompress(data, _PIECE_BYTES) if unpack else data
                data = unpack.unconsumed_tail if unpack else b""
                left -= len(piece)
                if left < 0:
                    raise CollectError(f"its page is larger than {self.limit_bytes / 1e6:g} MB; max_mb allows more")
                yield piece
        if unpack and not unpack.eof:
            raise CollectError("its page ends in the middle of the gzip stream")


def _refuse(status: int, encoding: str) -> None:
    if 300 <= status < 400:
        raise CollectError(f"it answered {status}, a redirect, which is not followed; name the page itself")
    if status != 200:
        raise CollectError(f"it answered {status}")
    if encoding not in {"gzip", "identity"}:
        raise CollectError(one_line(f"it answered in the encoding {encoding!r}; asked for: gzip", _REASON_LIMIT))


def _headers(target: Target, root: Path, faults: list[str]) -> Sequence[tuple[str, str]]:
    """Return the header that shows who we are, or none."""
    if target.token_file:
        token = _secret("token_file", target.token_file, root, faults)
        return (("Authorization", f"Bearer {token}"),)
    if target.username:
        import base64

        password = _secret("password_file", target.password_file, root, faults)
        pair = f"{target.username}:{password}".encode("utf-8", "backslashreplace")
        return (("Authorization", f"Basic {base64.b64encode(pair).decode()}"),)
    return ()


def _secret(key: str, file: str, root: Path, faults: list[str]) -> str:
    where = f"[collect.targets] {key} = {file!r}"
    try:
        secret = (root / file).read_bytes()[:_SECRET_LIMIT_BYTES].decode("ascii").rstrip("\r\n")
    except OSError as error:
        faults.append(f"{where}: {root / file} cannot be read: {error.strerror}")
        return ""
    except UnicodeDecodeError:
        faults.append(f"{where}: {root / file} is not ASCII text")
        return ""
    if not secret or not secret.isprintable():
        faults.append(f"{where}: {root / file} has to hold the secret, on one line")
        return ""
    return secret
