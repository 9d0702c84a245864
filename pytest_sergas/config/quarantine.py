"""``sergas-quarantine.toml``: which tests are in quarantine.

[[quarantine]]
test = "tests/test_shop.py::test_pay"
reason = "the stub of the bank answers too late"
owner = "payments"
until = 2026-08-31
mode = "run"                             # or "skip"
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_sergas.core import kinds
from pytest_sergas.core.quarantine import FILE, Entry, Mode
from pytest_sergas.core.text import show_value
from pytest_sergas.errors import ConfigurationError

_TABLE = "quarantine"


def _date(value: object) -> str:
    if isinstance(value, str):
        try:
            return dt.date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    # A moment is a date too, by inheritance.
    elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value.isoformat()
    raise kinds.NotAllowed("allowed: a date, such as 2026-08-31")


def _test(value: object) -> str:
    if "::" not in (name := kinds.text(value)):
        raise kinds.NotAllowed("allowed: a test as pytest names it, such as tests/test_shop.py::test_pay")
    return name


_KEYS: Mapping[str, kinds.Kind] = {
    "test": _test,
    "reason": kinds.text,
    "owner": kinds.text,
    "until": _date,
    "mode": kinds.one_of(*(mode.value for mode in Mode)),
}
_NEEDED = ("test", "reason", "owner", "until")


def read(text: str) -> tuple[Entry, ...]:
    """Return the entries.

    Args:
        text: of the file.

    Raises:
        ConfigurationError: listing every fault.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError((f"{FILE}: is not TOML: {error}",)) from error
    faults = [f"{FILE}: {name}: unknown; allowed: [[{_TABLE}]]" for name in document if name != _TABLE]
    tables = document.get(_TABLE, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        faults.append(f"{FILE}: {_TABLE}: allowed: tables, [[{_TABLE}]]")
        tables = []
    entries: list[Entry] = []
    places: dict[str, int] = {}
    for number, table in enumerate(tables, start=1):
        where = f"{FILE}: [[{_TABLE}]] {number}"
        values: dict[str, Any] = {}
        found = [f"{where}: {fault}" for fault in _faults(table, values)]
        if (name := values.get("test")) is not None and (place := places.setdefault(name, number)) != number:
            found.append(f"{where}: test = {name!r}: stands in [[{_TABLE}]] {place} already; keep one of the two")
        faults += found
        if not found:
            entries.append(Entry(**{**values, "mode": Mode(values.get("mode", Mode.RUN))}))
    if faults:
        raise ConfigurationError(tuple(faults))
    return tuple(entries)


def _faults(table: Mapping[str, object], values: dict[str, Any]) -> Iterator[str]:
    """Fill ``values`` with what can be used, and return a line for each fault."""
    for name, value in table.items():
        if name not in _KEYS:
            near = kinds.nearest(name, _KEYS)
            yield f"{name}: unknown key; " + (f"did you mean {near!r}?" if near else f"allowed: {', '.join(_KEYS)}")
            continue
        try:
            values[name] = _KEYS[name](value)
        except kinds.NotAllowed as wrong:
            yield f"{name} = {show_value(name, value)}: {wrong}"
    for name in _NEEDED:
        if name not in table:
            yield f"{name} is missing; needed are {', '.join(_NEEDED)}"
