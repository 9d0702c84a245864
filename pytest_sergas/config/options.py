"""The options of one entry of a list: judged by its type, all faults at once, without a secret in any of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_sergas.config.section import Key
from pytest_sergas.core import kinds
from pytest_sergas.core.text import show_value
from pytest_sergas.errors import ConfigurationError

_SECRET_LIMIT_BYTES = 64 * 1024
_BLANK = re.compile(r"[\x00-\x20\x7f]")


def url_of(*schemes: str, many_hosts: bool = False) -> kinds.Kind:
    """A URL with one of the ``schemes``; ``many_hosts`` allows several with commas, as libpq does."""
    allowed = f"allowed: a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"

    def read(value: object) -> str:
        try:
            parts = urlsplit(kinds.text(value))
            complete = bool(parts.netloc or parts.path) and (many_hosts or parts.port is None or parts.port > 0)
        except ValueError:  # of which NotAllowed is one
            raise kinds.NotAllowed(allowed) from None
        if parts.scheme not in schemes or not complete or _BLANK.search(str(value)):
            raise kinds.NotAllowed(allowed)
        return str(value)

    return read


@dataclass(frozen=True, slots=True)
class Written:
    """What an entry says beyond what every entry of its list has, as it is written.

    Attributes:
        place: how an error names the entry: ``checks.shop``.
        root: the directory that files are relative to.
    """

    place: str
    options: Mapping[str, object] = field(repr=False)
    root: Path


class Options:
    """The options of one entry; faults are collected until `done`.

    Args:
        keys: the options that an entry of this type knows.
        common: what every entry knows, for the nearest right key.
        required: those without which it cannot work.
    """

    def __init__(
        self, written: Written, keys: Mapping[str, Key], *, common: Iterable[str], required: tuple[str, ...] = ()
    ) -> None:
        self._place = written.place
        self._raw = written.options
        self._root = written.root
        self._keys = keys
        self._values: dict[str, Any] = {}
        self._faults: list[str] = []
        for key, raw in self._raw.items():
            if key not in keys:
                self.fault(key, _unknown(key, (*keys, *common)), shown="'...'")
                continue
            try:
                self._values[key] = keys[key].kind(raw)
            except kinds.NotAllowed as wrong:
                self.fault(key, str(wrong))
        for key in required:
            if key not in self._raw:
                self.missing(key)

    def get(self, key: str, default: Any) -> Any:
        return self._values.get(key, default)

    @property
    def values(self) -> Mapping[str, Any]:
        """The options that were given and can be used."""
        return self._values

    def path(self, key: str) -> Path | None:
        """Return the file that ``key`` names, relative to the configuration, or None when it names none."""
        written = self._values.get(key)
        return None if written is None else self._root / written

    def secret(self, key: str) -> str:
        """Return what the file that ``key`` names holds, without a newline at its end, or "" when it names none."""
        path = self.path(key)
        if path is None:
            return ""
        try:
            with path.open("rb") as opened:
                secret = opened.read(_SECRET_LIMIT_BYTES + 1).decode().rstrip("\r\n")
        except OSError as error:
            self.fault(key, f"cannot be read: {error.strerror}")
            return ""
        except UnicodeDecodeError:
            self.fault(key, "is not UTF-8 text")
            return ""
        if not secret or len(secret) > _SECRET_LIMIT_BYTES:
            self.fault(key, f"{'is larger than 64 KiB' if secret else 'is empty'}; it has to hold the secret")
        return secret

    def fault(self, key: str, text: str, *, shown: str | None = None) -> None:
        """Say that the value of ``key`` cannot be used, and why."""
        value = show_value(key, self._raw.get(key)) if shown is None else shown
        self._faults.append(f"{self._place}: {key} = {value}: {text}")

    def missing(self, key: str) -> None:
        """Say that there is no ``key``, and that it is needed."""
        self._faults.append(f"{self._place}: {key} is missing; such as {key} = {self._keys[key].example}")

    def missing_extra(self, extra: str, package: str) -> None:
        """Say that the ``package`` is not installed, and how one gets it."""
        self._faults.append(f"{self._place}: needs the package {package}; pip install 'pytest-sergas[{extra}]'")

    def done(self) -> None:
        """End the reading.

        Raises:
            ConfigurationError: with every fault that was found.
        """
        if self._faults:
            raise ConfigurationError(tuple(self._faults))


def _unknown(key: str, known: Sequence[str]) -> str:
    near = kinds.nearest(key, known)
    return f"unknown key; did you mean {near!r}?" if near else f"unknown key; allowed: {', '.join(known)}"
