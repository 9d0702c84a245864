"""Arguments of the classes that programs use: read as the same values of the configuration are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_sergas.core import kinds
from pytest_sergas.core.text import show_value
from pytest_sergas.errors import ConfigurationError

INTERVAL = kinds.duration(0, kinds.YEAR_S, "seconds", open_below=True)
TIMEOUT = kinds.duration(0, kinds.YEAR_S, "seconds (0 for none)")
COOLDOWN = kinds.duration(0, kinds.YEAR_S, "seconds")
WORKERS = kinds.whole(1, 10_000, "workers")
PER_MINUTE = kinds.whole(1, 10_000, "notifications in a minute")
RETRIES = kinds.whole(0, 100, "repetitions")


def checked(where: str, given: Mapping[str, tuple[kinds.Kind, object]]) -> dict[str, Any]:
    """Return name → what was meant; None stays None.

    Args:
        where: the call, for errors.
        given: name of each argument → its kind and its value.

    Raises:
        ConfigurationError: with every fault.
    """
    faults: list[str] = []
    found: dict[str, Any] = {}
    for name, (kind, value) in given.items():
        try:
            found[name] = None if value is None else kind(value)
        except kinds.NotAllowed as wrong:
            faults.append(f"{where}: {name} = {show_value(name, value)}: {wrong}")
    if faults:
        raise ConfigurationError(tuple(faults))
    return found
