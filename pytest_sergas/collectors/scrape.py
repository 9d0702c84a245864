"""The /metrics pages of other programs: one source for each target, so that one that hangs costs only itself.

They are read as Prometheus reads them with ``honor_labels: true``. Their series feed rules and the page, and
are not exposed here again: who wants them in Prometheus lets it scrape them. Redirects are not followed and
no proxy is used, because what is scraped is what the configuration names. A page is bounded in time and in
size, unpacked; what is beyond is down, with the reason.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_sergas.collectors import CollectError, Context, Measured, Source
from pytest_sergas.config.collect import Target
from pytest_sergas.core.series import canonical
from pytest_sergas.core.text import one_line
from pytest_sergas.errors import ConfigurationError
from pytest_sergas.version import VERSION

if TYPE_CHECKING:
    import httpx2

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
        from pytest_sergas.core.exposition import ExpositionError, parse

        page = self._page(remaining_s)
        try:
            return parse(page)
        except ExpositionError as error:
            raise CollectError(one_line(f"its page is no text format: {error}", _REASON_LIMIT)) from error

    def _page(self, remaining_s: Callable[[], float]) -> bytes:
        import ssl

        import httpx2

        headers = [
            ("Accept", _ACCEPT),
            ("Accept-Encoding", "gzip"),
            ("User-Agent", f"pytest-sergas/{VERSION}"),
            *self.headers,
        ]
        try:
            verify = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
            with (
                httpx2.Client(verify=verify, trust_env=False, timeout=max(remaining_s(), 0.001)) as client,
                client.stream("GET", self.url, headers=headers) as answer,
            ):
                _refuse(answer)
                return b"".join(self._pieces(answer, remaining_s))
        except httpx2.TimeoutException as error:
            raise CollectError("it did not answer in time") from error
        except (httpx2.HTTPError, OSError, zlib.error) as error:
            raise CollectError(one_line(f"{_reason(error)}", _REASON_LIMIT)) from error

    def _pieces(self, answer: httpx2.Response, remaining_s: Callable[[], float]) -> Iterator[bytes]:
        """Return the page piece by piece, unpacked here: what httpx2 unpacks may be a thousand times as large."""
        zipped = answer.headers.get("Content-Encoding", "").lower() == "gzip"
        unpack = zlib.decompressobj(wbits=31) if zipped else None
        left = self.limit_bytes
        for raw in answer.iter_raw():
            if remaining_s() <= 0:
                raise CollectError("its page did not end in time")
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


def _refuse(answer: httpx2.Response) -> None:
    if answer.is_redirect:
        raise CollectError(f"it answered {answer.status_code}, a redirect, which is not followed; name the page itself")
    if answer.status_code != 200:
        raise CollectError(one_line(f"it answered {answer.status_code} {answer.reason_phrase}".strip(), _REASON_LIMIT))
    encoding = answer.headers.get("Content-Encoding", "identity").lower()
    if encoding not in {"gzip", "identity", ""}:
        raise CollectError(one_line(f"it answered in the encoding {encoding!r}; asked for: gzip", _REASON_LIMIT))


def _reason(error: Exception) -> str:
    import httpx2

    if isinstance(error, zlib.error):
        return "its page is not gzip, which it says it is"
    if isinstance(error, httpx2.ConnectError):
        return f"no connection: {error}"
    return f"{type(error).__name__}: {error}"


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
